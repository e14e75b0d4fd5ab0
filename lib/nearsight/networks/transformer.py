"""An encoder over short strings of tokens, and the denoiser that it becomes on the clock of a VP chain."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearsight import checks
from nearsight.networks.blocks import check_raw, fourier
from nearsight.networks.chain import OnChain


class TokenTransformer(nn.Module):
    """Raw network F(x_vp, t): logits [B, L, q] for the tokens of noisy one-hot strings x_vp [B, L, q] at time t [B].

    Linear(q -> width), plus learned positions, plus Linear(32 -> width) of [cos, sin] of t at the 16 frequencies
    10^(-i/4); `layers` encoder layers without mask; Linear(width -> q). With `norm_first` the layers are pre-norm with
    GELU, and a last norm follows them; without it they are post-norm with ReLU and no norm follows, as in the
    published network. Parameters: 104,006 at the laptop scale (6, 8, 64, 3, 4, 128), 16,854,022 at the published one
    (6, 16, 512, 8, 4, 1024). Source of the latter: Garnier-Brun et al. (arXiv 2603.03469). Raises ValueError for
    strings of another shape.
    """

    def __init__(self, vocabulary: int, length: int, width: int, layers: int, heads: int, feedforward: int,
                 dropout: float = 0.0, norm_first: bool = True):
        super().__init__()
        sizes = {"vocabulary": vocabulary, "length": length, "width": width, "layers": layers, "heads": heads,
                 "feedforward": feedforward}
        vocabulary, length, width, layers, heads, feedforward = (checks.count(size, name) for name, size in sizes.items())
        if width % heads:
            raise ValueError(f"width is {width} and heads {heads}; expected a width that is a multiple of the heads.")
        dropout, norm_first = checks.share(dropout, "dropout"), checks.flag(norm_first, "norm_first")
        self.event = (length, vocabulary)
        self.register_buffer("frequencies", 10.0 ** (-torch.arange(16) / 4), persistent=False)
        self.tokens, self.time = nn.Linear(vocabulary, width), nn.Linear(32, width)
        self.positions = nn.Parameter(0.02 * torch.randn(length, width))
        # Built one by one: nn.TransformerEncoder would copy one layer, and all would start with the same weights.
        self.layers = nn.Sequential(*[
            nn.TransformerEncoderLayer(width, heads, feedforward, dropout, activation="gelu" if norm_first else "relu",
                                       batch_first=True, norm_first=norm_first) for _ in range(layers)])
        self.norm = nn.LayerNorm(width) if norm_first else nn.Identity()
        self.last = nn.Linear(width, vocabulary)

    def forward(self, x_vp: Tensor, t: Tensor) -> Tensor:
        check_raw(self, x_vp, t)
        if x_vp.shape[1:] != self.event:
            raise ValueError(f"x has shape {list(x_vp.shape)}; expected strings [B, {self.event[0]}, {self.event[1]}].")
        h = self.tokens(x_vp) + self.positions + self.time(fourier(t, self.frequencies))[:, None]
        return self.last(self.norm(self.layers(h)))


class TokenDenoiser(OnChain):
    """The denoiser of a raw token network: posterior probabilities E[y | x] of the one-hot strings y [B, L, q].

        D(x, sigma) = softmax F(x / sqrt(1 + sigma^2), t(sigma))

    `sigmas` [T + 1] is the falling grid of the chain (`noise.vp_sigmas`) whose clock t(sigma) the network reads.
    x [B, L, q], sigma a float or a tensor [B], >= 0; the result has x's shape, dtype and device and sums to 1 over the
    last axis. Raises ValueError for a number sigma < 0; the values of a tensor are not read, as in `Preconditioned`.
    Cost: one call of the network.
    """

    def log_probabilities(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Logarithms of the probabilities, [B, L, q], for divergences without clipping."""
        return self.network(*self.on_chain(x, checks.unread_noise_level(sigma, x))).to(x.dtype).log_softmax(-1)

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        return self.log_probabilities(x, sigma).exp()
