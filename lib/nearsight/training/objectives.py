"""What a denoiser is trained on: a law of noise levels, and an error that is counted by noise level."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from nearsight import checks
from nearsight.noise import vp_sigmas

LOSSES = ("edm", "mse", "epsilon", "cross_entropy")


@dataclass(frozen=True)
class LogNormal:
    """Noise levels with ln sigma ~ N(mean, std^2); Karras et al. 2022 (arXiv 2206.00364), table 1, with their P_mean,
    P_std."""

    mean: float = -1.0
    std: float = 1.2

    def __post_init__(self):
        checks.finite(self.mean, "mean")
        checks.not_negative(self.std, "std")

    def draw(self, count: int, generator: Generator) -> Tensor:
        """`count` levels, float32, on the generator's device."""
        return (self.mean + self.std * torch.randn(count, generator=generator, device=generator.device)).exp()


@dataclass(frozen=True)
class VpClock:
    """Noise levels sigma_t of a variance-preserving chain at a time t uniform on 1 .. steps; see `noise.vp_sigmas`."""

    steps: int = 500
    first: float = 1e-4
    last: float = 0.02

    def __post_init__(self):
        vp_sigmas(self.steps, self.first, self.last)  # which refuses what is no chain

    def draw(self, count: int, generator: Generator) -> Tensor:
        """`count` levels, float32, on the generator's device."""
        grid = vp_sigmas(self.steps, self.first, self.last)[:-1].to(generator.device, torch.float32)
        return grid[torch.randint(self.steps, (count,), generator=generator, device=generator.device)]


def training_loss(loss: str, denoiser: nn.Module, y: Tensor, x: Tensor, sigma: Tensor, labels: Tensor | None = None,
                  sigma_data: float = 0.5) -> Tensor:
    """Loss [B] of the denoiser at noisy events x [B, *event] of clean ones y with noise levels sigma [B].

        edm             (sigma^2 + sigma_data^2) / (sigma sigma_data)^2 * mean (D - y)^2     Karras et al. 2022, table 1
        mse             mean (D - y)^2
        epsilon         mean (D - y)^2 / sigma^2, the squared error of the noise             Ho et al. 2020, eq. 14
        cross_entropy   -mean over tokens of sum_a y_a ln D_a                                y one-hot [B, L, q]

    Means run over the entries of an event. At D = c_skip x and data of mean square q^2 the first is (sigma^2 q^2 +
    sd^4) / (sd^2 (sigma^2 + sd^2)) in expectation: 1 where q = sigma_data. Labels are handed to the denoiser where
    they are given. Raises ValueError for an unknown loss and for shapes that do not match. Cost: one call of the denoiser.
    """
    checks.choice(loss, "loss", LOSSES)
    checks.function(denoiser, "denoiser", "a denoiser(x, sigma)")
    checks.same_event(x, y, "x", "y")
    checks.floating(sigma, "sigma", (len(x),))
    sigma_data = checks.positive(sigma_data, "sigma_data")
    if len(y) != len(x):
        raise ValueError(f"x holds {len(x)} noisy events and y {len(y)} clean ones; expected equally many.")
    if loss == "cross_entropy" and not hasattr(denoiser, "log_probabilities"):
        raise TypeError(f"the denoiser is {checks.came(denoiser)} without log_probabilities; expected one that has them, "
                        "for cross_entropy: try TokenDenoiser(network, sigmas).")
    given = (x, sigma) if labels is None else (x, sigma, labels)
    if loss == "cross_entropy":
        return -(y * denoiser.log_probabilities(*given)).sum(-1).mean(-1)
    error = (checks.floating(denoiser(*given), "what the denoiser returned", y.shape) - y).square().flatten(1).mean(1)
    if loss == "edm":
        return error * (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    return error / sigma**2 if loss == "epsilon" else error
