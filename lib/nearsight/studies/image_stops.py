"""Where to stop a training: by the loss on V, by the preference, or at a fixed step; and what each stop costs and gains."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from nearsight.measures.onset import preference_stop
from nearsight.measures.preference import Preference
from nearsight.studies.image_attacks import attacks
from nearsight.studies.image_gaps import frechet_to
from nearsight.studies.image_readings import Networks, pair_preferences

Stops = Mapping[tuple[int, int], int | None]  # a checkpoint of each network (block, seed); None: it is not stopped


def losses_on(networks: Networks, held: str) -> dict[tuple[int, int], Tensor]:
    """The EDM loss [S] of each network's averaged weights on V or H, "stopping" or "report"."""
    return {label: curve[:, 0].double().mean(1) for label, curve in networks.curve(held).items()}


def least_loss(networks: Networks) -> dict[tuple[int, int], int]:
    """The checkpoint at which each network's loss on V is least."""
    return {label: int(loss.argmin()) for label, loss in losses_on(networks, "stopping").items()}


def by_preference(preferences: Mapping[tuple[int, int], list[Preference]], margin: float
                  ) -> dict[tuple[int, int], int | None]:
    """The checkpoint at which `measures.preference_stop` stops each network by its `block_preferences`, in which it sees
    itself and one block that is held back; None where it never does."""
    return {label: preference_stop(seen, len(seen), margin) for label, seen in preferences.items()}


def prices(networks: Networks, rules: Mapping[str, Stops], features: Tensor
           ) -> dict[str, dict[str, dict[tuple[int, int], Tensor]]]:
    """What the stops of each rule cost and gain, each a number a network that is stopped; one that is not has no entry:

        loss        the loss on H, relative to that where the network's loss on V is least, less 1
        preference  for the own block against each other one, the mean over the pairs of `pair_preferences` that it is in
        attack      area under the curve of the calibrated attack, `image_attacks.attacks`
        frechet     distance of its samples to the features [N, k], `image_gaps.frechet_to`

    Cost: that of `image_attacks.attacks`, however many rules there are.
    """
    report, least = losses_on(networks, "report"), least_loss(networks)
    pairs = pair_preferences(networks)
    curves = {"loss": {label: loss / loss[least[label]] - 1 for label, loss in report.items()},
              "preference": {(block, seed): torch.stack([values for (i, j, other), values in pairs.items()
                                                         if other == seed and block in (i, j)]).mean(0)
                             for block, seed in networks.results},
              "attack": attacks(networks)["calibrated"], "frechet": frechet_to(networks, features)}
    return {name: {what: {label: curve[stop] for label, curve in of_all.items() if (stop := stops[label]) is not None}
                   for what, of_all in curves.items()} for name, stops in rules.items()}
