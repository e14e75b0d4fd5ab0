"""Networks on the clock of a variance-preserving chain: raw ones that read its time, and the denoiser of the noise."""

from __future__ import annotations

from torch import Tensor, nn

from nearsight import checks
from nearsight.noise import alpha_bar_of_sigma, vp_time


class OnChain(nn.Module):
    """What denoisers share whose raw network reads x_vp = x / sqrt(1 + sigma^2) and the time t(sigma) of a chain.

    `sigmas` [T + 1] is the falling grid of the chain, from `noise.vp_sigmas`.
    """

    def __init__(self, network: nn.Module, sigmas: Tensor):
        super().__init__()
        self.network = checks.instance(network, "network", nn.Module, "a torch.nn.Module")
        self.grid = self.sigmas = checks.grid(sigmas, falling=True).clone()

    def _apply(self, fn, recurse: bool = True):
        """Follow the weights to another device, where no copy of the grid is then made a call.

        A buffer would lose its digits when the weights are cast, and could not follow to a device without float64.
        """
        super()._apply(fn, recurse)
        device = next(self.parameters()).device
        self.sigmas = self.grid.to(checks.widest_float(device)).to(device)
        return self

    def on_chain(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """x_vp [B, *event] and t [B] at noise levels [B, 1, ...] or [1, 1, ...], in the dtype of the weights."""
        weights = next(self.parameters()).dtype
        x_vp = (x * alpha_bar_of_sigma(level).sqrt()).to(weights)
        return x_vp, vp_time(level.flatten(), self.sigmas).expand(len(x)).to(weights)


class EpsilonDenoiser(OnChain):
    """The denoiser of a raw network that predicts the noise, as that of Ho et al. does.

        D(x, sigma) = x - sigma F(x / sqrt(1 + sigma^2), t(sigma) - 1)

    so that (D - y)^2 / sigma^2 = (F - eps)^2 is its "epsilon" loss. The network reads the published clock, which counts
    the T levels of the chain from 0 to T - 1; between them t is as `noise.vp_time` says, and it does not leave them.

    `sigmas` [T + 1] is the falling grid of the chain (`noise.vp_sigmas`). x [B, *event], sigma a float or a tensor [B],
    >= 0; the result has x's shape, dtype and device, and is x itself at sigma = 0. Raises ValueError for a number
    sigma < 0; the values of a tensor are not read, as in `Preconditioned`. Cost: one call of the network.
    Source: Ho et al. 2020 (arXiv 2006.11239).
    """

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        level = checks.unread_noise_level(sigma, x)
        x_vp, time = self.on_chain(x, level)
        noise = checks.floating(self.network(x_vp, (time - 1).clamp(min=0)), "what the network returned", x.shape)
        return x - level.to(x.dtype) * noise.to(x.dtype)
