"""Measurements under the names of the JSON document."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor

from nearsight.auditing.attacks import Attack
from nearsight.auditing.cleaning import Duplicates, first_equal, in_both, repeats
from nearsight.auditing.copies import Copies, Reproduced, upper_bound
from nearsight.auditing.family import smallest_detectable
from nearsight.auditing.gap import Gap
from nearsight.auditing.nearness import Proximity
from nearsight.auditing.yardsticks import Yardsticks
from nearsight.measures import MemorizedFraction


def duplicates_document(duplicates: Duplicates, is_train: np.ndarray, samples: Tensor | None,
                        tolerance: float) -> dict[str, Any]:
    """How many images repeat an earlier one of their set, and how many held-out ones depict a training image."""
    def cross(labels: np.ndarray) -> int:
        return int((in_both(labels, is_train) & ~is_train).sum())

    sides = {"train": is_train, "holdout": ~is_train}
    counted = {f"{name}_exact": repeats(duplicates.equal[side]) for name, side in sides.items()}
    counted |= {f"{name}_near": repeats(duplicates.components(side)[side]) for name, side in sides.items()}
    return {"tolerance": tolerance, "reach": duplicates.reach, "capped": duplicates.capped, **counted,
            "cross_exact": cross(duplicates.equal), "cross_near": cross(duplicates.components()),
            "samples_exact": None if samples is None else repeats(first_equal(samples))}


def proximity_document(found: Proximity, alpha: float, tests: int) -> dict[str, Any]:
    """Preference and margin; `gaussian` and `curve` are filled in where the verdict rests on them."""
    preference = found.preference
    null_sd = math.sqrt(preference.deal.variance) / max(preference.count - preference.ties, 1)
    return {"preference": preference.preference, "low": preference.low, "high": preference.high,
            "null_low": 0.5 - 1.96 * null_sd, "null_high": 0.5 + 1.96 * null_sd, "p_value": preference.deal.upper,
            "effective_samples": preference.effective,
            "smallest_detectable": smallest_detectable(null_sd, alpha, tests), "margin": found.margin,
            "margin_p_value": found.margin_p_value, "samples": preference.count, "train_distance": found.train_distance,
            "holdout_distance": found.holdout_distance, "gaussian": None, "curve": None}


def yardsticks_document(marks: Yardsticks, conditions: int) -> dict[str, Any]:
    """The preference of Gaussian samples, and the model's against fewer and fewer images."""
    gaussian, curve = marks.gaussian, marks.curve
    bounds = None if curve is None else curve.interval()
    return {"gaussian": None if gaussian is None else {
                "preference": gaussian.preference, "low": gaussian.low, "high": gaussian.high, "conditions": conditions},
            "curve": None if curve is None else {
                "images": curve.sizes, "preference": curve.preference, "low": bounds[0], "high": bounds[1]}}


def copies_document(found: MemorizedFraction, ratio: float, tested: Copies | None, again: Reproduced) -> dict[str, Any]:
    """Copies by the ratio and by likeness; what needs held-out images is None without them."""
    total = len(found.ratios)
    count = round(found.fraction * total)
    return {"fraction": found.fraction, "low": found.low, "high": found.high, "count": count, "samples": total,
            "bound": upper_bound(count, total), "ratio": ratio,
            "holdout_fraction": tested and tested.holdout_fraction, "baseline": tested and tested.baseline,
            "distinct_train": tested and tested.distinct_train, "distinct_holdout": tested and tested.distinct_holdout,
            "p_value": tested and tested.p_value, "reproduced": again.count, "reproduced_fraction": again.fraction,
            "reproduced_low": again.low, "reproduced_high": again.high, "reproduced_baseline": again.baseline,
            "reproduced_p_value": again.p_value}


def attack_document(attack: Attack) -> dict[str, Any]:
    """The area under the curve and the rates."""
    return {"auc": attack.auc, "low": attack.low, "high": attack.high, "p_value": attack.p_value,
            "tpr_at_fpr": [rate._asdict() for rate in attack.rates]}


def gap_document(gap: Gap) -> dict[str, Any]:
    """The gap with its band; None where the training error is 0, or a millionth of the other, which is rounding."""
    curve = gap.curve
    known = curve.train > 1e-6 * curve.holdout
    peak = int(curve.gap.where(known, -math.inf).argmax()) if known.any() else None
    drawn = {name: values.where(known, math.nan) for name, values in (("gap", curve.gap), ("low", gap.low),
                                                                      ("high", gap.high))}
    return {"sigmas": curve.sigmas, "train": curve.train, "holdout": curve.holdout, **drawn, "p_value": gap.p_value,
            "peak_gap": None if peak is None else curve.gap[peak],
            "peak_sigma": None if peak is None else curve.sigmas[peak]}
