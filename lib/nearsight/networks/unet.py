"""The U-Net of study 4: a million parameters for 16-pixel images, so that a laptop can train a family of them."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, silu

from nearsight import checks
from nearsight.networks.blocks import Block, NoiseEmbedding, channel_count, check_images, check_raw, zeroed

EMBEDDING, GROUPS = 128, 8


class UNet(nn.Module):
    """Raw network F(x, c_noise, labels=None) over gray images: a residual U-Net without attention.

    One stage a multiplier, of channels * multiplier channels, each at half the resolution of the one before. A stage
    has one residual block going down and two coming up; one block stands in the middle; a convolution of stride 2
    leads down, the nearest neighbor up. Everything computed on the way down is concatenated on the way up. The last
    convolution starts at zero.

    x [B, 1, H, W] with sides divisible by 2^(stages - 1), c_noise [B]; the result has x's shape. With classes > 0,
    labels [B] are int64 in 0..classes, where index `classes`, also what None stands for, means "no class": their
    embedding is added to that of the noise. Raises ValueError for other shapes, for labels without classes and for
    labels out of range (these, on a GPU, stop the program by the device's own assertion: nothing is read back).
    Parameters (no classes): 295,905, 963,777 and 2,028,449 at 16, 32 and 48 channels, which must be a multiple of 8.
    """

    def __init__(self, channels: int = 32, multipliers: tuple[int, ...] = (1, 2, 2), classes: int = 0):
        super().__init__()
        channels, classes = checks.count(channels, "channels"), checks.count(classes, "classes", at_least=0)
        multipliers = checks.counts(multipliers, "multipliers")
        for multiplier in multipliers:
            channel_count(channels * multiplier, GROUPS)
        widths = [channels * multiplier for multiplier in multipliers]
        self.classes = classes
        self.noise = NoiseEmbedding(32, EMBEDDING)
        self.label = nn.Embedding(classes + 1, EMBEDDING) if classes else None
        self.stem = nn.Conv2d(1, channels, 3, padding=1)
        kept = [channels]  # the channels of everything that is concatenated on the way up
        self.down, self.halve = nn.ModuleList(), nn.ModuleList()
        for stage, (width_before, width) in enumerate(pairwise([channels, *widths])):
            if stage:
                self.halve.append(nn.Conv2d(width_before, width_before, 3, stride=2, padding=1))
                kept.append(width_before)
            self.down.append(Block(width_before, width, EMBEDDING, GROUPS))
            kept.append(width)
        top, bottom = widths[0], widths[-1]
        self.mid = Block(bottom, bottom, EMBEDDING, GROUPS)
        self.up = nn.ModuleList()
        for width_before, width in pairwise([bottom, *reversed(widths)]):
            self.up.append(Block(width_before + kept.pop(), width, EMBEDDING, GROUPS))
            self.up.append(Block(width + kept.pop(), width, EMBEDDING, GROUPS))
        self.norm, self.last = nn.GroupNorm(GROUPS, top), zeroed(nn.Conv2d(top, 1, 3, padding=1))

    def forward(self, x: Tensor, c_noise: Tensor, labels: Tensor | None = None) -> Tensor:
        check_images(x, len(self.halve))
        check_raw(self, x, c_noise)
        embedding = silu(self._embed(c_noise, labels))
        h = self.stem(x)
        kept = [h]
        for stage, block in enumerate(self.down):
            h = block(h, embedding)
            kept.append(h)
            if stage < len(self.halve):
                h = self.halve[stage](h)
                kept.append(h)
        h = self.mid(h, embedding)
        for index, block in enumerate(self.up):
            if index and index % 2 == 0:
                h = interpolate(h, scale_factor=2, mode="nearest")
            h = block(torch.cat([h, kept.pop()], dim=1), embedding)
        return self.last(silu(self.norm(h)))

    def _embed(self, c_noise: Tensor, labels: Tensor | None) -> Tensor:
        """Embedding of noise and class, [B, 128]."""
        embedding = self.noise(c_noise)
        if self.label is None:
            if labels is not None:
                raise ValueError("labels came, but the network has no classes: try UNet(classes=...).")
            return embedding
        if labels is None:
            labels = torch.full_like(c_noise, self.classes, dtype=torch.int64)
        if checks.tensor(labels, "labels").shape != c_noise.shape or labels.dtype != torch.int64:
            raise ValueError(f"labels are {checks.came(labels)}; expected int64, one for each of the {len(c_noise)} images.")
        checks.same_device(c_noise, labels, "x", "labels")
        try:  # the lookup itself finds what is out of range; to look first would make a GPU wait
            return embedding + self.label(labels)
        except IndexError as error:
            raise ValueError(f"labels run from {labels.min()} to {labels.max()}; expected 0 to {self.classes}, "
                             f"where {self.classes} means no class.") from error
