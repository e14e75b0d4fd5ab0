"""What an image set is: images in network units, their labels, and the affine map that leads back to pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nearsight import checks
from nearsight.checks.results import Readable

SIGMA_DATA = 0.5
"""Standard deviation per pixel in network units (sigma_data of Karras et al. 2022)."""


@dataclass(frozen=True)
class Scaling:
    """The affine map y = 0.5 (v - mean) / deviation from pixel values v to network units y.

    mean, deviation: over all pixels of a data set, so that y has mean 0 and standard deviation 0.5 per pixel.
    white: the pixel value of full brightness; 0 is black.
    Raises ValueError unless deviation and white are finite and > 0.
    """

    mean: float
    deviation: float
    white: float = 255.0

    def __post_init__(self):
        checks.finite(self.mean, "mean")
        checks.positive(self.deviation, "deviation")
        checks.positive(self.white, "white")

    @classmethod
    def measured(cls, values: np.ndarray) -> Scaling:
        """Return the map under which `values`, of any shape and in 0..255, have mean 0 and deviation 0.5."""
        if not _pixel_values(values).size:
            raise ValueError("no pixel values came; expected at least one.")
        return cls(float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64)))

    def network(self, values: np.ndarray) -> Tensor:
        """Return pixel values of any shape in network units, float32, computed in float64.

        Raises ValueError if a value lies outside 0..white.
        """
        if _pixel_values(values).size and not (values.min() >= 0 and values.max() <= self.white):
            raise ValueError(f"pixel values run from {values.min():g} to {values.max():g}; expected 0 to "
                             f"{self.white:g}: try the scaling that belongs to these images.")
        y = values.astype(np.float64)
        y -= self.mean
        y *= SIGMA_DATA / self.deviation
        return torch.from_numpy(y.astype(np.float32))

    def pixels(self, images: Tensor) -> Tensor:
        """Return images for display: brightness from 0 (black) to 1 (white), clamped, in the dtype of `images`."""
        checks.floating(images, "images")
        return ((images * (self.deviation / SIGMA_DATA) + self.mean) / self.white).clamp(0, 1)


def _pixel_values(values: np.ndarray) -> np.ndarray:
    """Return `values` if it is an array of real numbers."""
    checks.instance(values, "values", np.ndarray, "a numpy array of pixel values")
    if values.dtype.kind not in "uif":
        raise TypeError(f"values has dtype {values.dtype}; expected real numbers.")
    return values


@dataclass(frozen=True, eq=False, repr=False)
class Images(Readable):
    """A set of images in network units.

    images: [N, C, H, W] float32. labels: [N] int64 indices into `classes`, or None where the source names no classes.
    """

    images: Tensor
    labels: Tensor | None
    classes: tuple[str, ...]
    scaling: Scaling

    def _pairs(self) -> dict[str, object]:
        classes = {"classes": len(self.classes)} if self.classes else {}
        return {"images": len(self.images), "shape": list(self.images.shape[1:])} | classes

    def pixels(self, images: Tensor | None = None) -> Tensor:
        """Return `images`, or by default the images of the set, as brightness in 0..1 for display."""
        return self.scaling.pixels(self.images if images is None else images)
