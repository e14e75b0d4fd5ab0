"""Checks of tensors: events, batches, noise levels, devices, and what comes as numbers in any form."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from nearsight.checks.values import came, function, instance, real


def tensor(value: Tensor, name: str) -> Tensor:
    """Return `value` if it is a dense torch tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} is {came(value)}; expected a torch tensor: try torch.as_tensor({name}).")
    if value.layout != torch.strided:
        raise TypeError(f"{name} has the layout {value.layout}; expected a dense tensor: try {name}.to_dense().")
    return value


def floating(value: Tensor, name: str, shape: tuple | None = None) -> Tensor:
    """Return `value` if it is a floating-point tensor, and of this shape where one is given."""
    if not tensor(value, name).is_floating_point():
        raise TypeError(f"{name} has dtype {value.dtype}; expected floating point: try {name}.float(), "
                        "and divide by 255 first if these are images.")
    if shape is not None and value.shape != shape:
        raise ValueError(f"{name} has shape {list(value.shape)}; expected {list(shape)}.")
    return value


def vector(value: Tensor, name: str, length: int | None = None) -> Tensor:
    """Return `value` if it is a floating-point vector without NaN, of this length or, without one, not empty."""
    if floating(value, name).ndim != 1 or len(value) != (length or max(1, len(value))):
        raise ValueError(f"{name} has shape {list(value.shape)}; expected [{length or 'N'}].")
    if value.isnan().any():
        raise ValueError(f"{name} has NaN entries; expected numbers.")
    return value


def points(value: Tensor, name: str, at_least: int = 1) -> Tensor:
    """Return `value` if it is a set of events [N, *event]: floating point, finite, N >= at_least, no empty event.

    Finiteness is read from the smallest and the largest entry (NaN propagates), which allocates nothing.
    """
    if floating(value, name).ndim < 2 or 0 in value.shape[1:]:
        raise ValueError(f"{name} has shape {list(value.shape)}; expected [N, *event]: one event a row.")
    if len(value) < at_least:
        raise ValueError(f"{name} holds {len(value)} events; expected at least {at_least}.")
    if value.numel():
        low, high = value.detach().aminmax()
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"{name} has NaN or infinite entries; expected finite ones: "
                             f"try {name}[{name}.flatten(1).isfinite().all(1)].")
    return value


def batch(value: Tensor, name: str = "x") -> Tensor:
    """Return `value` if it is a batch of events [B, *event] for a denoiser: floating point; its entries are not read."""
    if floating(value, name).ndim < 2:
        raise ValueError(f"{name} has shape {list(value.shape)}; expected [B, *event]: one event a row.")
    return value


def same_event(first: Tensor, second: Tensor, first_name: str, second_name: str) -> None:
    """Raise ValueError unless both sets hold events of one shape, on one device."""
    if batch(first, first_name).shape[1:] != batch(second, second_name).shape[1:]:
        raise ValueError(f"{first_name} holds events of shape {list(first.shape[1:])} and {second_name} of shape "
                         f"{list(second.shape[1:])}; expected equal shapes.")
    same_device(first, second, first_name, second_name)


def same_device(first: Tensor, second: Tensor, first_name: str, second_name: str) -> None:
    """Raise ValueError unless both tensors are on one device."""
    if first.device != second.device:
        raise ValueError(f"{first_name} is on {first.device} and {second_name} on {second.device}; expected one device: "
                         f"try {second_name}.to({first_name}.device).")


def generator(value: Generator | None, device: torch.device | None = None, name: str = "generator") -> Generator | None:
    """Return `value` if it is a generator on the device of the data, or None where there is data to take a device from."""
    if value is None and device is not None:
        return None
    instance(value, name, Generator, "a torch.Generator: try torch.Generator().manual_seed(0)")
    if device is not None and value.device != device:
        raise ValueError(f"{name} is on {value.device} and the data on {device}; expected one device: "
                         f"try torch.Generator({str(device)!r}).manual_seed(0).")
    return value


def device(value: torch.device | str, name: str = "device") -> torch.device:
    """Return `value` as a device of torch's."""
    try:
        return torch.device(instance(value, name, (str, torch.device), "a torch.device or its name, such as 'cpu'"))
    except RuntimeError as error:
        raise ValueError(f"{name} is {came(value)}; expected a device of torch's, such as 'cpu' or 'cuda'.") from error


def denoiser(value: Callable, name: str = "denoiser") -> Callable:
    """Return `value` as a denoiser whose answers are checked: one clean event for each noisy one, floating point."""
    function(value, name, "a function denoiser(x, sigma), such as EmpiricalDenoiser(points)")

    def checked(x: Tensor, sigma: float | Tensor) -> Tensor:
        clean = value(x, sigma)
        if not isinstance(clean, Tensor) or clean.shape != x.shape or not clean.is_floating_point():
            raise ValueError(f"the {name} returned {came(clean)} for x of shape {list(x.shape)}; expected one clean event "
                             "for each noisy one.")
        return clean

    return checked


def widest_float(device: torch.device) -> torch.dtype:
    """The floating-point dtype with the most digits that the device knows: float64, but float32 on Apple's MPS."""
    return torch.float32 if device.type == "mps" else torch.float64


def exact(value: Tensor, what: str) -> Tensor:
    """Return `value` if its device knows float64, in which `what` is computed."""
    if widest_float(value.device) != torch.float64:
        raise TypeError(f"{what} came with data on {value.device}, which has no float64; expected a device that has it, "
                        "since float32 would not be exact: try the same on data.cpu().")
    return value


def noise_level(sigma: float | Tensor, x: Tensor) -> Tensor:
    """Return sigma, checked, as a tensor that broadcasts against x [B, *event]: shape [B, 1, ...] or [1, 1, ...].

    Its dtype is float64, or the widest that the device of x knows. The values of a tensor are read: in what a GPU calls
    again and again use `unread_noise_level`.
    """
    level = unread_noise_level(sigma, x)
    if isinstance(sigma, Tensor) and level.numel():
        _noise_range(*(float(bound) for bound in level.detach().aminmax()), "sigma")
    return level


def unread_noise_level(sigma: float | Tensor, x: Tensor) -> Tensor:
    """As `noise_level`, but of a tensor only type and shape are checked, so that a GPU need not wait."""
    level = per_event(sigma, x, "sigma", widest_float(batch(x).device))
    if not isinstance(sigma, Tensor):
        _noise_range(float(sigma), float(sigma), "sigma")
    return level


def per_event(value: float | Tensor, x: Tensor, name: str, dtype: torch.dtype) -> Tensor:
    """Return a number or a tensor of one value for each event, unread, in a shape that broadcasts against x [B, *event]."""
    shape = [-1] + [1] * (batch(x).ndim - 1)
    if not isinstance(value, Tensor):
        number = real(value, name, "a number or a tensor with one value for each event")
        return torch.full((1,), number, dtype=dtype, device=x.device).reshape(shape)
    if tensor(value, name).is_complex() or value.dtype == torch.bool:
        raise TypeError(f"{name} has dtype {value.dtype}; expected real numbers: try {name}.float().")
    if value.ndim > 1 or (value.ndim == 1 and len(value) not in (1, len(x))):
        raise ValueError(f"{name} has shape {list(value.shape)}; expected a number or one value for each of the "
                         f"{len(x)} events.")
    return value.to(x.device, dtype).reshape(shape)


def numbers(value, name: str) -> Tensor:
    """Return a number, a list, an array or a tensor of real numbers, of any shape, as a float64 tensor on the CPU."""
    try:
        found = value.cpu() if isinstance(value, Tensor) else torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise TypeError(f"{name} is {came(value)}; expected numbers.") from None
    if tensor(found, name).is_complex() or found.dtype == torch.bool:
        raise TypeError(f"{name} has dtype {found.dtype}; expected real numbers: try {name}.double().")
    # A list of Python floats keeps its digits, which as_tensor alone would round to float32.
    return found.double() if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float64)


def grid(sigmas, name: str = "sigmas", falling: bool = False) -> Tensor:
    """Return sigmas as a float64 vector [S] of finite noise levels >= 0 on the CPU: what steps through it reads it once.

    With `falling`, it has at least two levels, each below the one before.
    """
    levels = numbers(sigmas, name)
    if levels.ndim != 1 or not len(levels):
        raise ValueError(f"{name} has shape {list(levels.shape)}; expected a non-empty vector of noise levels.")
    _noise_range(*(float(bound) for bound in levels.detach().aminmax()), name)
    if falling and (len(levels) < 2 or not (levels.diff() < 0).all()):
        raise ValueError(f"{name} has {len(levels)} levels from {levels[0]:g} to {levels[-1]:g}; expected at least two, "
                         "falling strictly: try edm_sigmas(18).")
    return levels


def _noise_range(low: float, high: float, name: str) -> None:
    if not (low >= 0 and math.isfinite(high)):
        raise ValueError(f"{name} runs from {low:g} to {high:g}; expected finite noise levels >= 0.")
