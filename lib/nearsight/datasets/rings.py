"""Points on a ring in the plane: the data of study 2, on a lattice or at random angles."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from nearsight import checks


def on_ring(angles: Tensor, radius: float = 10.0) -> Tensor:
    """Return the points radius (cos theta, sin theta), [N, 2], for angles [N] in radians."""
    checks.floating(angles, "angles")
    return checks.positive(radius, "radius") * torch.stack([angles.cos(), angles.sin()], -1)


def ring(n: int, radius: float = 10.0, turn: float = 0.0, generator: Generator | None = None) -> Tensor:
    """Return n points on a ring, [n, 2] float64: theta_k = 2 pi (k / n + turn), k = 0 ... n - 1.

    turn is a share of the full circle. With a generator the lattice k / n is replaced by independent uniform numbers.
    Raises ValueError for n < 1, a radius that is not > 0 and a turn that is not finite.
    """
    n, turn = checks.count(n, "n"), checks.finite(turn, "turn")
    if generator is None:
        shares = torch.arange(n, dtype=torch.float64) / n
    else:
        checks.generator(generator)
        shares = torch.rand(n, dtype=torch.float64, generator=generator, device=generator.device)
    return on_ring(2 * math.pi * (shares + turn), radius)


def ring_split(n: int, radius: float = 10.0, turn: float = 0.0,
               generator: Generator | None = None) -> tuple[Tensor, Tensor]:
    """Return (train, holdout), n points each, [n, 2] float64.

    Of the lattice theta_k = 2 pi (k / 2n + turn), k = 0 ... 2n - 1, even k train and odd k are held out, so that each
    held-out point sits in the middle of an arc. With a generator all 2n angles are independent and uniform; the first
    half is held out, as in the published protocol.

    Source: study 2, after Kaiser and Kollmann, arXiv 2603.13419. Raises ValueError as `ring` does.
    """
    n, turn = checks.count(n, "n"), checks.finite(turn, "turn")
    if generator is None:
        return ring(n, radius, turn), ring(n, radius, turn + 1 / (2 * n))
    holdout = ring(n, radius, turn, generator)
    return ring(n, radius, turn, generator), holdout
