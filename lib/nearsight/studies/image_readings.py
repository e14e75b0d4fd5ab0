"""What the records of study 4 say: readings of networks of one kind, pair by pair or all at once.

Every reading is a function of recorded arrays (`nearsight.studies.image_measures`) and of nothing else. Networks are
labelled (block, seed). A pair (i, j, seed) are the networks of blocks i and j that share first weights, positions, noise
and latents; the unit of replication is the block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Generator, Tensor
from torch.nn.functional import cosine_similarity

from nearsight.measures.families import FamilyPreference, family_course
from nearsight.measures.intervals import Estimate, mean_interval
from nearsight.measures.preference import Preference, owned_preference
from nearsight.measures.splits import SplitVariance, pair_cosine, pair_mean, split_variance
from nearsight.records.computing import Results
from nearsight.records.store import Record, load
from nearsight.studies.image_measures import owner
from nearsight.studies.image_windows import SCALES as WINDOWS
from nearsight.studies.images import SCALES

Pair = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Networks:
    """Results of networks of one kind by (block, seed), each trained on a block of `size` images; all at the same steps."""

    results: Mapping[tuple[int, int], Results]
    size: int

    @property
    def steps(self) -> list[int]:
        """The checkpoints."""
        return next(iter(self.results.values())).steps

    @property
    def pairs(self) -> list[Pair]:
        """All pairs of blocks with one seed."""
        return [(i, j, seed) for (i, seed), (j, other) in combinations(sorted(self.results), 2) if seed == other]

    def curve(self, name: str) -> dict[tuple[int, int], Tensor]:
        """An array of every network at all checkpoints, [S, ...]."""
        return {label: results.curve(name)[1] for label, results in self.results.items()}

    def at(self, index: int, name: str) -> dict[tuple[int, int], Tensor]:
        """An array of every network at one checkpoint."""
        return {label: results.stages[index].arrays[name] for label, results in self.results.items()}


def recorded(kind: str) -> dict[tuple[int, int], Record]:
    """The records of the laptop's networks of one kind, such as "512", "labels" or "window-8", by (block, seed)."""
    found = {}
    for run in (*SCALES, *WINDOWS):
        if match := re.fullmatch(rf"images-{re.escape(kind)}-b(\d+)-s(\d+)-laptop", run.name):
            found[int(match[1]), int(match[2])] = load(run)
    if not found:
        raise ValueError(f"there are no networks of the kind {kind!r}; expected a name such as '512' or 'labels'.")
    return found


def networks(records: Mapping[tuple[int, int], Record]) -> Networks:
    """The results of records, as `recorded` finds them."""
    sizes = {record.manifest.config["size"] for record in records.values()}
    return Networks({label: record.results for label, record in records.items()}, *sizes)


def over_blocks(values: Mapping[Pair, Tensor]) -> Estimate:
    """The mean over pairs of blocks of values [...], each the mean over its seeds, with an error that leaves out a block."""
    seeds = {pair[2] for pair in values}
    means = {(i, j): torch.stack([values[i, j, seed] for seed in seeds if (i, j, seed) in values]).mean(0)
             for i, j, _ in values}
    return pair_mean(means)


def over_networks(values: Mapping[tuple[int, int], Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """The mean over blocks of values [...], each the mean over its seeds, with Student's 95 % bounds: `mean_interval`."""
    by_block: dict[int, list[Tensor]] = {}
    for (block, _), value in sorted(values.items()):
        by_block.setdefault(block, []).append(value.double())
    means = torch.stack([torch.stack(each).mean(0) for each in by_block.values()])
    return tuple(each.squeeze(-1) for each in mean_interval(means.unsqueeze(-1)))  # of numbers, too


def joint_preferences(networks: Networks, generator: Generator, relabelings: int = 10_000) -> list[FamilyPreference]:
    """The preference in pixels of all networks for their own block at each checkpoint, judged by joint deals of all images:
    `measures.family_course`. Cost: about a second a checkpoint for 8 networks."""
    blocks = torch.arange(len({block for block, _ in networks.results})).repeat_interleave(networks.size)
    return family_course([networks.at(index, "order") for index in range(len(networks.steps))], blocks, generator,
                         relabelings)


def pair_preferences(networks: Networks, owners: str = "owners/pixels") -> dict[Pair, Tensor]:
    """The preference [S] of each pair for their own sets, by what `owners` names as the nearest images of each block.

    (share of i's samples that are nearer to block i than to j + share of j's nearer to j) / 2, as `measures.own_other` says
    it of samples.
    """
    return {pair: wins.mean(1) for pair, wins in pair_wins(networks, owners).items()}


def pair_wins(networks: Networks, owners: str = "owners/pixels") -> dict[Pair, Tensor]:
    """Of the two samples that a pair makes of each of m latents, the share that is nearer to its own set: [S, m]."""
    curves = networks.curve(owners)

    def nearer(label: tuple[int, int], pair: tuple[int, int]) -> Tensor:
        return torch.stack([owner(names, networks.size, pair) < networks.size for names in curves[label]]).double()

    return {(i, j, seed): (nearer((i, seed), (i, j)) + nearer((j, seed), (j, i))) / 2 for i, j, seed in networks.pairs}


def pair_weights(networks: Networks, pair: Pair, index: int, owners: str = "owners/pixels") -> Tensor:
    """How many of i's samples each image of blocks i and j owns at a checkpoint, less how many of j's: [2 size], block i
    first. The preference of `pair_preferences` is 1/2 + (sum over block i) / (2 samples); these are the cards to deal,
    as in `measures.own_other`."""
    i, j, seed = pair
    first, second = (owner(networks.results[label].stages[index].arrays[owners], networks.size, (i, j))
                     .bincount(minlength=2 * networks.size) for label in ((i, seed), (j, seed)))
    return first - second


def block_preferences(networks: Networks) -> dict[tuple[int, int], list[Preference]]:
    """The preference in pixels of each single network for its own block against the next one, at each checkpoint: what who
    has trained one network and holds one block back can see. Cost: a deal a network and checkpoint, about .1 s."""
    count = len({block for block, _ in networks.results})
    return {(block, seed): [owned_preference(owner(names, networks.size, (block, (block + 1) % count)), networks.size)
                            for names in curve] for (block, seed), curve in networks.curve("owners/pixels").items()}


def held_losses(networks: Networks, held: str = "stopping", weights: int = 0) -> Tensor:
    """EDM losses [S, images] of the images of V or H ("stopping", "report"), the mean over all networks; `weights` 0 for the
    averaged ones, 1 for the raw ones."""
    return torch.stack([curve[:, weights].double() for curve in networks.curve(held).values()]).mean(0)


def split_distances(networks: Networks) -> dict[str, Estimate]:
    """Cosine distance [S] of paired samples, the median over the samples that were kept: between networks that differ in
    their "data" alone (same seed), their "seed" alone (same block), or in "both". What differs in data has the error that
    leaves out a block; the seed alone that which leaves out a block of its networks, where there are several."""
    found: dict[str, dict] = {"data": {}, "seed": {}, "both": {}}
    for ((i, s), (j, t)), distance in picture_distances(networks).items():
        kind = "seed" if i == j else "data" if s == t else "both"
        found[kind].setdefault((i, j), []).append(distance.median(1).values)
    means = {kind: {pair: torch.stack(values).mean(0) for pair, values in pairs.items()} for kind, pairs in found.items()}
    estimates = {kind: pair_mean(means[kind]) for kind in ("data", "both") if means[kind]}
    if same := list(means["seed"].values()):
        values = torch.stack(same)
        error = values.std(0) / len(values) ** 0.5 if len(values) > 1 else torch.full_like(values[0], torch.nan)
        estimates["seed"] = Estimate(values.mean(0), error)
    return estimates


def picture_distances(networks: Networks) -> dict[tuple[tuple[int, int], tuple[int, int]], Tensor]:
    """Cosine distances [S, pictures] of the samples that were kept of any two networks, pair by pair of samples."""
    pictures = {label: curve.double() for label, curve in networks.curve("pictures").items()}
    return {(first, second): torch.stack([1 - pair_cosine(*pair) for pair in zip(pictures[first], pictures[second])])
            for first, second in combinations(sorted(pictures), 2)}


def probe_variances(networks: Networks, level: int, directions: slice = slice(None), probes: slice = slice(None)
                    ) -> Iterator[SplitVariance]:
    """The variance of denoised images between networks, by data and seed, at each checkpoint: at the `level`-th of the
    noise levels `image_measures.PROBED`, in some of the principal directions, at some of the probed images."""
    for index in range(len(networks.steps)):
        yield split_variance({label: probes_[level][probes, directions].double()
                              for label, probes_ in networks.at(index, "probes").items()})


def probe_errors(networks: Networks, level: int, truth: Tensor, directions: slice = slice(None),
                 probes: slice = slice(None)) -> dict[tuple[int, int], Tensor]:
    """Mean square error [S] of each network's denoised images in some of the principal directions, where the images
    without noise have the coordinates `truth` [p, k]; the other arguments as in `probe_variances`."""
    return {label: (curve[:, level, probes, directions].double() - truth[probes, directions]).square().mean((1, 2))
            for label, curve in networks.curve("probes").items()}


def probe_bias(networks: Networks, level: int, truth: Tensor, probes: slice = slice(None)) -> Estimate:
    """What of the error of `probe_errors` all networks have in common [S], as E (D - y)(D' - y) over pairs of networks
    that differ in block and seed: bias^2, and the constant that nobody could avoid with this noise.

    It is the mean error less the sum of the three variances of `probe_variances`, without their bias. The standard error
    leaves out a block."""
    off = {label: curve[:, level, probes].double() - truth[probes] for label, curve in networks.curve("probes").items()}
    products: dict[tuple[int, int], list[Tensor]] = {}
    for first, second in combinations(sorted(off), 2):
        if first[0] != second[0] and first[1] != second[1]:
            products.setdefault((first[0], second[0]), []).append((off[first] * off[second]).mean((1, 2)))
    return pair_mean({pair: torch.stack(values).mean(0) for pair, values in products.items()})


def probe_cosines(networks: Networks, level: int, removed: Tensor, probes: slice = slice(None)) -> dict[Pair, Tensor]:
    """Cosine similarity [S] between what a pair's networks say of the same noisy image, the mean over the probes, in the
    principal directions that are recorded. `removed` [p, k] are the coordinates of what is taken off the denoised image:
    the noisy image, for the noise predictions, or its part by the skip connection. See `measures.prediction_cosine`."""
    said = {label: curve[:, level, probes].double() - removed[probes] for label, curve in networks.curve("probes").items()}
    return {(i, j, seed): cosine_similarity(said[i, seed], said[j, seed], dim=2).mean(1) for i, j, seed in networks.pairs}


def turned_owners(results: Results, size: int) -> Tensor:
    """The nearest image [M, 2, s, k, i] of each end of `image_paths.image_turns`, in the pool of the network's own block
    (0 ... size - 1) and the other one, so that the i-th image is at home in i, or in size + i if it is the other block's."""
    _, names = results.curve("owners")
    return torch.stack([owner(names[:, block].flatten(0, -2), size, (block, 1 - block)).view(names[:, block].shape[:-1])
                        for block in (0, 1)], 1)
