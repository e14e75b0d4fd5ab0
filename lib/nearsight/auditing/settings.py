"""What an audit is told of its tests, and the map from images to the points of which distances are taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nearsight import checks
from nearsight.auditing.asking import BATCH, evaluating


class Settings(NamedTuple):
    """The numbers that `audit` was told; their meaning is in its docstring."""

    sample_count: int
    draws: int
    ratio: float
    tolerance: float
    max_overlap: float
    check_ranges: bool
    alpha: float
    permutations: int
    fprs: tuple[float, ...]
    seed: int

    @classmethod
    def checked(cls, sample_count: int, draws: int, ratio: float, tolerance: float, max_overlap: float, check_ranges: bool,
                alpha: float, permutations: int, fprs: Sequence[float], seed: int) -> Settings:
        """The settings, if every one is a number of its kind."""
        if not isinstance(fprs, (tuple, list)) or not fprs:
            raise TypeError(f"fprs is {checks.came(fprs)}; expected a tuple of false-positive rates, such as (0.1, 0.01).")
        return cls(checks.count(sample_count, "sample_count", at_least=0), checks.count(draws, "draws"),
                   _inner(ratio, "ratio"), checks.not_negative(tolerance, "tolerance"),
                   checks.share(max_overlap, "max_overlap"), checks.flag(check_ranges, "check_ranges"),
                   _inner(alpha, "alpha"), checks.count(permutations, "permutations"),
                   tuple(_inner(rate, "an entry of fprs") for rate in fprs), checks.whole(seed, "seed"))


def points_of(features: Callable[[Tensor], Tensor] | None) -> Callable[[Tensor], Tensor]:
    """The function that turns images [N, *event] into points [N, k]: flat pixels, or `features` in batches of 128."""
    if features is None:
        return lambda images: images.flatten(1)
    checks.function(features, "features", "a function of images [B, *event] that returns [B, k]")

    @torch.no_grad()
    def points(images: Tensor) -> Tensor:
        with evaluating(features):
            found = [_checked(features(some), len(some)) for some in images.split(BATCH)]
        return torch.cat(found)

    return points


def _checked(found: Tensor, count: int) -> Tensor:
    if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != count or not found.is_floating_point():
        raise ValueError(f"features returned {checks.came(found)} for {count} images; expected a floating-point tensor "
                         f"[{count}, k].")
    return checks.points(found, "what features returned")


def _inner(value: float, name: str) -> float:
    if not 0 < checks.share(value, name) < 1:
        raise ValueError(f"{name} is {value:g}; expected a number between 0 and 1.")
    return float(value)
