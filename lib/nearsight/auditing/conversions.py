"""Denoisers of networks that were trained in another formulation: variance-preserving chains (DDPM) and EDM.

With c = 1/sqrt(1 + sigma^2), x_vp = c x, and t the level of the chain that is nearest in ln sigma:

    eps   D = x - sigma out
    v     D = c^2 x - sigma c out          v = sqrt(abar) eps - sqrt(1 - abar) y
    x0    D = out
    EDM   D = s^2/(sigma^2 + s^2) x + sigma s/sqrt(sigma^2 + s^2) F( x/sqrt(sigma^2 + s^2), ln(sigma)/4 )

The input is scaled by the true sigma; only the clock t is rounded.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from nearsight import checks
from nearsight.auditing.asking import BATCH, OFF_GRID, evaluating
from nearsight.noise import alpha_bar_of_sigma, sigma_of_alpha_bar

PREDICTS = ("eps", "v", "x0")


class ChainDenoiser:
    """The denoiser of a network on a chain with cumulative products `alphas_bar` [T], as `from_vp` returns it.

    `sigmas` are the levels that the network knows, falling, float64; `network` is the one that was given.
    """

    def __init__(self, network: Callable, alphas_bar: Tensor, predicts: str):
        self.network = checks.function(network, "network", "a network that is called as network(x_vp, t)")
        self.predicts = checks.choice(predicts, "predicts", PREDICTS)
        shares = checks.numbers(alphas_bar, "alphas_bar")
        if shares.ndim != 1 or not len(shares) or not (shares >= 0).all() or not (shares <= 1).all():
            raise ValueError(f"alphas_bar is {checks.came(shares)}; expected a vector of cumulative products between 0 "
                             "and 1: try torch.cumprod(1 - betas, 0).")
        self._steps = ((shares > 0) & (shares < 1)).nonzero().squeeze(1)  # without noise, or without signal: no level
        if not len(self._steps):
            raise ValueError(f"alphas_bar runs from {shares.min():g} to {shares.max():g}; expected values between 0 and 1, "
                             "ends excluded: try torch.cumprod(1 - betas, 0).")
        levels = sigma_of_alpha_bar(shares[self._steps])
        order = levels.argsort(descending=True)
        self.sigmas, self._steps = levels[order], self._steps[order]
        self._warned = False

    @torch.no_grad()
    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        level = checks.noise_level(sigma, x)
        time = self._time(level).expand(len(x))
        shrink = alpha_bar_of_sigma(level).sqrt()
        x_vp = (x * shrink).to(x.dtype)
        with torch.autocast(x.device.type, enabled=False), evaluating(self.network):
            out = torch.cat([unwrapped(self.network(*part), x.shape[1:])
                             for part in zip(x_vp.split(BATCH), time.split(BATCH))]) if len(x) else x_vp
        if self.predicts == "x0":
            return out.to(x.dtype)
        kept = 1 if self.predicts == "eps" else shrink.square()
        return (kept * x - level * (1 if self.predicts == "eps" else shrink) * out).to(x.dtype)

    def _time(self, level: Tensor) -> Tensor:
        """The index [B or 1] of the nearest level of the chain; ValueError above the largest, one warning between two."""
        wanted = level.flatten().double().cpu()
        if len(wanted) and float(wanted.max()) > float(self.sigmas[0]) * (1 + 1e-6):
            raise ValueError(f"sigma is {float(wanted.max()):g}; expected at most {float(self.sigmas[0]):g}: this network "
                             f"knows noise up to {float(self.sigmas[0]):.3g}, start there.")
        apart = (wanted.clamp(min=1e-30).log()[:, None] - self.sigmas.log()).abs()
        nearest = apart.min(1)
        if not self._warned and len(wanted) and float(nearest.values.max()) > OFF_GRID:
            self._warned = True
            warnings.warn(f"sigma = {float(wanted[nearest.values.argmax()]):g} lies between the noise levels that the "
                          "network was trained at; its clock is rounded to the nearest: take sigmas from the denoiser's "
                          ".sigmas.",
                          stacklevel=3)
        return self._steps[nearest.indices].to(level.device)


def from_vp(network: Callable, alphas_bar: Tensor, predicts: str) -> ChainDenoiser:
    """The denoiser of a DDPM or another network on a variance-preserving chain.

        denoiser = nearsight.from_vp(network, alphas_bar, predicts="eps")

    `network` is called as network(x_vp, t), t int64 [B], and may return a tensor, a tuple that begins with one, or an object
    with `.sample`; of twice the channels (a learned variance) the first half is taken. `alphas_bar` [T] are the cumulative
    products of 1 - beta; levels without noise or without signal are dropped. `predicts` is "eps", "v" or "x0".

    The network runs in eval mode, without autocast, 128 events at a time, and is left in the mode that it was in. The
    denoiser carries `.sigmas`, the levels of the chain, falling, and raises ValueError above the largest; it warns once
    where sigma lies more than 0.05 in ln sigma from a level. Sources: Ho et al. 2020 (arXiv 2006.11239); Salimans and Ho
    2022 (arXiv 2202.00512) for v.
    """
    return ChainDenoiser(network, alphas_bar, predicts)


def from_edm(network: Callable, sigma_data: float = 0.5) -> Callable[[Tensor, float | Tensor], Tensor]:
    """The denoiser of a raw network F of Karras et al., called as network(c_in x, c_noise), c_noise float [B].

        D = s^2/(sigma^2 + s^2) x + sigma s/sqrt(sigma^2 + s^2) F( x/sqrt(sigma^2 + s^2), ln(sigma)/4 ),   s = sigma_data

    A network that already returns the clean image from (x, sigma) is a denoiser: pass it as it is. At sigma = 0 it is x
    itself. Source: Karras et al. 2022 (arXiv 2206.00364), table 1.
    """
    checks.function(network, "network", "a network that is called as network(c_in * x, c_noise)")
    scale = checks.positive(sigma_data, "sigma_data")

    @torch.no_grad()
    def denoiser(x: Tensor, sigma: float | Tensor) -> Tensor:
        level = checks.noise_level(sigma, x)
        total = (level.square() + scale**2).sqrt()
        clock = (level.clamp(min=1e-30).log() / 4).flatten().expand(len(x)).to(x.dtype)
        scaled = (x / total).to(x.dtype)
        with torch.autocast(x.device.type, enabled=False), evaluating(network):
            out = torch.cat([unwrapped(network(*part), x.shape[1:])
                             for part in zip(scaled.split(BATCH), clock.split(BATCH))]) if len(x) else scaled
        return ((scale / total) ** 2 * x + level * scale / total * out).to(x.dtype)

    return denoiser


def unwrapped(out: object, event: torch.Size) -> Tensor:
    """What a network returned for events of one shape: the tensor, the first of a tuple, or `.sample` of an object."""
    found = getattr(out, "sample", None) if not isinstance(out, Tensor) else out
    if isinstance(out, (tuple, list)) and len(out):
        found = out[0]
    if isinstance(found, Tensor) and len(event) == 3 and found.shape[1:] == (2 * event[0], *event[1:]):
        found = found[:, :event[0]]
    if not isinstance(found, Tensor) or found.shape[1:] != event or not found.is_floating_point():
        raise ValueError(f"the network returned {checks.came(out)}; expected a tensor of events of shape {list(event)}, a "
                         "tuple that begins with one, or an object with .sample.")
    return found
