"""What is known of single images: the group they came with (a patient, a person, a scene), the condition they were made
under (a class)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nearsight import checks
from nearsight.auditing.refusal import AuditRefused

_FIRST_NAMED = 3


def group_numbers(groups: dict | None, counts: dict[str, int]) -> np.ndarray | None:
    """One whole number an image, training images first, equal within a group; None where no groups came.

    Raises AuditRefused where a group stands in both sets: its images cannot be dealt to one of them.
    """
    if groups is None:
        return None
    ids = _by_set(groups, "groups", counts)
    train, holdout = (np.asarray([str(each) for each in ids[name]]) for name in ("train", "holdout"))
    split = np.intersect1d(train, holdout)
    if len(split):
        named = ", ".join(split[:_FIRST_NAMED]) + (" and others" if len(split) > _FIRST_NAMED else "")
        raise AuditRefused("groups_split", f"{len(split)} groups have images in both sets ({named}); expected each group in "
                           "one of them: split by group, before training.")
    return np.unique(np.concatenate([train, holdout]), return_inverse=True)[1]


def condition_numbers(conditions: dict | None, counts: dict[str, int]) -> dict[str, np.ndarray]:
    """The labels of each set as whole numbers, 0 for all where no conditions came; those of the samples may be missing."""
    if conditions is None:
        return {name: np.zeros(count, dtype=np.int64) for name, count in counts.items()}
    checks.instance(conditions, "conditions", dict, 'a dictionary such as {"train": labels, "holdout": labels}')
    needed = {name: counts[name] for name in ("train", "holdout") if name in counts}
    if "samples" in conditions:  # of samples that are still to be drawn the labels say how many
        needed["samples"] = counts.get("samples")
    labels = _by_set(conditions, "conditions", needed)
    found = {}
    for name, values in labels.items():
        array = np.asarray(values)
        if array.dtype.kind not in "iu":
            raise TypeError(f"conditions[{name!r}] holds {array.dtype}; expected whole numbers, one label an image.")
        found[name] = array.astype(np.int64)
    return found


def strata(units: np.ndarray, conditions: np.ndarray) -> np.ndarray:
    """The stratum of each image: the commonest condition of its unit, which does not depend on the set it came in."""
    values, place = np.unique(conditions, return_inverse=True)
    counts = np.zeros((units.max() + 1, len(values)), dtype=np.int64)
    np.add.at(counts, (units, place), 1)
    return values[counts.argmax(1)][units]


def _by_set(labels: dict, name: str, counts: dict[str, int | None]) -> dict[str, list]:
    """The labels as lists of so many; None: of any number."""
    checks.instance(labels, name, dict, f'a dictionary such as {{"train": {name} of the images, "holdout": ...}}')
    if set(labels) != set(counts):
        raise ValueError(f"{name} came for {', '.join(map(str, labels)) or 'no set'}; expected one label an image for "
                         f"{' and '.join(counts)}.")
    found = {}
    for each, count in counts.items():
        values = labels[each]
        if isinstance(values, Tensor):
            values = checks.tensor(values, f"{name}[{each!r}]").detach().cpu().numpy()
        values = list(values) if isinstance(values, (list, tuple, np.ndarray)) and np.ndim(values) == 1 else None
        if values is None or not values or count not in (None, len(values)):
            raise ValueError(f"{name}[{each!r}] is {checks.came(labels[each])}"
                             f"{'' if values is None else f' with {len(values)} labels'}; expected {count or 'some'} "
                             "labels, one for each image of the set.")
        found[each] = values
    return found


def mixed(train: np.ndarray, holdout: np.ndarray, count: int, generator: torch.Generator) -> np.ndarray:
    """Conditions [count] for samples, drawn equally from both sets, so that they tell nothing of either."""
    sides = [side[torch.randint(len(side), (count,), generator=generator).numpy()] for side in (train, holdout)]
    return np.where(torch.rand(count, generator=generator).numpy() < 0.5, *sides)
