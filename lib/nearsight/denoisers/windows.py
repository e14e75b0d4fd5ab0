"""A denoiser that sees an image through windows alone: four of them, that overlap, with their means where they do."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from nearsight import checks
from nearsight.denoisers.compose import Denoiser
from nearsight.denoisers.empirical import EmpiricalDenoiser


class Windowed:
    """The denoiser that looks at the four corners of an image, each by itself, and averages where they overlap.

        D(x, sigma)_p = mean over the windows v that hold pixel p of D_v(x_v, sigma)_p

    denoisers: one for each window, in the order upper left, upper right, lower left, lower right; x_v are the crops
    [B, C, window, window]. With a window as large as the image all four see all of it.

    x [B, C, H, W] with window <= H, W <= 2 window; sigma a number or [B]; returns the shape and dtype of x. Raises
    ValueError for other than four denoisers, window < 1, and at the call for sides that the windows do not cover.
    Cost: one call of each. Source: Kaiser and Kollmann 2026 (arXiv 2603.13419), as study 4 describes it.
    """

    def __init__(self, denoisers: Sequence[Denoiser], window: int):
        if not isinstance(denoisers, (list, tuple)) or len(denoisers) != 4:
            raise ValueError(f"denoisers is {checks.came(denoisers)}; expected four of them, one a window.")
        self.denoisers = [checks.denoiser(denoiser, "a denoiser of windows") for denoiser in denoisers]
        self.window = checks.count(window, "window")

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        seen = windows(x, self.window)
        total, times = torch.zeros_like(x), torch.zeros_like(x[:1, :1])
        for number, denoiser in enumerate(self.denoisers):
            room = _around(number, x, self.window)
            total = total + pad(denoiser(seen[number], sigma), room)
            times = times + pad(torch.ones_like(seen[number, :1, :1]), room)
        return total / times


def windows(images: Tensor, window: int) -> Tensor:
    """The four corners of images [N, C, H, W]: [4, N, C, window, window], in the order of `Windowed`.

    Raises ValueError where they do not cover the image."""
    window = checks.count(window, "window")
    sides = checks.floating(checks.batch(images, "images"), "images").shape[2:]
    if len(sides) != 2 or not all(window <= side <= 2 * window for side in sides):
        raise ValueError(f"images have shape {list(images.shape)}; expected [N, C, H, W] with sides of {window} to "
                         f"{2 * window} pixels, so that four windows of {window} cover them.")
    first, last = slice(None, window), slice(-window, None)
    return torch.stack([images[:, :, rows, columns] for rows in (first, last) for columns in (first, last)])


def window_memorizer(images: Tensor, window: int, blur: float = 0.0) -> Windowed:
    """The optimal denoiser of a finite set of images among those that see one window at a time, and know which one.

    In each window it is the `EmpiricalDenoiser` of the crops there; with a window as large as the images it is that of
    the images. images [N, C, H, W]. Errors and cost: as for the two.
    """
    return Windowed([EmpiricalDenoiser(crops, blur) for crops in windows(images, window)], window)


def _around(number: int, x: Tensor, window: int) -> tuple[int, int, int, int]:
    """The pixels left, right, above and below a window in images [B, C, H, W]."""
    below, right = (side - window for side in x.shape[2:])
    return (right if number % 2 else 0, 0 if number % 2 else right, below if number > 1 else 0, 0 if number > 1 else below)
