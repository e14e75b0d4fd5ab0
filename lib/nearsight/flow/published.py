"""The protocol of the published toy experiment, to its digits: the one place where numpy's legacy generator appears.

Every point has its own noise, drawn once and reused for every noise level and model; errors are L2 norms; the grid is
Karras et al.'s with 120 steps. Training and held-out points do not share their noise, so the published gap keeps an
offset of 0.01 at small sigma and peaks that are uncertain by 0.04 to 0.06. Exact gaps come from
`nearsight.quadrature`. Protocol: Kaiser and Kollmann 2026 (arXiv 2603.13419) and the notebooks they released.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from nearsight import checks
from nearsight.datasets.rings import on_ring
from nearsight.denoisers.compose import Denoiser
from nearsight.measures.gaps import GeneralizationGap, generalization_gap
from nearsight.noise import edm_sigmas


def published_sigmas(steps: int = 120) -> Tensor:
    """The published grid [steps]: Karras et al.'s levels, ascending from 0.002 to 80, without the final 0."""
    return edm_sigmas(checks.count(steps, "steps", at_least=2))[:-1].flip(0)


def published_noise(count: int, seed: int = 0, draws: int = 50) -> Tensor:
    """Standard normal noise [draws, count, 2] for `count` points."""
    count, draws = checks.count(count, "count"), checks.count(draws, "draws")
    return torch.from_numpy(_legacy(seed).randn(draws, count, 2))


def published_random_split(n: int, seed: int, radius: float = 10.0) -> tuple[Tensor, Tensor]:
    """Training and held-out points [n, 2] at random angles of a ring; the first n angles drawn are the held-out
    ones."""
    n = checks.count(n, "n")
    points = on_ring(torch.from_numpy(_legacy(seed).rand(2 * n)) * (2 * math.pi), radius)
    return points[n:], points[:n]


def published_gap(denoiser: Denoiser, train: Tensor, holdout: Tensor, seed: int = 0,
                  alternate: bool = True) -> GeneralizationGap:
    """Gap of `denoiser` on the published grid by the published Monte-Carlo protocol, metric "norm".

    The noise of all points is drawn in one block and dealt in their order: on the lattice training and held-out points
    `alternate`, of random points the held-out half comes first. Costs 120 * 50 * 2 N calls.
    """
    checks.points(train, "train"), checks.points(holdout, "holdout")
    checks.instance(alternate, "alternate", bool, "True or False")
    if train.shape[1:] != (2,) or (alternate and len(train) != len(holdout)):
        raise ValueError(f"train has shape {list(train.shape)} and holdout {list(holdout.shape)}; expected points of the "
                         "plane, [N, 2], and equally many where they alternate.")
    noise = published_noise(len(train) + len(holdout), seed).to(train)
    pair = (noise[:, 0::2], noise[:, 1::2]) if alternate else (noise[:, len(holdout):], noise[:, :len(holdout)])
    return generalization_gap(denoiser, train, holdout, published_sigmas(), metric="norm", noise=pair)


def _legacy(seed: int) -> np.random.RandomState:
    """numpy's legacy generator, whose seeds have 32 bits."""
    if not 0 <= checks.whole(seed, "seed") < 2**32:
        raise ValueError(f"seed is {seed}; expected a whole number from 0 to 2^32 - 1.")
    return np.random.RandomState(seed)
