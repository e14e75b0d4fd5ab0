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


class Found(NamedTuple):
    """What one side of an audit found, samples or the network: its part of the document, its p-values by test, the
    document of its attack, and its drawings."""

    document: dict[str, Any]
    p_values: dict[str, float]
    attack: dict[str, Any]
    drawings: dict[str, Any]


def measured(searched: Searched | None, pool: Pool, asked: Asked | None, sigmas: Tensor | None, settings: Settings,
             remarks: Remarks) -> Evidence:
    """Every test that samples and a denoiser allow, and the verdict."""
    kinds = exchangeability(pool, stream(settings.seed, EXCHANGE))
    say.on_exchangeability(kinds, remarks)
    tests = 4 * (searched is not None) + 2 * (asked is not None)
    found = {"samples": searched and _of_samples(searched, pool, tests, settings, remarks),
             "denoiser": asked and _of_network(asked, pool, sigmas, tests, settings)}
    document = {"exchangeability": kinds, "proximity": None, "copies": None, "gap": None,
                "membership": {name: each and each.attack for name, each in found.items()}}
    p_values, drawings = {}, {}
    for each in filter(None, found.values()):
        document |= each.document
        p_values |= each.p_values
        drawings |= each.drawings
    say.on_calibration(document["membership"], remarks)
    document["tests"] = [
        {"name": name, "p_value": p_value, "p_adjusted": adjusted, "significant": adjusted <= settings.alpha}
        for (name, p_value), adjusted in zip(p_values.items(), holm(list(p_values.values())))]
    power = (document["proximity"] or document["membership"]["denoiser"])["smallest_detectable"]
    code = decide(document["tests"], power, document["copies"] and document["copies"]["bound"])
    return Evidence(document, code, kinds.p_value > WARNS and "reversed" not in remarks, drawings)


def _of_samples(searched: Searched, pool: Pool, tests: int, settings: Settings, remarks: Remarks) -> Found:
    """Proximity, copies and the attack from distances to samples."""
    points, seed = searched.points, settings.seed
    near = near_pool(points, pool)
    found = proximity(points, near, pool, settings.permutations, stream(seed, MARGIN))
    every = memorized_fraction(points, searched.unlike_points, settings.ratio)
    copied, again = tested_copies(points, near, pool, settings.ratio), _reproduction(searched, pool)
    distance = nearest(pool.points, points).distance[:, 0].double().cpu().numpy()
    attack = sample_attack(pool.means(distance), settings.fprs, stream(seed, RATES))
    say.on_samples(found, again.count, remarks)
    shown = panel(searched.samples, points, searched.unlike, searched.unlike_points, pool, every.ratios, stream(seed, PANEL))
    return Found({"proximity": proximity_document(found, settings.alpha, tests),
                  "copies": copies_document(every, settings.ratio, copied, again)},
                 {"proximity": found.preference.deal.upper, "margin": found.margin_p_value, "copies": copied.p_value,
                  "reproduced": again.p_value}, attack_document(attack),
                 {"sample_attack": attack, "null": null_gains(near, pool, stream(seed, NULL)), "panel": shown})


def _of_network(asked: Asked, pool: Pool, sigmas: Tensor, tests: int, settings: Settings) -> Found:
    """The gap and the attack from denoising errors."""
    errors = card_errors(asked, pool, sigmas, settings.draws, derived_seed(settings.seed, NOISE))
    gap = generalization(errors, sigmas, settings.permutations, stream(settings.seed, FLIPS))
    attack = network_attack(errors, sigmas, settings.fprs, stream(settings.seed, HALVES))
    power = {"sigma": attack.sigma, "smallest_detectable": smallest_detectable(attack.null_sd, settings.alpha, tests)}
    return Found({"gap": gap_document(gap)}, {"gap": gap.p_value, "membership_denoiser": attack.p_value},
                 attack_document(attack) | power, {"network_attack": attack})


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
