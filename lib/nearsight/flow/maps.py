"""The gap of every place of the plane, and the regions that a denoiser treats like training data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy import ndimage
from torch import Tensor

from nearsight import checks
from nearsight.checks.results import Readable, span
from nearsight.denoisers.compose import Denoiser
from nearsight.measures.gaps import point_errors


@dataclass(frozen=True, repr=False)
class GapMap(Readable):
    """Relative gap `gap` [rows, columns] at the places (axis[column], axis[row]); `axis` is [rows], rising."""

    axis: Tensor
    gap: Tensor

    def _pairs(self) -> dict[str, object]:
        rows, columns = self.gap.shape
        return {"places": f"{rows} x {columns}", "axis": span(self.axis), "gap": span(self.gap)}

    def islands(self, level: float = 0.5) -> int:
        """Number of separate regions {gap < level}; regions that touch at a corner only are separate."""
        return int(ndimage.label((self.gap < checks.finite(level, "level")).cpu().numpy())[1])

    def share(self, level: float = 0.5) -> float:
        """Share of the window with gap < level."""
        return float((self.gap < checks.finite(level, "level")).cpu().double().mean())


def place_gap(denoiser: Denoiser, train: Tensor, places: Tensor, sigma: float, noise: Tensor,
              weights: Tensor | None = None, metric: str = "norm") -> Tensor:
    """Relative gap g(p) = (E_p - E_train) / E_train of clean places p [P, 2] at one noise level; returns [P].

    E_p is the denoising error of the place as if it were data, E_train the mean over the training points; all share the
    noise [draws, 2], so that g is 0 on a training point of a lattice.
    """
    checks.points(train, "train")
    if checks.batch(noise, "noise").shape[1:] != train.shape[1:]:
        raise ValueError(f"noise has shape {list(noise.shape)}; expected [draws, {', '.join(map(str, train.shape[1:]))}].")
    checks.same_event(train, places, "train", "places")
    shared = {"metric": metric, "noise": noise[:, None], "weights": weights}
    reference = point_errors(denoiser, train, [sigma], **shared).mean()
    return point_errors(denoiser, places, [sigma], **shared)[0] / reference - 1


def gap_map(denoiser: Denoiser, train: Tensor, sigma: float, noise: Tensor, weights: Tensor | None = None,
            window: float = 15.0, pixels: int = 121, metric: str = "norm") -> GapMap:
    """`place_gap` on the square [-window, window]^2, pixels on a side. Costs pixels^2 * draws denoiser calls, row by
    row."""
    edge, pixels = checks.positive(window, "window"), checks.count(pixels, "pixels")
    if checks.points(train, "train").shape[1:] != (2,):
        raise ValueError(f"train has shape {list(train.shape)}; expected points of the plane, [N, 2].")
    axis = torch.linspace(-edge, edge, pixels, dtype=train.dtype).to(train.device)
    places = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), 2).flatten(0, 1)
    gap = place_gap(denoiser, train, places, sigma, noise, weights, metric)
    return GapMap(axis, gap.unflatten(0, (pixels, pixels)))
