"""What the Gaussian theory accepts: spectra, sets of samples and covariances, in float64."""

from __future__ import annotations

import torch
from torch import Tensor

from nearsight import checks


def spectrum(value: Tensor) -> Tensor:
    """Return the eigenvalues [d] of a covariance, finite and >= 0, as float64."""
    checks.exact(checks.floating(value, "spectrum"), "the theory")
    if value.ndim != 1 or not len(value):
        raise ValueError(f"spectrum has shape {list(value.shape)}; expected the d >= 1 eigenvalues of a covariance: "
                         "try torch.linalg.eigvalsh(covariance).")
    value = value.detach().double()
    if not (torch.isfinite(value).all() and (value >= 0).all()):
        raise ValueError(f"spectrum runs from {value.min():g} to {value.max():g}; expected finite variances >= 0.")
    return value


def samples(value: Tensor, name: str, at_least: int = 1) -> Tensor:
    """Return vectors [*batch, n, d], n >= at_least, finite, as float64."""
    value = checks.exact(checks.points(value, name), "the theory")
    if value.shape[-2] < at_least or value.shape[-1] < 1:
        raise ValueError(f"{name} has shape {list(value.shape)}; expected [n, d] with n >= {at_least} and d >= 1.")
    return value.detach().double()


def covariance(value: Tensor, name: str, dimension: int | None = None) -> Tensor:
    """Return covariances [*batch, d, d], symmetric and positive semidefinite up to rounding, as float64."""
    checks.exact(checks.floating(value, name), "the theory")
    expected = "d" if dimension is None else dimension
    if value.ndim < 2 or not value.numel() or value.shape[-1] != value.shape[-2] or dimension not in (None, value.shape[-1]):
        raise ValueError(f"{name} has shape {list(value.shape)}; expected [{expected}, {expected}].")
    value = value.detach().double()
    if not torch.isfinite(value).all():
        raise ValueError(f"{name} has NaN or infinite entries; expected a covariance.")
    tolerance = 1e-5 * value.abs().amax((-2, -1))
    if ((value - value.mT).abs().amax((-2, -1)) > tolerance).any():
        raise ValueError(f"{name} is not symmetric; try ({name} + {name}.mT) / 2.")
    lowest = torch.linalg.eigvalsh(value)[..., 0]
    if (lowest < -tolerance).any():
        raise ValueError(f"{name} has the eigenvalue {lowest.min():g}; expected none below 0.")
    return value
