"""All measurements of an audit, in their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearsight.auditing import remarks as say
from nearsight.auditing.asking import Asked
from nearsight.auditing.attacks import network_attack, sample_attack
from nearsight.auditing.copies import Reproduced, reproduced, reproduction, tested_copies
from nearsight.auditing.documents import (
    attack_document,
    copies_document,
    gap_document,
    proximity_document,
    yardsticks_document,
)
from nearsight.auditing.exchangeability import WARNS, exchangeability
from nearsight.auditing.family import holm, smallest_detectable
from nearsight.auditing.gap import card_errors, generalization
from nearsight.auditing.nearness import near_pool, null_gains, proximity
from nearsight.auditing.panel import panel
from nearsight.auditing.pool import Pool
from nearsight.auditing.refusal import Remarks
from nearsight.auditing.settings import Settings
from nearsight.auditing.verdicts import decide
from nearsight.auditing.yardsticks import yardsticks
from nearsight.measures import memorized_fraction, nearest
from nearsight.randomness import derived_seed, stream

EXCHANGE, MARGIN, NULL, RATES, PANEL, NOISE, FLIPS, HALVES, YARDSTICKS = range(10, 19)  # streams of an audit's seed


class Evidence(NamedTuple):
    """The measured part of a report, the code of its verdict, whether that can be relied on, and what a page draws."""

    document: dict[str, Any]
    code: str
    reliable: bool
    drawings: dict[str, Any]


class Searched(NamedTuple):
    """What copies are looked for in: `samples` [M, *event] and their points [M, k], all training images, those `unlike`
    each other with their points, the `reach` of duplicates, and the share of held-out images that depict training images,
    as (number, of how many)."""

    samples: Tensor
    points: Tensor
    train: Tensor
    unlike: Tensor
    unlike_points: Tensor
    reach: float
    alike: tuple[int, int]


def measured(searched: Searched | None, pool: Pool, asked: Asked | None, sigmas: Tensor | None, settings: Settings,
             remarks: Remarks) -> Evidence:
    """Every test that samples and a denoiser allow, and the verdict."""
    kinds = exchangeability(pool, stream(settings.seed, EXCHANGE))
    say.on_exchangeability(kinds, remarks)
    tests = 4 * (searched is not None) + 2 * (asked is not None)
    document, drawings = {"exchangeability": kinds, "proximity": None, "copies": None, "gap": None}, {}
    attacks, p_values = {"samples": None, "denoiser": None}, {}
    if searched is not None:
        near = near_pool(searched.points, pool)
        found = proximity(searched.points, near, pool, settings.permutations, stream(settings.seed, MARGIN))
        copied = tested_copies(searched.points, near, pool, settings.ratio)
        again = _reproduction(searched, pool)
        distance = nearest(pool.points, searched.points).distance[:, 0].double().cpu().numpy()
        attack = sample_attack(pool.means(distance), settings.fprs, stream(settings.seed, RATES))
        every = memorized_fraction(searched.points, searched.unlike_points, settings.ratio)
        p_values |= {"proximity": found.preference.deal.upper, "margin": found.margin_p_value, "copies": copied.p_value,
                     "reproduced": again.p_value}
        document |= {"proximity": proximity_document(found, settings.alpha, tests),
                     "copies": copies_document(every, settings.ratio, copied, again)}
        attacks["samples"] = attack_document(attack)
        say.on_samples(found, again.count, remarks)
        drawings |= {"sample_attack": attack, "null": null_gains(near, pool, stream(settings.seed, NULL)),
                     "panel": panel(searched.samples, searched.points, searched.unlike, searched.unlike_points, pool,
                                    every.ratios, stream(settings.seed, PANEL))}
    if asked is not None:
        errors = card_errors(asked, pool, sigmas, settings.draws, derived_seed(settings.seed, NOISE))
        gap = generalization(errors, sigmas, settings.permutations, stream(settings.seed, FLIPS))
        attack = network_attack(errors, sigmas, settings.fprs, stream(settings.seed, HALVES))
        p_values |= {"gap": gap.p_value, "membership_denoiser": attack.p_value}
        document["gap"] = gap_document(gap)
        attacks["denoiser"] = attack_document(attack) | {
            "sigma": attack.sigma, "smallest_detectable": smallest_detectable(attack.null_sd, settings.alpha, tests)}
        drawings["network_attack"] = attack
    say.on_calibration(attacks, remarks)
    judged = [{"name": name, "p_value": p_value, "p_adjusted": adjusted, "significant": adjusted <= settings.alpha}
              for (name, p_value), adjusted in zip(p_values.items(), holm(list(p_values.values())))]
    document |= {"membership": attacks, "tests": judged}
    power = (document["proximity"] or attacks["denoiser"])["smallest_detectable"]
    code = decide(judged, power, document["copies"] and document["copies"]["bound"])
    return Evidence(document, code, kinds.p_value > WARNS and "reversed" not in remarks, drawings)


def lean(document: dict[str, Any], searched: Searched, conditions: np.ndarray, pool: Pool,
         points_of: Callable[[Tensor], Tensor], settings: Settings) -> None:
    """Put beside the preference that of a generator which knows no image, and its curve."""
    marks = yardsticks(searched.points, searched.unlike, conditions, pool, points_of, stream(settings.seed, YARDSTICKS))
    document["proximity"] |= yardsticks_document(marks, len(np.unique(conditions)))


def without_null(searched: Searched, settings: Settings) -> Evidence:
    """Copies and the panel: all that there is without held-out images."""
    every = memorized_fraction(searched.points, searched.unlike_points, settings.ratio)
    count = int(reproduced(searched.samples, searched.train, searched.reach).sum())
    again = Reproduced.alone(count, len(searched.samples))
    document = {"exchangeability": None, "proximity": None, "copies": copies_document(every, settings.ratio, None, again),
                "gap": None, "membership": {"samples": None, "denoiser": None}, "tests": []}
    shown = panel(searched.samples, searched.points, searched.unlike, searched.unlike_points, None, every.ratios,
                  stream(settings.seed, PANEL))
    return Evidence(document, "no_null", True, {"panel": shown})


def _reproduction(searched: Searched, pool: Pool) -> Reproduced:
    sides = (pool.images[torch.from_numpy(np.flatnonzero(side))] for side in (pool.dealt, ~pool.dealt))
    found = [reproduced(searched.samples, images, searched.reach) for images in (searched.train, *sides)]
    return reproduction(*found, searched.alike)
