"""The sets as they come in: arrays of numpy or torch become float32 events, or are refused with a sentence."""

from __future__ import annotations

import hashlib
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearsight import checks
from nearsight.auditing.refusal import AuditRefused

SMALLEST_SET = 20


class Described(NamedTuple):
    """What a set was when it came: `sha256` is that of its bytes in C order."""

    count: int
    shape: list[int]
    dtype: str
    low: float
    high: float
    mean: float
    std: float
    sha256: str


class Layout(NamedTuple):
    """Where an event has its colors and its two axes of pixels, counted without the axis of the set."""

    channels: int | None
    height: int
    width: int


def as_array(value, name: str) -> Tensor:
    """A numeric array of numpy or torch as a dense tensor on the CPU; TypeError for anything else."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "uif":
        value = value.astype(value.dtype.newbyteorder("="), copy=False)
        if value.dtype.kind == "f" and value.dtype.itemsize > 8:
            value = value.astype(np.float64)
        return torch.from_numpy(np.ascontiguousarray(value))
    if (not isinstance(value, Tensor) or value.layout != torch.strided or value.is_complex()
            or value.dtype == torch.bool):
        what = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else checks.came(value)
        raise TypeError(f"{name} is {what}; expected a numeric array of numpy or torch: one image a row.")
    return value.detach().cpu()


def checked_set(value, name: str, smallest: int = SMALLEST_SET) -> Tensor:
    """The array [N, *event] if it has events, at least `smallest` of them, and all are finite."""
    array = as_array(value, name)
    if array.ndim < 2 or 0 in array.shape[1:]:
        raise AuditRefused("shape_mismatch", f"{name} has shape {list(array.shape)}; expected [N, ...]: one image a row.")
    if len(array) < smallest:
        raise AuditRefused("too_few", f"{name} holds {len(array)} images; expected at least {smallest}: "
                           "with fewer, no test could tell anything.")
    if array.is_floating_point():
        bad = ~array.flatten(1).isfinite().all(1)
        if bad.any():
            raise AuditRefused("not_finite", f"{name} has NaN or infinite entries in {int(bad.sum())} images, the first at "
                               f"index {int(bad.nonzero()[0])}; expected finite ones: leave these images out.")
    return array


def check_same_event(array: Tensor, train: Tensor, name: str) -> None:
    """Raise AuditRefused unless the set holds events of the training set's shape; a swap of channels is named."""
    shape, expected = list(array.shape[1:]), list(train.shape[1:])
    if shape == expected:
        return
    hint = "cut and scale all sets alike"
    if len(shape) == len(expected) == 3 and shape in (expected[1:] + expected[:1], expected[2:] + expected[:2]):
        first = "last" if shape == expected[1:] + expected[:1] else "first"
        axes = "0, 3, 1, 2" if first == "last" else "0, 2, 3, 1"
        hint = f"{name} has its channels {first}: try {name}.transpose({axes}) in numpy, .permute({axes}) in torch"
    elif math.prod(shape) == math.prod(expected):
        hint = f"try {name}.reshape(-1, {', '.join(map(str, expected))}) if the entries are in one order"
    raise AuditRefused("shape_mismatch", f"{name} holds images of shape {shape} and train of shape {expected}; expected "
                       f"equal shapes: {hint}.")


def described(array: Tensor) -> Described:
    """Counts, moments and digest of a set, in float64."""
    low, high = (float(end) for end in array.aminmax())
    total = square = 0.0
    digest = hashlib.sha256()
    for block in array.split(max(1, 2**22 // array[0].numel())):
        values = block.double()
        total += float(values.sum())
        square += float(values.square().sum())
        digest.update(block.contiguous().numpy().tobytes())
    mean = total / array.numel()
    return Described(len(array), list(array.shape), str(array.dtype).removeprefix("torch."), low, high, mean,
                     math.sqrt(max(square / array.numel() - mean * mean, 0)), digest.hexdigest())


def layout(event: torch.Size) -> Layout | None:
    """How to draw events of this shape, [H, W], [C, H, W] or [H, W, C] with C in 1, 3, 4; None where they are no images.

    An axis of pixels has at least four of them.
    """
    for channels, axes in ((None, (0, 1)), (0, (1, 2)), (2, (0, 1))):
        if (len(event) == (2 if channels is None else 3) and min(event[axis] for axis in axes) >= 4
                and (channels is None or event[channels] in (1, 3, 4))):
            return Layout(channels, *axes)
    return None


def planes(events: Tensor) -> Tensor | None:
    """Events as images [N, C, H, W], whatever their layout; None where they have none."""
    found = layout(events.shape[1:])
    if found is None:
        return None
    if found.channels is None:
        return events[:, None]
    return events if found.channels == 0 else events.movedim(-1, 1)
