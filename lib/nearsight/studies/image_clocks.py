"""The clocks of a family of networks of images: when they begin to lean, when their loss is least, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Generator, Tensor

from nearsight import checks
from nearsight.measures.clocks import Clock
from nearsight.measures.families import FamilyPreference
from nearsight.measures.intervals import resampled_counts
from nearsight.studies.image_readings import Networks, joint_preferences, pair_wins, picture_distances


def judged(networks: Networks, generator: Generator, levels: Sequence[int] = (), relabelings: int = 10_000
           ) -> tuple[list[FamilyPreference], dict[str, Clock]]:
    """The preference of a family by one joint deal at each checkpoint, and its `clocks`, whose onsets are those of the
    deal's lower bound at level 95 %, with Bonferroni's correction over all checkpoints."""
    joint = joint_preferences(networks, generator, relabelings)
    level = 1 - 0.05 / len(joint)
    reach = torch.tensor([each.preference - each.interval(level)[0] for each in joint], dtype=torch.float64)
    return joint, clocks(networks, reach, generator, levels=levels)


def clocks(networks: Networks, reach: Tensor, generator: Generator, margins: tuple[float, ...] = (0.0, 0.05),
           levels: Sequence[int] = (), resamples: int = 1000) -> dict[str, Clock]:
    """The checkpoints at which something happens in the training of a family, by name:

        loss, raw loss    the EDM loss on V is least, of averaged weights and of raw ones
        split             samples of networks of other block and other seed are nearest to each other, in the median of the
                          cosine distances of pairs: the published clock of biased generalization; where there are two seeds
        onset M           from here on the preference in pixels less its `reach` [S] is above 1/2 + M, M of `margins`;
                          the last checkpoint where that is never so
        turn K            the error on V at the K-th of the noise levels `image_measures.SIGMAS` is least, K of `levels`

    `reach` is by how much the lower bound of the preference lies below it, at each checkpoint: see `measures.onset`. Every
    resample draws blocks with all their networks, images of V and latents anew, and all clocks meet the same resamples, so
    that `Clock.before` is the probability of an order. Source: study 4; the bootstrap is ours.
    Cost: (resamples) (pairs of other block and other seed) S (kept pictures) for the medians.
    """
    steps = torch.tensor(networks.steps)
    checks.floating(reach, "reach", (len(steps),))
    labels = sorted(networks.results)
    count = len({block for block, _ in labels})
    losses = {name: _of_blocks(networks, "stopping", lambda curve, weights=weights: curve[:, weights])
              for weights, name in enumerate(("loss", "raw loss"))}  # [B, S, images]
    losses |= {f"turn {level}": _of_blocks(networks, "stopping_error", lambda curve, level=level: curve[:, level])
               for level in levels}  # [B, S, the first of these images]
    wins = _by_blocks(((i, j), each) for (i, j, _), each in pair_wins(networks).items())  # [seeds, S, m]
    distances = _by_blocks(((i, j), each) for ((i, s), (j, t)), each in picture_distances(networks).items()
                           if i != j and s != t)  # [pairs of networks, S, kept pictures]
    if not wins:
        raise ValueError(f"networks {labels}; expected two blocks at least.")
    curves = (*losses, *(["split"] if distances else []), *(f"onset {margin:g}" for margin in margins))
    sizes = (count, losses["loss"].shape[2], *(next(iter(each.values())).shape[2] for each in (wins, distances) if each))
    drawn = [torch.cat([torch.ones(1, size, dtype=torch.float64), *resampled_counts(size, resamples, generator)])
             for size in sizes]
    drawn = [counts[(drawn[0] > 0).sum(1) > 1] for counts in drawn]  # one block alone has no pairs

    found: dict[str, list] = {name: [] for name in curves}
    for blocks, images, latents, *pictures in zip(*drawn):
        for name, loss in losses.items():
            found[name].append(int((blocks @ (loss @ images[:loss.shape[2]])).argmin()))
        for times in pictures:
            chosen = torch.arange(len(times)).repeat_interleave(times.long())
            medians = {pair: each[..., chosen].median(2).values.mean(0) for pair, each in distances.items()}
            found["split"].append(int(_over_pairs(medians, blocks).argmin()))
        preference = _over_pairs({pair: (each @ latents).mean(0) / latents.sum() for pair, each in wins.items()}, blocks)
        for margin in margins:
            short = (preference - reach <= 0.5 + margin).nonzero()
            found[f"onset {margin:g}"].append(min(int(short[-1]) + 1, len(steps) - 1) if len(short) else 0)
    return {name: _clock(steps[places], steps[0]) for name, places in found.items()}


def _of_blocks(networks: Networks, name: str, part: Callable[[Tensor], Tensor]) -> Tensor:
    """A part [S, images] of an array of every network, the mean over each block's networks: [B, S, images]."""
    found: dict[int, list] = {}
    for (block, _), curve in sorted(networks.curve(name).items()):
        found.setdefault(block, []).append(part(curve).double())
    return torch.stack([torch.stack(curves).mean(0) for curves in found.values()])


def _by_blocks(values: Iterable[tuple[tuple[int, int], Tensor]]) -> dict[tuple[int, int], Tensor]:
    """The values that came for each pair of blocks, stacked."""
    found: dict[tuple[int, int], list] = {}
    for pair, value in values:
        found.setdefault(pair, []).append(value)
    return {pair: torch.stack(each) for pair, each in found.items()}


def _over_pairs(values: dict[tuple[int, int], Tensor], counts: Tensor) -> Tensor:
    """The mean [S] over pairs of blocks that came `counts` [B] times; a block's pairs with its own copies do not count."""
    names = sorted({block for pair in values for block in pair})
    times = dict(zip(names, counts.tolist()))
    weights = {(i, j): times[i] * times[j] for i, j in values}
    return sum(weight * values[pair] for pair, weight in weights.items()) / sum(weights.values())


def _clock(struck: Tensor, first: Tensor) -> Clock:
    """The clock of the data, struck[0], and of its resamples, with 95 % bounds."""
    ordered, edge = struck[1:].sort().values, int(0.025 * (len(struck) - 1))
    return Clock(int(struck[0]), int(ordered[edge]), int(ordered[-1 - edge]), struck[1:], bool(struck[0] == first))
