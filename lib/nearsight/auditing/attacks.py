"""Can an attacker tell training images from unseen ones? By a network's errors, and by the distance to its samples."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import mannwhitneyu
from torch import Generator, Tensor

from nearsight.measures import area_under_curve, calibrated_threshold, hanley_mcneil, wilson


class Rate(NamedTuple):
    """The share of members found at a false-positive rate that `calibration` outsiders hold, with its interval, and the
    rate realized on others; None where they are too few to hold it."""

    fpr: float
    tpr: float | None
    low: float | None
    high: float | None
    realised_fpr: float | None
    calibration: int


class Attack(NamedTuple):
    """The area under the ROC curve with its interval and one-sided p-value, the `rates`, the scores that were judged, and
    for a network the noise level that was chosen and the `smallest_sd` of the area under the null."""

    auc: float
    low: float
    high: float
    p_value: float
    rates: list[Rate]
    members: np.ndarray
    outsiders: np.ndarray
    sigma: float | None
    null_sd: float


def network_attack(errors: np.ndarray, sigmas: Tensor, fprs: tuple[float, ...], generator: Generator) -> Attack:
    """The score -ln e(sigma) from the errors [S, 2n] of cards, training cards first.

    A random half of the pairs chooses sigma, by the largest area, and sets the thresholds; the other half gives all that
    is reported. A threshold that is chosen on the images it is judged on finds members where there is nothing to find.
    """
    with np.errstate(divide="ignore"):
        members, outsiders = np.split(-np.log(errors), 2, axis=1)
    calibration, evaluation = halves(members.shape[1], generator)
    areas = [area(members[level, calibration], outsiders[level, calibration]) for level in range(len(errors))]
    best = int(np.argmax(areas))
    return _attack(members[best, evaluation], outsiders[best, evaluation], members[best, evaluation],
                   outsiders[best, calibration], outsiders[best, evaluation], fprs, float(sigmas[best]))


def sample_attack(distance: np.ndarray, fprs: tuple[float, ...], generator: Generator) -> Attack:
    """The score -distance to the nearest sample, for cards [2n], training cards first: no network is needed.

    Nothing is chosen, so the area uses all cards; only the thresholds need a calibration half of the held-out ones.
    """
    members, outsiders = np.split(-distance, 2)
    calibration, evaluation = halves(len(members), generator)
    return _attack(members, outsiders, members, outsiders[calibration], outsiders[evaluation], fprs, None)


def halves(count: int, generator: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two random halves of the numbers below `count`."""
    order = torch.randperm(count, generator=generator).numpy()
    return order[:count // 2], order[count // 2:]


def area(members: np.ndarray, outsiders: np.ndarray) -> float:
    """The area under the ROC curve of two sets of scores, which may be infinite."""
    return area_under_curve(torch.from_numpy(members), torch.from_numpy(outsiders))


def _attack(members: np.ndarray, outsiders: np.ndarray, hunted: np.ndarray, calibration: np.ndarray,
            evaluation: np.ndarray, fprs: tuple[float, ...], sigma: float | None) -> Attack:
    """Judge scores of members and outsiders; the rates are those of `hunted` members at calibrated thresholds."""
    auc = area(members, outsiders)
    counts = len(members), len(outsiders)
    p_value = float(mannwhitneyu(members, outsiders, alternative="greater", method="asymptotic").pvalue)
    rates = [_rate(fpr, hunted, calibration, evaluation) for fpr in fprs]
    return Attack(auc, *hanley_mcneil(auc, *counts), 1.0 if math.isnan(p_value) else p_value, rates, members, outsiders,
                  sigma, math.sqrt((sum(counts) + 1) / (12 * counts[0] * counts[1])))


def _rate(fpr: float, hunted: np.ndarray, calibration: np.ndarray, evaluation: np.ndarray) -> Rate:
    threshold = calibrated_threshold(torch.from_numpy(calibration), fpr)
    if math.isnan(threshold):
        return Rate(fpr, None, None, None, None, len(calibration))
    hits = int((hunted > threshold).sum())
    return Rate(fpr, hits / len(hunted), *wilson(hits, len(hunted)), float((evaluation > threshold).mean()),
                len(calibration))
