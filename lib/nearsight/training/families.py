"""Families: networks trained in step on disjoint parts of one data set, which differ in what is named and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from nearsight import checks
from nearsight.datasets.index_sets import check_disjoint
from nearsight.randomness import derived_seed
from nearsight.training.loop import Snapshot, Trainer, check_labels, in_step
from nearsight.training.recipe import Training


def train_family(config: Training, make_network: Callable[[], nn.Module], data: Tensor, sets: Sequence[Tensor], *,
                 same_initialization: bool, same_noise: bool, labels: Tensor | None = None,
                 folder: Path | str | None = None, every: int | None = None,
                 device: torch.device | str = "cpu") -> Iterator[tuple[Snapshot, ...]]:
    """Train a network on each of the disjoint index sets; yield their snapshots together, one a set, as `train` does.

    sets                  M index tensors into data [N, *event]; member m trains on data[sets[m]] and sees nothing else
    same_initialization   whether all start with the same weights
    same_noise            whether at each step all draw the same positions within their sets, noise levels, noise and
                          dropout: common random numbers, which need sets of one size

    Where they are not the same, member m draws under a seed derived from the configuration's and m. With `folder`, it
    keeps its checkpoints in folder/m, and a family that was killed goes on with the same bits. Raises ValueError for
    sets that overlap, leave the data, or differ in size where they must not. Cost: M times that of `train`.
    """
    checks.instance(config, "config", Training, "a Training(...)")
    check_labels(labels, len(checks.points(data, "data")), config.classes)
    if folder is not None:
        checks.instance(folder, "folder", (str, Path), "the path of a folder")
    same_initialization = checks.flag(same_initialization, "same_initialization")
    same_noise = checks.flag(same_noise, "same_noise")
    if isinstance(sets, Tensor) and sets.ndim:
        sets = list(sets)
    if not isinstance(sets, (list, tuple)) or not sets:
        raise TypeError(f"sets is {checks.came(sets)}; expected index tensors, one a member: try "
                        "disjoint_splits(...).indices.")
    check_disjoint(**{f"set {m}": indices for m, indices in enumerate(sets)})
    sizes = [len(indices) for indices in sets]
    if min(sizes) < 1 or min(i.min() for i in sets) < 0 or max(i.max() for i in sets) >= len(data):
        raise ValueError(f"the sets hold {sizes} indices; expected none empty, and indices from 0 to {len(data) - 1}.")
    if same_noise and len(set(sizes)) > 1:
        raise ValueError(f"the sets hold {sizes} indices; expected equal sizes, since with same_noise=True all members "
                         "draw the same positions: cut the larger ones, or pass same_noise=False.")
    trainers = [Trainer(member(config, m, same_initialization, same_noise), make_network, data[indices],
                        None if labels is None else labels[indices],
                        None if folder is None else Path(folder) / str(m), device) for m, indices in enumerate(sets)]
    return in_step(trainers, every)


def member(config: Training, m: int, same_initialization: bool, same_noise: bool) -> Training:
    """The configuration of member m of a family: its seeds are the family's, or derived from them and m."""
    initial = config.seed if config.initial_seed is None else config.initial_seed
    return replace(config, seed=config.seed if same_noise else derived_seed(config.seed, m),
                   initial_seed=initial if same_initialization else derived_seed(initial, m))
