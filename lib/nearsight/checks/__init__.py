"""Checks of what comes in: every public function says what came, what was expected, what to try."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def points(value: Tensor, name: str, at_least: int = 1) -> Tensor:
    """Return `value` if it is a set of events [N, *event]: floating point, finite, N >= at_least.

    Finiteness is read from the smallest and the largest entry (NaN propagates), which allocates nothing.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} is a {type(value).__name__}; expected a torch tensor: try torch.as_tensor({name}).")
    if not value.is_floating_point():
        raise TypeError(f"{name} has dtype {value.dtype}; expected floating point: try {name}.float(), "
                        "and divide by 255 first if these are images.")
    if value.ndim < 2:
        raise ValueError(f"{name} has shape {list(value.shape)}; expected [N, *event]: one event a row.")
    if len(value) < at_least:
        raise ValueError(f"{name} holds {len(value)} events; expected at least {at_least}.")
    if value.numel():
        low, high = value.detach().aminmax()
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"{name} has NaN or infinite entries: try {name}[{name}.flatten(1).isfinite().all(1)].")
    return value


def same_event(first: Tensor, second: Tensor, first_name: str, second_name: str) -> None:
    """Raise ValueError unless both sets hold events of one shape."""
    if first.shape[1:] != second.shape[1:]:
        raise ValueError(f"{first_name} holds events of shape {list(first.shape[1:])} and {second_name} of shape "
                         f"{list(second.shape[1:])}; expected equal shapes.")


def noise_level(sigma: float | Tensor, x: Tensor) -> Tensor:
    """Return sigma as a float64 tensor that broadcasts against x [B, *event]: shape [B, 1, ...] or [1, 1, ...]."""
    level = torch.as_tensor(sigma, dtype=torch.float64, device=x.device)
    if level.ndim > 1 or (level.ndim == 1 and len(level) not in (1, len(x))):
        raise ValueError(f"sigma has shape {list(level.shape)}; expected a number or one value for each of the "
                         f"{len(x)} events.")
    if level.numel():
        low, high = level.detach().aminmax()
        if not (low >= 0 and math.isfinite(high)):
            raise ValueError(f"sigma runs from {low:g} to {high:g}; expected finite noise levels >= 0.")
    return level.reshape(-1, *[1] * (x.ndim - 1))


def grid(sigmas, name: str = "sigmas") -> Tensor:
    """Return sigmas as a float64 vector [S] of finite noise levels >= 0."""
    levels = torch.as_tensor(sigmas, dtype=torch.float64)
    if levels.ndim != 1 or not len(levels):
        raise ValueError(f"{name} has shape {list(levels.shape)}; expected a non-empty vector of noise levels.")
    if not (torch.isfinite(levels).all() and (levels >= 0).all()):
        raise ValueError(f"{name} runs from {levels.min():g} to {levels.max():g}; expected finite noise levels >= 0.")
    return levels


def finite(value: float, name: str) -> float:
    """Return `value` as a float if it is finite."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number:g}; expected a finite number.")
    return number


def positive(value: float, name: str) -> float:
    """Return `value` as a float if it is finite and > 0."""
    number = float(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} is {number:g}; expected a finite number > 0.")
    return number


def not_negative(value: float, name: str) -> float:
    """Return `value` as a float if it is finite and >= 0."""
    number = float(value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} is {number:g}; expected a finite number >= 0.")
    return number


def choice(value: str, name: str, choices) -> str:
    """Return `value` if it is one of `choices`; the error lists them."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(map(repr, choices))}.")
    return value
