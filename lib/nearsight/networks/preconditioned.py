"""Preconditioning: a raw network becomes a denoiser, and its input and output keep unit scale at every noise level."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from nearsight import checks


class Coefficients(NamedTuple):
    """c_skip, c_out, c_in and c_noise at given noise levels."""

    skip: Tensor
    out: Tensor
    input: Tensor
    noise: Tensor


def coefficients(sigma: Tensor, sigma_data: float) -> Coefficients:
    """Coefficients of the denoiser D = c_skip x + c_out F(c_in x, c_noise), each of sigma's shape.

        c_skip = sd^2 / (sigma^2 + sd^2)             c_out   = sigma sd / sqrt(sigma^2 + sd^2)
        c_in   = 1 / sqrt(sigma^2 + sd^2)            c_noise = ln(sigma) / 4                     (sd = sigma_data)

    sigma tensor >= 0. At sigma = 0, where c_out = 0, c_noise is that of the smallest positive float32, so D = x there.
    Source: Karras et al. 2022 (arXiv 2206.00364), table 1.
    """
    variance = sigma**2 + sigma_data**2
    noise = sigma.clamp_min(torch.finfo(torch.float32).tiny).log() / 4
    return Coefficients(sigma_data**2 / variance, sigma * sigma_data / variance.sqrt(), variance.rsqrt(), noise)


class Preconditioned(nn.Module):
    """The denoiser D(x, sigma) = c_skip x + c_out F(c_in x, c_noise) of a raw network F.

    `network` is called as network(c_in x [B, *event], c_noise [B]) and, where labels [B] (int64 classes) are given,
    with them as a third argument; it returns [B, *event]. `sigma_data` is the standard deviation of one entry of the
    data. A network whose last layer is zero starts at D = c_skip x, the Wiener filter of data N(0, sigma_data^2 I).

    Called as denoiser(x, sigma): x [B, *event], sigma a float or a tensor [B], >= 0; the result has x's shape, dtype
    and device. The coefficients and the sum are computed in x's dtype, the network in that of its weights, so a
    sampler may keep its state in float64. Nothing is read back from a GPU: of a tensor sigma the type and the length
    are checked, its values are for the caller to answer for. Raises ValueError for a number sigma < 0, a tensor of
    another length, and sigma_data <= 0. Source: Karras et al. 2022 (arXiv 2206.00364), eq. 7. Cost: one call of the
    network.
    """

    def __init__(self, network: nn.Module, sigma_data: float = 0.5):
        super().__init__()
        self.network = checks.instance(network, "network", nn.Module, "a torch.nn.Module")
        self.sigma_data = checks.positive(sigma_data, "sigma_data")

    def forward(self, x: Tensor, sigma: float | Tensor, labels: Tensor | None = None) -> Tensor:
        level = checks.unread_noise_level(sigma, x)
        skip, out, scale, noise = (c.to(x.dtype) for c in coefficients(level, self.sigma_data))
        weights = next((parameter.dtype for parameter in self.parameters()), x.dtype)
        arguments = ((scale * x).to(weights), noise.flatten().expand(len(x)).to(weights))
        raw = self.network(*arguments) if labels is None else self.network(*arguments, labels)
        checks.floating(raw, "what the network returned", x.shape)
        return skip * x + out * raw.to(x.dtype)
