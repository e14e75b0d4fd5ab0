"""The gap of recorded networks between their own data and others', of errors and of samples, and where its bump lies.

Readings of study 4, as in `image_readings`: pair by pair, so that the difficulty of sets cancels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nearsight import checks
from nearsight.gaussian import squared_bures
from nearsight.records.computing import Results
from nearsight.studies.image_measures import SIGMAS
from nearsight.studies.image_readings import Networks, Pair


def crossed_errors(networks: Networks) -> dict[Pair, Tensor]:
    """Errors [2, S, 24] of each pair at the noise levels `image_measures.SIGMAS`: on their own blocks,
    [E_i(i) + E_j(j)] / 2, and on each other's, [E_i(j) + E_j(i)] / 2."""
    error = {label: curve.double() for label, curve in networks.curve("error").items()}
    return {(i, j, seed): torch.stack([error[i, seed][:, i] + error[j, seed][:, j],
                                       error[i, seed][:, j] + error[j, seed][:, i]]) / 2 for i, j, seed in networks.pairs}


def crossed_gaps(networks: Networks) -> dict[Pair, Tensor]:
    """[E_i(j) + E_j(i)] / [E_i(i) + E_j(j)] - 1 [S, 24] of each pair: the gap in which the difficulty of sets cancels.
    Source: study 4; `measures.crossed_gap` for the errors of single images."""
    return {pair: other / own - 1 for pair, (own, other) in crossed_errors(networks).items()}


def summit(gap: Tensor) -> Tensor:
    """Height of the bump of a gap [..., 24] at the noise levels `image_measures.SIGMAS`, and ln sigma there: [2, ...].

    Both by the parabola in ln sigma through the largest value inside and its two neighbors, so that they do not jump from
    one level to the next when a block is left out.
    """
    top = checks.floating(gap, "gap", (*gap.shape[:-1], len(SIGMAS)))[..., 1:-1].argmax(-1, keepdim=True) + 1
    before, middle, after = (gap.gather(-1, top + shift).squeeze(-1) for shift in (-1, 0, 1))
    tilt, bend = (after - before) / 2, (before - 2 * middle + after).clamp(max=-torch.finfo(gap.dtype).tiny)
    place = (tilt / -bend).clamp(-1, 1)  # steps of the grid; beyond the neighbors where the gap has no bump
    levels = SIGMAS.log()
    return torch.stack([middle + tilt * place / 2, levels[top.squeeze(-1)] + (levels[1] - levels[0]) * place])


def frechet_to(networks: Networks, features: Tensor) -> dict[tuple[int, int], Tensor]:
    """Frechet distance [S] of each network's samples to a set of features [N, k], by their recorded mean and covariance:
    `measures.frechet` for the samples themselves."""
    features = features.double()
    center, spread = features.mean(0), features.T.cov()

    def distances(results: Results) -> Tensor:
        means, covariances = (results.curve(name)[1].double() for name in ("mean", "covariance"))
        return torch.stack([(mean - center).square().sum() + squared_bures(covariance, spread)
                            for mean, covariance in zip(means, covariances)])

    return {label: distances(results) for label, results in networks.results.items()}


def inference_gaps(networks: Networks, features: Tensor) -> dict[Pair, Tensor]:
    """(Z_ij + Z_ji - Z_ii - Z_jj) / 2 [S] of each pair, Z_ij the distance of `frechet_to` from the samples of block i's
    network to the features [B, n, k] of block j: 0 for networks that make the same samples, and `measures.frechet` of the
    two blocks for networks whose samples are their blocks."""
    far = [frechet_to(networks, block) for block in features]
    return {(i, j, seed): (far[j][i, seed] + far[i][j, seed] - far[i][i, seed] - far[j][j, seed]) / 2
            for i, j, seed in networks.pairs}
