"""Checks of what comes in: every public function says what came, what was expected, what to try.

They stand at the public boundary, once a call. What is called within a loop, a denoiser on its x and sigma, is checked by
what costs nothing: types, shapes, plain numbers. Reading the values of a tensor makes a GPU wait.
"""

from nearsight.checks.tensors import (
    batch,
    denoiser,
    device,
    exact,
    floating,
    generator,
    grid,
    noise_level,
    numbers,
    per_event,
    points,
    same_device,
    same_event,
    tensor,
    unread_noise_level,
    vector,
    widest_float,
)
from nearsight.checks.values import (
    came,
    choice,
    count,
    counts,
    finite,
    flag,
    function,
    instance,
    not_negative,
    positive,
    share,
    whole,
)

__all__ = [
    "batch", "came", "choice", "count", "counts", "denoiser", "device", "exact", "finite", "flag", "floating",
    "function", "generator", "grid", "instance", "noise_level", "not_negative", "numbers", "per_event", "points",
    "positive", "same_device", "same_event", "share", "tensor", "unread_noise_level", "vector", "whole",
    "widest_float",
]
