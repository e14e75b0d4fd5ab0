"""Values on one scale: bytes or floats, [0, 255] or [-1, 1], and no set on another scale than the training images."""

from __future__ import annotations

import torch
from torch import Tensor

from nearsight import checks
from nearsight.auditing.refusal import AuditRefused, Remarks

_NARROWEST, _FARTHEST = 0.6, 0.4  # of the width of the training values: our choices, as the specification has them
SETS = ("samples", "train", "holdout")
_MOST_IMAGES = 2000  # of each set, whose quantiles are taken


def on_one_scale(sets: dict[str, Tensor], ranges: dict | None, has_denoiser: bool, remarks: Remarks) -> dict[str, Tensor]:
    """The sets in float32: those named in `ranges` mapped from (low, high) to (-1, 1), bytes by v/127.5 - 1."""
    ranges = _checked(ranges)
    integers = {name: not array.is_floating_point() and name not in ranges for name, array in sets.items()}
    if any(integers.values()):
        _refuse_integers(sets, integers, has_denoiser)
        remarks.add("converted_uint8", "All sets hold bytes; they were mapped from 0 .. 255 to -1 .. 1.")
        ranges = ranges | dict.fromkeys(sets, (0.0, 255.0))
    scaled = {}
    for name, array in sets.items():
        low, high = ranges.get(name, (-1.0, 1.0))
        values = array.float()
        scaled[name] = values if (low, high) == (-1.0, 1.0) else (values - low) * (2 / (high - low)) - 1
        if not all(end.isfinite() for end in scaled[name].aminmax()):
            raise AuditRefused("not_finite", f"{name} has entries beyond the reach of float32; expected smaller ones: "
                               "try to divide all sets by one number.")
    return scaled


def check_scale(values: Tensor, train: Tensor, name: str) -> None:
    """Raise AuditRefused where a set spans another range than the training set, between 0.5 % and 99.5 % quantiles."""
    low, high = span(train)
    width = high - low
    if width == 0:
        raise AuditRefused("range_mismatch", f"train spans {low:.4g} to {high:.4g}, one value alone; expected images that "
                           "differ: pass those that the network was trained on.")
    ours, theirs = span(values)
    hint = (f"pass ranges={{{name!r}: (low, high)}} with the values that stand for black and white,"
            if name in SETS else "is the denoiser trained on this scale? Try to pass samples= of your own,")
    if (not _NARROWEST <= (theirs - ours) / width <= 1 / _NARROWEST
            or abs((ours + theirs) / 2 - (low + high) / 2) > _FARTHEST * width):
        raise AuditRefused("range_mismatch", f"{name} spans {ours:.4g} to {theirs:.4g} and train {low:.4g} to {high:.4g}; "
                           f"expected one scale: {hint} or pass check_ranges=False if the images really are like that.")


def span(values: Tensor) -> tuple[float, float]:
    """The 0.5 % and 99.5 % quantiles of all entries, of at most 2,000 images that are evenly spaced."""
    step = -(-len(values) // _MOST_IMAGES)
    entries = values[::step].flatten().sort().values
    last = len(entries) - 1
    return tuple(float(entries[round(share * last)]) for share in (0.005, 0.995))


def _checked(ranges: dict | None) -> dict[str, tuple[float, float]]:
    if ranges is None:
        return {}
    checks.instance(ranges, "ranges", dict, 'a dictionary such as {"samples": (0, 255)}')
    found = {}
    for name, ends in ranges.items():
        checks.choice(name, "a name in ranges", SETS)
        if not isinstance(ends, (tuple, list)) or len(ends) != 2:
            raise TypeError(f"ranges[{name!r}] is {checks.came(ends)}; expected (low, high), such as (0, 255).")
        low, high = (checks.finite(end, f"an end of ranges[{name!r}]") for end in ends)
        if low >= high:
            raise ValueError(f"ranges[{name!r}] runs from {low:g} to {high:g}; expected low < high, such as (0, 255).")
        found[name] = low, high
    return found


def _refuse_integers(sets: dict[str, Tensor], integers: dict[str, bool], has_denoiser: bool) -> None:
    """Bytes in all sets, and no network, can be told apart from nothing else; the rest cannot."""
    kinds = {name: str(array.dtype).removeprefix("torch.") for name, array in sets.items()}
    came = ", ".join(f"{name} in {kind}" for name, kind in kinds.items())
    named = next(name for name, whole in integers.items() if whole)
    if not all(integers.values()):
        raise AuditRefused("range_mismatch", f"{came}: integers in some sets and floats in others; expected one scale: "
                           f"pass ranges={{{named!r}: (0, 255)}}, which maps it to -1 .. 1.")
    if any(array.dtype != torch.uint8 for array in sets.values()):
        raise AuditRefused("range_mismatch", f"{came}; expected bytes (uint8) or floats: pass ranges= for every set, with "
                           "the values that stand for black and white.")
    if has_denoiser:
        raise AuditRefused("range_unknown", f"{came}, with a denoiser; expected the scale on which it was trained, which "
                           'only you know: pass ranges={"train": (0, 255), "holdout": (0, 255)} if that was -1 .. 1, or '
                           "the floats that it saw.")
