"""The network of the published CIFAR-10 experiments: DDPM++, 55.7 million parameters for color images of 32 pixels."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, scaled_dot_product_attention, silu

from nearsight import checks
from nearsight.networks.blocks import channel_count, check_raw, fourier, zeroed

HALF = 0.5**0.5  # by which each sum of two branches is scaled, so that its variance stays


class ScaledBlock(nn.Module):
    """Residual block of DDPM++ on [B, i, H, W], with an embedding [B, e]: the sum of a skip and two convolutions of 3x3,
    and where wanted of that sum and its attention, each times sqrt(1/2).

    `side` "half" averages squares of 2x2 pixels before the first convolution, "double" repeats each pixel; the skip does
    the same and is then, as where channels differ, a 1x1 convolution. The embedding shifts the middle; dropout follows it.
    """

    def __init__(self, i: int, o: int, embedding: int, dropout: float, side: str = "same", attention: bool = False):
        super().__init__()
        self.side = side
        self.first_norm, self.first = _norm(i), _drawn(nn.Conv2d(i, o, 3, padding=1))
        self.shift, self.dropout = _drawn(nn.Linear(embedding, o)), nn.Dropout(dropout)
        self.second_norm, self.second = _norm(o), zeroed(nn.Conv2d(o, o, 3, padding=1))
        self.skip = nn.Identity() if i == o and side == "same" else _drawn(nn.Conv2d(i, o, 1))
        self.attention = OneHead(o) if attention else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.first(self._resized(silu(self.first_norm(x)))) + self.shift(embedding)[:, :, None, None]
        h = self.second(self.dropout(silu(self.second_norm(h))))
        return self.attention(HALF * (self.skip(self._resized(x)) + h))

    def _resized(self, x: Tensor) -> Tensor:
        if self.side == "half":
            return avg_pool2d(x, 2)
        return interpolate(x, scale_factor=2, mode="nearest") if self.side == "double" else x


class OneHead(nn.Module):
    """Self-attention of one head over the pixels of [B, C, H, W], normalized before, added to what came, times
    sqrt(1/2)."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm, self.parts = _norm(channels), _drawn(nn.Conv2d(channels, 3 * channels, 1))
        self.last = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        queries, keys, values = (part.flatten(2).mT for part in self.parts(self.norm(x)).chunk(3, dim=1))
        return HALF * (x + self.last(scaled_dot_product_attention(queries, keys, values).mT.reshape(x.shape)))


class DdpmPlusPlus(nn.Module):
    """Raw network F(x, c_noise) over color images: the DDPM++ of Song et al. as Karras et al. train it on CIFAR-10.

    One stage a multiplier, of channels * multiplier channels, each at half the resolution of the one before: `blocks`
    residual blocks going down, one more coming up, two in the middle, one to halve or double the side between stages. The
    second stage (16 pixels) attends after each block going down and after its last one coming up, as does the first in the
    middle. c_noise [B] enters by `channels` cosines and sines at frequencies from 1 down to 1e-4, and two linear layers.

    x [B, 3, H, W] with sides divisible by 2^(stages - 1); the result has x's shape. Parameters: 55,732,739, published as
    55.7 M. Filters for resampling are the published ones of two taps. Left out are the vectors of class and augmentation,
    which training without either does not use (the latter's 9 x 128 weights included they are 55,733,891); and layers that
    the authors start at 1e-5 of the common scale start at 0. Raises ValueError for other shapes, and for channels that are
    no multiple of 4. Source: Song et al. 2021 (arXiv 2011.13456); Karras et al. 2022 (arXiv 2206.00364), table 7.
    Cost: 42 GFLOP an image of 32 pixels.
    """

    def __init__(self, channels: int = 128, multipliers: tuple[int, ...] = (2, 2, 2), blocks: int = 4,
                 dropout: float = 0.13):
        super().__init__()
        channels, multipliers = channel_count(channels, 4), checks.counts(multipliers, "multipliers")
        blocks, dropout = checks.count(blocks, "blocks"), checks.share(dropout, "dropout")
        widths, width = [channels * multiplier for multiplier in multipliers], 4 * channels
        self.register_buffer("frequencies", torch.logspace(0, -4, channels // 2), persistent=False)
        self.noise = nn.Sequential(_drawn(nn.Linear(2 * len(self.frequencies), width)), nn.SiLU(),
                                   _drawn(nn.Linear(width, width)), nn.SiLU())
        self.stem, self.halvings = _drawn(nn.Conv2d(3, channels, 3, padding=1)), len(widths) - 1
        kept = [channels]  # the channels of everything that is concatenated on the way up
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for stage, (before, wide) in enumerate(pairwise([channels, *widths])):
            if stage:
                self.down.append(ScaledBlock(before, before, width, dropout, "half"))
                kept.append(before)
            for index in range(blocks):
                self.down.append(ScaledBlock(wide if index else before, wide, width, dropout, attention=stage == 1))
                kept.append(wide)
        bottom = widths[-1]
        self.mid = nn.ModuleList(ScaledBlock(bottom, bottom, width, dropout, attention=not index) for index in range(2))
        for stage, (before, wide) in zip(reversed(range(len(widths))), pairwise([bottom, *reversed(widths)])):
            if len(self.up):
                self.up.append(ScaledBlock(before, before, width, dropout, "double"))
            for index in range(blocks + 1):
                self.up.append(ScaledBlock((wide if index else before) + kept.pop(), wide, width, dropout,
                                           attention=stage == 1 and index == blocks))
        self.norm, self.last = _norm(widths[0]), zeroed(nn.Conv2d(widths[0], 3, 3, padding=1))

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        if checks.batch(x).ndim != 4 or x.shape[1] != 3 or any(not side or side % 2**self.halvings for side in x.shape[2:]):
            raise ValueError(f"x has shape {list(x.shape)}; expected color images [B, 3, H, W] whose sides can be halved "
                             f"{self.halvings} times.")
        check_raw(self, x, c_noise)
        embedding = self.noise(fourier(c_noise, self.frequencies))
        h = self.stem(x)
        kept = [h]
        for block in self.down:
            h = block(h, embedding)
            kept.append(h)
        for block in self.mid:
            h = block(h, embedding)
        for block in self.up:
            h = block(h if block.side == "double" else torch.cat([h, kept.pop()], dim=1), embedding)
        return self.last(silu(self.norm(h)))


def _norm(channels: int) -> nn.GroupNorm:
    """Group normalization in 32 groups, or as many as leave four channels each."""
    return nn.GroupNorm(min(32, channels // 4), channels, eps=1e-6)


def _drawn(layer: nn.Conv2d | nn.Linear) -> nn.Conv2d | nn.Linear:
    """The layer with the authors' first weights: uniform, of variance 2 / (inputs + outputs), and without offsets."""
    nn.init.xavier_uniform_(layer.weight), nn.init.zeros_(layer.bias)
    return layer
