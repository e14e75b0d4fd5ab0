"""The U-Net at the paper scale of study 4: four million parameters for 32-pixel images, with attention and dropout."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, scaled_dot_product_attention, silu

from nearsight import checks
from nearsight.networks.blocks import channel_count, check_images, check_raw, fourier

EMBEDDING, GROUPS, HEADS, DROPOUT = 128, 8, 4, 0.1


class AddedBlock(nn.Module):
    """Residual block: skip(x) + conv(dropout(SiLU(norm(conv(SiLU(norm(x))) + shift)))), convolutions of 3x3.

    The shift is linear in the SiLU of the embedding [B, 128]; the skip is the identity, or a 1x1 convolution where the
    channels differ. Nothing starts at zero.
    """

    def __init__(self, i: int, o: int):
        super().__init__()
        self.first_norm, self.first = nn.GroupNorm(GROUPS, i), nn.Conv2d(i, o, 3, padding=1)
        self.shift = nn.Linear(EMBEDDING, o)
        self.second_norm, self.dropout = nn.GroupNorm(GROUPS, o), nn.Dropout(DROPOUT)
        self.second = nn.Conv2d(o, o, 3, padding=1)
        self.skip = nn.Identity() if i == o else nn.Conv2d(i, o, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.first(silu(self.first_norm(x))) + self.shift(silu(embedding))[:, :, None, None]
        return self.skip(x) + self.second(self.dropout(silu(self.second_norm(h))))


class Attention(nn.Module):
    """Self-attention of 4 heads over the pixels of [B, C, H, W], normalized before, added to what came."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.parts, self.last = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        queries, keys, values = (part.unflatten(1, (HEADS, -1)).flatten(3).mT  # [B, heads, pixels, channels a head]
                                 for part in self.parts(self.norm(x)).chunk(3, dim=1))
        return x + self.last(scaled_dot_product_attention(queries, keys, values).mT.reshape(x.shape))


class Step(nn.Module):
    """A residual block, with attention behind it where wanted."""

    def __init__(self, i: int, o: int, attention: bool):
        super().__init__()
        self.block, self.attention = AddedBlock(i, o), Attention(o) if attention else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return self.attention(self.block(x, embedding))


class AttentionUNet(nn.Module):
    """Raw network F(x_vp, t) over gray images: the residual U-Net with attention of the published CelebA experiment.

    One stage a multiplier, of channels * multiplier channels, each at half the resolution of the one before: two
    residual blocks going down, three coming up, two in the middle. Attention follows every block but those of the first
    stage and the second in the middle. A convolution of stride 2 leads down, nearest neighbor and a convolution up. The
    time t [B] enters by 16 cosines and sines at frequencies 10^4^(-i/16), Linear, GELU, Linear, 128 wide. Dropout .1.

    x_vp [B, 1, H, W] with sides divisible by 2^(stages - 1); the result has x's shape. `EpsilonDenoiser` makes a denoiser
    of it. Parameters: 4,023,233 as published, at 32 channels and multipliers 1, 2, 4. The frequencies and the initial
    weights, torch's own, are our choice of the usual ones. Raises ValueError for other shapes and for channels that are no
    multiple of 8. Source: the experiment of Garnier-Brun et al. 2026 (arXiv 2603.03469), as study 4 describes it.
    """

    def __init__(self, channels: int = 32, multipliers: tuple[int, ...] = (1, 2, 4)):
        super().__init__()
        channels, multipliers = channel_count(channels, GROUPS), checks.counts(multipliers, "multipliers")
        widths = [channels * multiplier for multiplier in multipliers]
        self.register_buffer("frequencies", 10_000.0 ** (-torch.arange(16) / 16), persistent=False)
        self.time = nn.Sequential(nn.Linear(32, EMBEDDING), nn.GELU(), nn.Linear(EMBEDDING, EMBEDDING))
        self.stem = nn.Conv2d(1, channels, 3, padding=1)
        kept = [channels]  # the channels of everything that is concatenated on the way up
        self.down, self.halve = nn.ModuleList(), nn.ModuleList()
        for stage, (before, width) in enumerate(pairwise([channels, *widths])):
            if stage:
                self.halve.append(nn.Conv2d(before, before, 3, stride=2, padding=1))
                kept.append(before)
            self.down.append(nn.ModuleList([Step(before, width, stage > 0), Step(width, width, stage > 0)]))
            kept += [width, width]
        self.mid = nn.ModuleList([Step(widths[-1], widths[-1], True), Step(widths[-1], widths[-1], False)])
        self.up, self.enlarge = nn.ModuleList(), nn.ModuleList()
        for stage, (before, width) in zip(reversed(range(len(widths))), pairwise([widths[-1], *reversed(widths)])):
            if len(self.up):
                self.enlarge.append(nn.Conv2d(before, before, 3, padding=1))
            self.up.append(nn.ModuleList([Step(i + kept.pop(), width, stage > 0) for i in (before, width, width)]))
        self.norm, self.last = nn.GroupNorm(GROUPS, widths[0]), nn.Conv2d(widths[0], 1, 3, padding=1)

    def forward(self, x_vp: Tensor, t: Tensor) -> Tensor:
        check_images(x_vp, len(self.halve))
        check_raw(self, x_vp, t)
        embedding = self.time(fourier(t, self.frequencies))
        h = self.stem(x_vp)
        kept = [h]
        for stage, steps in enumerate(self.down):
            if stage:
                h = self.halve[stage - 1](h)
                kept.append(h)
            for step in steps:
                h = step(h, embedding)
                kept.append(h)
        for step in self.mid:
            h = step(h, embedding)
        for stage, steps in enumerate(self.up):
            if stage:
                h = self.enlarge[stage - 1](interpolate(h, scale_factor=2, mode="nearest"))
            for step in steps:
                h = step(torch.cat([h, kept.pop()], dim=1), embedding)
        return self.last(silu(self.norm(h)))
