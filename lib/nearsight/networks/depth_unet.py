"""The U-Net of study 5: depth, the number of halvings of resolution, as an argument of its own beside the width."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, silu

from nearsight import checks
from nearsight.denoisers.compose import Denoiser
from nearsight.networks.blocks import Block, NoiseEmbedding, channel_count, check_images, check_raw, zeroed

EMBEDDING, GROUPS = 64, 4


class Mid(nn.Module):
    """The middle: two residual blocks; `context` adds, after each, its channel means through a linear layer."""

    def __init__(self, channels: int, context: bool):
        super().__init__()
        self.blocks = nn.ModuleList(Block(channels, channels, EMBEDDING, GROUPS) for _ in range(2))
        self.context = nn.ModuleList(nn.Linear(channels, channels) for _ in range(2)) if context else None

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        for index, block in enumerate(self.blocks):
            h = block(h, embedding)
            if self.context is not None:
                h = h + self.context[index](h.mean((2, 3)))[:, :, None, None]
        return h


class DepthUNet(nn.Module):
    """Raw network F(x, c_noise) over gray images that is halved `depth` times, with `channels` channels everywhere.

    A block and a convolution of stride 2 a level going down; two blocks in `mid`; the nearest neighbor, the
    concatenated skip and a block a level coming up. The last convolution starts at zero. The receptive field is
    18 * 2^depth - 5 pixels, so on 16-pixel images depth goes with width of view; there are two controls for that. `context`
    lets a shallow network see the means of the whole image; without `halving` the blocks are as many, at stride 1, and the
    receptive field is 13 + 10 depth pixels.

    x [B, 1, H, W], c_noise [B]; the result has x's shape. Raises ValueError for sides that cannot be halved so often.
    Parameters: 6273 + 293 c + 36 c^2 + depth (56 c^2 + 276 c), with context 2 (c^2 + c) more; c is a multiple of 4.
    """

    def __init__(self, depth: int, channels: int, context: bool = False, halving: bool = True):
        super().__init__()
        depth, channels = checks.count(depth, "depth", at_least=0), channel_count(channels, GROUPS)
        context, halving = checks.flag(context, "context"), checks.flag(halving, "halving")
        self.stride = 2 if halving else 1
        self.noise = NoiseEmbedding(16, EMBEDDING)
        self.stem = nn.Conv2d(1, channels, 3, padding=1)
        self.down = nn.ModuleList(Block(channels, channels, EMBEDDING, GROUPS) for _ in range(depth))
        self.halve = nn.ModuleList(nn.Conv2d(channels, channels, 3, self.stride, 1) for _ in range(depth))
        self.mid = Mid(channels, context)
        self.up = nn.ModuleList(Block(2 * channels, channels, EMBEDDING, GROUPS) for _ in range(depth))
        self.norm, self.last = nn.GroupNorm(GROUPS, channels), zeroed(nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        check_images(x, len(self.down) if self.stride == 2 else 0)
        check_raw(self, x, c_noise)
        embedding = silu(self.noise(c_noise))
        h, skips = self.stem(x), []
        for block, halve in zip(self.down, self.halve):
            skips.append(block(h, embedding))
            h = halve(skips[-1])
        h = self.mid(h, embedding)
        for block in self.up:
            h = interpolate(h, scale_factor=self.stride, mode="nearest")
            h = block(torch.cat([h, skips.pop()], dim=1), embedding)
        return self.last(silu(self.norm(h)))


def solve_width(depth: int, parameters: int) -> int:
    """The width, a multiple of 4 channels, at which `DepthUNet(depth, width)` has nearest to so many parameters."""
    depth, parameters = checks.count(depth, "depth", at_least=0), checks.count(parameters, "parameters")

    def distance(c: int) -> int:
        return abs(6273 + 293 * c + 36 * c**2 + depth * (56 * c**2 + 276 * c) - parameters)
    channels = 4
    while distance(channels + 4) < distance(channels):
        channels += 4
    return channels


def bypassed(denoiser: nn.Module, block: nn.Module, gain: Callable[[Tensor | float], Tensor | float]) -> Denoiser:
    """The denoiser with one of its blocks partly bypassed: h -> g(sigma) block(h) + (1 - g(sigma)) h.

    `block` is a submodule of `denoiser` that keeps its first input's shape, such as `network.mid`; `gain` gives g, a
    number or one value an event, from sigma. g = 1 is the untouched network. Returns a denoiser(x, sigma). Our reading
    of the mid-block bypass that arXiv 2505.17560 (version 1) describes in words only.
    """
    checks.instance(denoiser, "denoiser", nn.Module, "a network, a torch.nn.Module")
    checks.instance(block, "block", nn.Module, "a submodule of the denoiser")
    checks.function(gain, "gain", "a function of sigma")

    def weakened(x: Tensor, sigma: float | Tensor) -> Tensor:
        g = checks.per_event(gain(sigma), checks.batch(x), "gain(sigma)", x.dtype)
        handle = block.register_forward_hook(lambda _, inputs, out: torch.lerp(inputs[0], out, g.to(out.dtype)))
        try:
            return denoiser(x, sigma)
        finally:
            handle.remove()
    return weakened
