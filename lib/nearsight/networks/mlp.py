"""A multilayer perceptron over events of any shape, for the plane, Gaussians and very small images."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from nearsight import checks
from nearsight.networks.blocks import check_raw, fourier, zeroed


class MLP(nn.Module):
    """Raw network F(x, c_noise): `layers` hidden layers of `width` units with SiLU.

    They see x [B, *event], of `dimension` entries an event, with l = c_noise [B] and the cosines and sines of 2 l and
    4 l; the result has x's shape. The last layer starts at zero.
    Raises ValueError where the event has another number of entries.
    Parameters: (d + 6) w + (layers - 1) (w^2 + w) + (w + 1) d. Cost: as many multiplications an event.
    """

    def __init__(self, dimension: int, width: int = 128, layers: int = 3):
        super().__init__()
        self.dimension = dimension = checks.count(dimension, "dimension")
        width, layers = checks.count(width, "width"), checks.count(layers, "layers")
        self.register_buffer("frequencies", torch.tensor([2.0, 4.0]), persistent=False)
        widths = [dimension + 5, *[width] * layers]
        hidden = [module for i, o in pairwise(widths) for module in (nn.Linear(i, o), nn.SiLU())]
        self.layers = nn.Sequential(*hidden, zeroed(nn.Linear(width, dimension)))

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        check_raw(self, x, c_noise)
        if x.shape[1:].numel() != self.dimension:
            raise ValueError(f"x has shape {list(x.shape)}; expected {self.dimension} entries an event.")
        features = torch.cat([x.flatten(1), c_noise[:, None], fourier(c_noise, self.frequencies)], dim=1)
        return self.layers(features).view(x.shape)
