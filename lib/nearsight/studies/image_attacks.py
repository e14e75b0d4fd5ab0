"""What an attacker reads off networks of images: which photographs each was trained on, alone or against another one."""

from __future__ import annotations

import torch
from torch import Tensor

from nearsight import checks
from nearsight.measures.membership import area_under_curve, calibrated_threshold
from nearsight.studies.image_readings import Networks

KINDS = ("plain", "calibrated")


def attacks(networks: Networks) -> dict[str, dict[tuple[int, int], Tensor]]:
    """Area under the ROC curve [S] of the membership attack on each network: "plain" by its scores, "calibrated" by its
    scores less those of the network of the block before, which has seen neither its members nor R."""
    return {kind: {label: torch.stack([torch.tensor(area_under_curve(*both), dtype=torch.float64)
                                       for both in (_scores(networks, place, label, kind)
                                                    for place in range(len(networks.steps)))])
                   for label in sorted(networks.results)} for kind in KINDS}


def members_found(networks: Networks, place: int, kind: str, false_alarms: Tensor) -> tuple[Tensor, Tensor]:
    """The shares of members that are found at one checkpoint, and of strangers that are taken for members, each [F, networks],
    where F rates of `false_alarms` are aimed at.

    The threshold is set on one half of R's images, strangers are counted on the other; then both once more with the halves
    exchanged, and the mean of both is returned. Cost: F sorts of the scores of each network.
    """
    checks.choice(kind, "kind", KINDS)
    rates = []
    for label in sorted(networks.results):
        members, strangers = _scores(networks, place, label, kind)
        halves = strangers[::2], strangers[1::2]
        rates.append([[[(each > calibrated_threshold(one, rate)).double().mean() for each in (members, other)]
                       for one, other in (halves, halves[::-1])] for rate in false_alarms.tolist()])
    return tuple(torch.tensor(rates).mean(2).permute(2, 1, 0))


def _scores(networks: Networks, place: int, label: tuple[int, int], kind: str) -> tuple[Tensor, Tensor]:
    """Scores of members and of strangers at one checkpoint, less those of the network of the block before if calibrated."""
    scores = networks.at(place, "scores")
    members, _, strangers = scores[label]
    if kind == "plain":
        return members, strangers
    count = len({block for block, _ in scores})
    _, members_there, strangers_there = scores[(label[0] - 1) % count, label[1]]
    return members - members_there, strangers - strangers_there
