"""How far a result is determined: what of it stays when the same sums are taken by other kernels.

A computation is carried out twice, by the kernels at hand and by plain ones. With Z the largest difference of an array as
a share of its largest entry, the array has s = -log10 Z significant digits (Sohier et al. 2021, definition 1, for two
computations and no claim on confidence). One digit is kept in reserve, since two computations are a small sample of all
machines: the tolerance is 10 Z. Of whole numbers that name things, such as the index of a nearest image, Z is the share
that differs: another name is another thing, however near the number. Its rounding is one name, of a hundred or more: two
candidates that are all but equally near are found among many, on some machine.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nearsight.records.computing import Results

MARGIN = 10.0
"""A tolerance is so many times the difference that was measured."""

ABSENT = torch.empty(0)

NAMES = (torch.int16, torch.int32, torch.int64)


def largest_difference(recorded: Tensor, again: Tensor) -> float:
    """Return max |again - recorded| / max |recorded|, over entries that are finite in both: 0 only for equal bits.
    Of arrays of signed whole numbers, which count or name, return the share of the entries that differ.

    inf for another shape or dtype, for NaN or infinities in other places, and where one of the two is ABSENT.
    """
    if (recorded is ABSENT) != (again is ABSENT) or (recorded.shape, recorded.dtype) != (again.shape, again.dtype):
        return math.inf
    if torch.equal(_bytes(recorded), _bytes(again)):
        return 0.0
    if recorded.dtype in NAMES:
        return float((recorded != again).double().mean())
    old, new = recorded.double(), again.double()
    finite = old.isfinite()
    if not torch.equal(finite, new.isfinite()) or not old[~finite].isclose(new[~finite], equal_nan=True).all():
        return math.inf
    difference, scale = (float(values[finite].abs().amax()) if finite.any() else 0.0 for values in (new - old, old))
    if difference == 0:  # other bits with equal values, such as -0.0: the least that a difference can be
        return torch.finfo(torch.float64).tiny
    return difference / scale if scale else math.inf


def significant_digits(difference: float) -> float:
    """Return -log10 of a relative difference: the decimal digits that two computations share."""
    return -math.log10(difference) if difference else math.inf


def measured(run: str, first: Results, second: Results) -> dict[str, float]:
    """Return the tolerance of each array, from two computations of the same stages by different kernels.

    It is MARGIN times the largest difference at any stage, and at least MARGIN roundings of the array's dtype, or MARGIN
    of its names where it holds at least MARGIN^2. Raises
    ValueError that names each array with less than one significant digit to spare: what it holds is not determined.
    """
    differences = {}
    for (step, name), array in first.arrays.items():
        found = largest_difference(array, second.arrays.get((step, name), ABSENT))
        differences[name] = max(differences.get(name, 0.0), found, _rounding(array))
    free = [f"{name} ({found:.2g} of its largest entry, {max(0, significant_digits(found)):.1f} significant digits)"
            for name, found in differences.items() if MARGIN * found >= 1]
    if free:
        raise ValueError(f"{run} does not determine {', '.join(free)}: by other kernels it comes out differently; expected "
                         "more than one significant digit: record a quantity that the data determine.")
    return {name: MARGIN * found for name, found in differences.items()}


def _rounding(array: Tensor) -> float:
    """The least difference that is allowed for, whatever was measured."""
    if array.is_floating_point():
        return torch.finfo(array.dtype).eps
    if array.dtype == torch.uint8:
        return 1 / 255  # a brightness between two levels is rounded up or down
    return 1 / array.numel() if array.dtype in NAMES and array.numel() >= MARGIN**2 else 0.0


def _bytes(array: Tensor) -> Tensor:
    return array.reshape(-1).view(torch.uint8)
