"""Noise levels: grids of sigma, and the conversions from other formulations of diffusion.

Everything in this library adds noise as x = y + sigma * eps. Variance-preserving (VP) models and the Ornstein-Uhlenbeck (OU)
process shrink the data as well; dividing by the shrinkage gives back x, so both are this convention at another clock. The
conversions stand here and nowhere else.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nearsight import checks


def edm_sigmas(n: int, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0) -> Tensor:
    """Noise levels that fall from sigma_max to sigma_min and then to 0.

        sigma_i = (sigma_max^(1/rho) + i/(n-1) * (sigma_min^(1/rho) - sigma_max^(1/rho)))^rho,   i = 0 .. n-1;   sigma_n = 0

    A larger rho spends more of the n steps at small noise. Returns float64 [n + 1]. Raises ValueError for n < 1 or unless
    0 < sigma_min < sigma_max. Source: Karras et al. 2022 (arXiv 2206.00364), eq. 5.
    """
    n = checks.count(n, "n")
    low, high = checks.positive(sigma_min, "sigma_min"), checks.positive(sigma_max, "sigma_max")
    rho = checks.positive(rho, "rho")
    if low >= high:
        raise ValueError(f"sigma_min is {low:g} and sigma_max {high:g}; expected sigma_min < sigma_max: the levels fall.")
    ends = torch.tensor([high, low], dtype=torch.float64) ** (1 / rho)
    levels = torch.lerp(ends[0], ends[1], torch.linspace(0, 1, n, dtype=torch.float64)) ** rho
    levels[0] = high
    if n > 1:
        levels[-1] = low
    return torch.cat([levels, levels.new_zeros(1)])


def level_index(sigmas: Tensor, sigma: float) -> int:
    """Index of the noise level `sigma` in a grid [S] that holds it, so that no value is quoted under another level's name.

    Equal to a relative 1e-6, as far as float32 grids go. Raises ValueError, with the nearest level there is, where the grid
    does not hold it.
    """
    grid, sigma = checks.grid(sigmas), checks.not_negative(sigma, "sigma")
    index = int((grid - sigma).abs().argmin())
    if abs(float(grid[index]) - sigma) > 1e-6 * sigma:
        raise ValueError(f"sigma = {sigma:g} is no level of the grid, the nearest is {float(grid[index]):.6g}; expected one "
                         "of its levels: evaluate at the level that is quoted, or quote the level of the grid.")
    return index


def sigma_of_alpha_bar(alpha_bar: Tensor) -> Tensor:
    """Noise level of a VP model, sigma = sqrt((1 - abar) / abar), where x_vp = sqrt(abar) * x. abar in (0, 1]."""
    checks.floating(alpha_bar, "alpha_bar")
    return ((1 - alpha_bar) / alpha_bar).sqrt()


def alpha_bar_of_sigma(sigma: Tensor) -> Tensor:
    """Signal share of a VP model at noise level sigma, abar = 1 / (1 + sigma^2), so that x_vp = x / sqrt(1 + sigma^2)."""
    return 1 / (1 + checks.floating(sigma, "sigma") ** 2)


def sigma_of_ou_time(time: Tensor) -> Tensor:
    """Noise level of the OU process x_t = e^-t y + sqrt(1 - e^-2t) z after time t: sigma = sqrt(e^2t - 1), x = e^t x_t."""
    return torch.expm1(2 * checks.floating(time, "time")).sqrt()


def ou_time_of_sigma(sigma: Tensor) -> Tensor:
    """Time at which the OU process has noise level sigma: t = ln(1 + sigma^2) / 2."""
    return torch.log1p(checks.floating(sigma, "sigma") ** 2) / 2


def vp_sigmas(steps: int = 500, first: float = 1e-4, last: float = 0.02) -> Tensor:
    """Noise levels of a VP chain with linear beta, in falling order: sigma_T, ..., sigma_1, 0.

        sigma_t = sqrt((1 - abar_t) / abar_t),   abar_t = prod_{s <= t} (1 - beta_s),
        beta = linspace(first, last, T) * 1000 / T

    `first` and `last` are the betas of a chain of 1000 steps; a shorter chain takes larger ones, so that it ends at about
    the same noise. Returns float64 [steps + 1]. Raises ValueError for steps < 2 or betas outside (0, 1).
    Source: Ho et al. 2020 (arXiv 2006.11239), section 4.
    """
    steps = checks.count(steps, "steps", at_least=2)
    first, last = checks.positive(first, "first"), checks.positive(last, "last")
    betas = torch.linspace(first, last, steps, dtype=torch.float64) * (1000 / steps)
    if not ((betas > 0) & (betas < 1)).all():
        raise ValueError(f"the betas of {steps} steps run from {betas[0]:g} to {betas[-1]:g}; expected them within (0, 1): "
                         "try more steps.")
    # log1p keeps the digits of 1 - abar at the first steps, where abar is close to 1.
    log_alpha_bar = torch.log1p(-betas).cumsum(0)
    sigmas = (torch.expm1(-log_alpha_bar)).sqrt()
    return torch.cat([sigmas.flip(0), sigmas.new_zeros(1)])


def vp_time(sigma: Tensor, sigmas: Tensor) -> Tensor:
    """Clock t in [0, T] of a VP chain at noise level sigma: the grid `sigmas` [T + 1] of `vp_sigmas`, inverted.

    Between grid points t is linear in ln sigma, below sigma_1 linear in sigma; above sigma_T it stays T.
    """
    if checks.floating(sigmas, "sigmas").ndim != 1 or len(sigmas) < 2:
        raise ValueError(f"sigmas has shape {list(sigmas.shape)}; expected the grid [T + 1] of a chain: try vp_sigmas().")
    device = checks.floating(sigma, "sigma").device
    rising = sigmas.flip(0).to(checks.widest_float(device)).to(device)
    wanted = sigma.to(rising.dtype)
    upper = torch.searchsorted(rising, wanted).clamp(1, len(rising) - 1)
    low, high = rising[upper - 1], rising[upper]
    share = torch.where(upper == 1, wanted / high, (wanted / low).log() / (high / low).log())
    return (upper - 1 + share.clamp(0, 1)).to(sigma.dtype)
