"""What the image networks share: noise features, the residual block that the noise steers, the check of the images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from nearsight import checks


def fourier(values: Tensor, frequencies: Tensor) -> Tensor:
    """Features [cos(f v), sin(f v)] of values [B] at frequencies [F]: [B, 2F]."""
    angles = values[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def zeroed(layer: nn.Module) -> nn.Module:
    """The layer with all its weights set to zero: what it feeds starts as if it were not there."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class NoiseEmbedding(nn.Module):
    """Embedding [B, width] of c_noise [B]: cos and sin at log-spaced frequencies 1 ... 1000, two linear layers, SiLU
    after each but, so that a class can still be added to it, not the last."""

    def __init__(self, frequencies: int, width: int):
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(0, 3, frequencies), persistent=False)
        self.layers = nn.Sequential(nn.Linear(2 * frequencies, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, c_noise: Tensor) -> Tensor:
        return self.layers(fourier(c_noise, self.frequencies))


class Block(nn.Module):
    """Residual block: skip(x) + conv(SiLU(norm(conv(SiLU(norm(x)))) * (1 + scale) + shift)), convolutions of 3x3.

    Images [B, i, H, W] and an embedding [B, e], from which scale and shift are read, to [B, o, H, W]. The second
    convolution starts at zero, so the block starts as its skip: the identity, or a 1x1 convolution where i differs
    from o. Parameters for i = o: 18 o^2 + (8 + 2 e) o.
    """

    def __init__(self, i: int, o: int, embedding: int, groups: int):
        super().__init__()
        self.first_norm, self.first = nn.GroupNorm(groups, i), nn.Conv2d(i, o, 3, padding=1)
        self.steer = nn.Linear(embedding, 2 * o)
        self.second_norm, self.second = nn.GroupNorm(groups, o), zeroed(nn.Conv2d(o, o, 3, padding=1))
        self.skip = nn.Identity() if i == o else nn.Conv2d(i, o, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.first(silu(self.first_norm(x)))
        scale, shift = self.steer(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.second(silu(self.second_norm(h) * (1 + scale) + shift))
        return self.skip(x) + h


def check_raw(network: nn.Module, x: Tensor, c_noise: Tensor) -> None:
    """Raise TypeError or ValueError unless x and c_noise [B] are in the dtype and on the device of the network's weights.

    Nothing is read from the device: a raw network is called within loops.
    """
    checks.floating(c_noise, "c_noise", (len(checks.batch(x)),))
    weights = next(network.parameters())
    for name, given in {"x": x, "c_noise": c_noise}.items():
        if given.dtype != weights.dtype and not torch.is_autocast_enabled(given.device.type):
            raise TypeError(f"{name} has dtype {given.dtype} and the weights {weights.dtype}; expected one dtype: try "
                            f"{name}.to({weights.dtype}), or Preconditioned(network), which does that.")
        checks.same_device(weights, given, "the network", name)


def channel_count(channels: int, groups: int) -> int:
    """Return `channels` as an int if it is a whole number of groups >= 1, as group normalization needs."""
    if checks.count(channels, "channels") % groups:
        raise ValueError(f"channels is {channels}; expected a multiple of {groups}.")
    return int(channels)


def check_images(x: Tensor, halvings: int) -> None:
    """Raise ValueError unless x is a batch of gray images [B, 1, H, W] that can be halved `halvings` times."""
    if checks.batch(x).ndim != 4 or x.shape[1] != 1 or 0 in x.shape[2:]:
        raise ValueError(f"x has shape {list(x.shape)}; expected gray images [B, 1, H, W].")
    if any(side % 2**halvings for side in x.shape[2:]):
        possible = min((side & -side).bit_length() - 1 for side in x.shape[2:])
        raise ValueError(f"images of {x.shape[2]}x{x.shape[3]} pixels cannot be halved {halvings} times: "
                         f"they allow at most depth {possible}.")
