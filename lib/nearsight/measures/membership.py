"""Membership inference: can an attacker tell from a denoiser's errors which images it was trained on?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.stats import rankdata
from torch import Generator, Tensor

from nearsight import checks
from nearsight.checks.results import Readable, interval, number
from nearsight.denoisers.compose import Denoiser
from nearsight.measures.gaps import point_errors
from nearsight.measures.intervals import clopper_pearson, hanley_mcneil


@dataclass(frozen=True, repr=False)
class Membership(Readable):
    """How well a score separates members from outsiders, with 95 % intervals.

    `auc` (Hanley and McNeil's interval) uses all scores. `tpr` (Clopper and Pearson's) is the share of members found at
    the threshold that holds `false_positive_rate`, set on one half of the outsiders; `realized_fpr` is the rate of
    false alarms on the other half. All four are nan where the first half is too small to set it.
    """

    auc: float
    auc_low: float
    auc_high: float
    false_positive_rate: float
    tpr: float
    tpr_low: float
    tpr_high: float
    realized_fpr: float
    member_scores: Tensor
    outsider_scores: Tensor

    def _pairs(self) -> dict[str, object]:
        found = interval(self.tpr, self.tpr_low, self.tpr_high)
        return {"auc": interval(self.auc, self.auc_low, self.auc_high),
                "tpr": f"{found} at fpr {number(self.false_positive_rate)}",
                "members": len(self.member_scores), "outsiders": len(self.outsider_scores)}


def membership(denoiser: Denoiser, members: Tensor, outsiders: Tensor, sigmas: Tensor, draws: int,
               generator: Generator, reference: Denoiser | None = None,
               false_positive_rate: float = 0.01) -> Membership:
    """Attack a denoiser with the score of study 4: images that it denoises well are called members.

        score(y) = -mean over sigma and draws of |D(y + sigma eps, sigma) - y|^2 / (d sigma^2)

    One noise [draws, *event] serves all images. `reference`, a denoiser that was not trained on the members, makes the
    calibrated attack: the score less its own, which takes out how hard an image is for anyone.

    members [n, *event], outsiders [m, *event], sigmas [S] > 0. A random half of the outsiders sets the threshold.
    Raises ValueError for fewer than two outsiders or a noise level of 0.
    Cost: S draws (n + m) events through each denoiser.
    """
    checks.points(outsiders, "outsiders", at_least=2)
    checks.same_event(members, outsiders, "members", "outsiders")
    checks.generator(generator, members.device), checks.generator(generator)
    draws, false_positive_rate = checks.count(draws, "draws"), _rate(false_positive_rate)
    checks.points(members, "members")
    levels = checks.grid(sigmas)
    if levels.min() <= 0:
        raise ValueError("sigmas holds a 0; expected noise levels > 0: without noise every image scores the same.")
    noise = torch.randn(draws, 1, *members.shape[1:], generator=generator, dtype=members.dtype, device=members.device)

    models = [denoiser] if reference is None else [denoiser, reference]

    def scores(points: Tensor) -> Tensor:
        errors = (point_errors(model, points, levels, noise=noise) for model in models)
        own, *other = ((error / levels.to(error)[:, None]**2).mean(0) for error in errors)
        return other[0] - own if other else -own

    member_scores, outsider_scores = scores(members), scores(outsiders)
    order = torch.randperm(len(outsiders), generator=generator, device=outsiders.device)
    calibration, evaluation = outsider_scores[order].tensor_split(2)
    threshold = calibrated_threshold(calibration, false_positive_rate)
    rates = (math.nan,) * 4
    if not math.isnan(threshold):
        hits = int((member_scores > threshold).sum())
        rates = (hits / len(members), *clopper_pearson(hits, len(members)),
                 float((evaluation > threshold).double().mean()))
    auc = area_under_curve(member_scores, outsider_scores)
    return Membership(auc, *hanley_mcneil(auc, len(members), len(outsiders)), false_positive_rate, *rates,
                      member_scores, outsider_scores)


def area_under_curve(member_scores: Tensor, outsider_scores: Tensor) -> float:
    """Area under the ROC curve: P(member's score > outsider's) + P(equal)/2, the Mann-Whitney statistic.

    Cost: a sort of both sets.
    """
    n, m = len(checks.vector(member_scores, "member_scores")), len(checks.vector(outsider_scores, "outsider_scores"))
    checks.same_device(member_scores, outsider_scores, "member_scores", "outsider_scores")
    ranks = rankdata(torch.cat([member_scores, outsider_scores]).cpu())
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def calibrated_threshold(outsider_scores: Tensor, false_positive_rate: float) -> float:
    """The score above which to call a member so that a new outsider is called one with probability <= the given rate.

    The ceil((1 - f)(n + 1))-th smallest of n calibration scores; the guarantee is exact, on average over calibrations,
    for exchangeable outsiders. nan where n < 1/f - 1: then no such threshold exists.

    Source: split conformal prediction, Vovk, Gammerman and Shafer 2005.
    """
    false_positive_rate = _rate(false_positive_rate)
    n = len(checks.vector(outsider_scores, "outsider_scores"))
    rank = math.ceil(round((1 - false_positive_rate) * (n + 1), 9))  # rounded, since 0.9 * 10 must not exceed 9
    return float(outsider_scores.sort().values[rank - 1]) if rank <= n else math.nan


def _rate(false_positive_rate: float) -> float:
    if not 0 < checks.share(false_positive_rate, "false_positive_rate") < 1:
        raise ValueError(f"false_positive_rate is {false_positive_rate:g}; expected a number between 0 and 1.")
    return false_positive_rate
