"""What the records of study 3 say: readings of a family of networks of strings, with intervals over blocks.

Every reading is a function of recorded arrays (`hierarchy`, `hierarchy_measures`), of the blocks and of the grammar, and
of nothing else. What varies is the block with all that was trained on it; of networks that never see a string twice, each
counts as a block. Divergences are in nats a string, at t = 75 unless said; weights are averaged unless said.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from nearsight.measures.clocks import Clock, block_curves, bootstrap_clocks, split_divergence
from nearsight.measures.families import FamilyPreference
from nearsight.measures.intervals import Estimate, leave_one_out, mean_interval
from nearsight.measures.splits import SplitVariance
from nearsight.measures.strings import neighbor_divergence, string_distance, string_preference
from nearsight.records.computing import Results
from nearsight.studies.hierarchy import GrammarNetworks, blocks_of
from nearsight.studies.hierarchy_measures import HEADLINE
from nearsight.studies.hierarchy_samples import unpacked
from nearsight.tree.grammar import Grammar


@dataclass(frozen=True, eq=False)
class Family:
    """The networks of one run: what was recorded of them, and their configuration."""

    results: Results
    config: GrammarNetworks

    @property
    def steps(self) -> Tensor:
        """The checkpoints [S]."""
        return torch.tensor(self.results.steps)

    @property
    def sampled(self) -> Tensor:
        """The checkpoints [S'] at which samples were made."""
        return self.results.curve("nearest")[0]

    @property
    def labels(self) -> list[tuple[int, int]]:
        """(block, seed) of the crossed networks, which come first in all arrays; those with other draws come after."""
        return [(member.block, member.seed) for member in self.config.members if not member.draws]

    def curve(self, name: str, time: int = HEADLINE) -> Tensor:
        """An array at all checkpoints, float64; of one that is measured at several TIMES, that at the `time`-th."""
        values = self.results.curve(name)[1].double()
        return values[:, time] if name in ("distance", "split", "variance", "losses/test", "losses/novel") else values

    def distance(self, level: int, name: str = "distance", time: int = HEADLINE) -> Tensor:
        """KL(BP_level || network) [S, M] of the crossed networks, on test strings, "distance/novel", "/own" or "/raw"."""
        return self.curve(name, time)[:, :len(self.labels), level]

    def split(self, name: str = "split", time: int = HEADLINE) -> Tensor:
        """KL(network a || network b) [S, M, M] of the crossed networks."""
        count = len(self.labels)
        return self.curve(name, time)[:, :count, :count]

    def strings(self, step: int, kind: str = "averaged") -> Tensor:
        """Samples [K, m, L] at a checkpoint, of "averaged" or "raw" weights or of each "committee" of two."""
        steps, packed = self.results.curve(f"samples/{kind}")
        [place] = (steps == step).nonzero().flatten().tolist()
        return unpacked(packed[place], self.config.grammar.vocabulary, 2**self.config.depth)


def over_blocks(values: Tensor, labels: list[tuple[int, int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Mean over blocks of values [S, M] of networks, and Student's bounds for it, each [S]."""
    return mean_interval(block_curves(values, labels).T)


def split_classes(family: Family, name: str = "split", time: int = HEADLINE) -> SplitVariance:
    """`split_divergence` of the crossed networks: pairs of other data, of another seed, of both, and variances [S]."""
    return split_divergence(family.split(name, time), family.labels)


def other_draws(family: Family) -> tuple[Tensor, Tensor, Tensor]:
    """Divergence [S] of networks of one block and first weights that drew other batches and noise: the mean over such
    pairs, and the bounds of its interval."""
    members, curve = family.config.members, family.curve("split")
    pairs = [(place, members.index(member._replace(draws=0))) for place, member in enumerate(members) if member.draws]
    return mean_interval(torch.stack([(curve[:, a, b] + curve[:, b, a]) / 2 for a, b in pairs]))


def fresh_split(fresh: Family, name: str = "split", time: int = HEADLINE) -> Estimate:
    """Divergence [S] of networks that never see a string twice: the mean over pairs, with an error that leaves out one."""
    values = fresh.split(name, time)

    def mean(chosen: list[int]) -> Tensor:
        rest = values[:, chosen][:, :, chosen]
        return rest.sum((1, 2)) / (len(chosen) * (len(chosen) - 1))

    return leave_one_out(mean, range(len(fresh.labels)))


def excess(family: Family, fresh: Family, time: int = HEADLINE) -> Estimate:
    """Divergence [S] of networks of other block and other seed beyond that of networks of fresh strings at the same step."""
    both, rest = split_classes(family, time=time).both_difference, fresh_split(fresh, time=time)
    count = len(family.steps)
    return Estimate(both.value - rest.value[:count], (both.error.square() + rest.error[:count].square()).sqrt())


def onset(family: Family, estimate: Estimate, above: float = 0.05) -> int | None:
    """The first checkpoint from which on `estimate` [S] less two standard errors stays above so many nats; None where it
    does not in the end."""
    low = estimate.value - 2 * estimate.error > above
    return int(family.steps[int((~low).nonzero()[-1]) + 1 if not low.all() else 0]) if low[-1] else None


def clocks(family: Family, fresh: Family, nearest: Tensor | None, generator: Generator) -> dict[str, Clock]:
    """Where curves are least, after the checkpoint at which the distance to the coarsest oracle is, by name:

        level 0, 1, ..         distance to BP_k on test strings; level 0 is the clock of the test loss at t = 75
        novel, raw             distance to BP_0 on strings of no block; of raw weights
        entropy                cross-entropy on test strings at uniform times
        split, split/raw       divergence of networks of other block and other seed
        excess                 the same beyond that of networks of fresh strings, these as they are
        nearest                D_NN, where given: `nearest` [S', B] at the checkpoints with samples
    """
    labels, steps = family.labels, family.steps
    count, depth = len(labels), family.config.depth
    curves = {f"level {level}": family.distance(level) for level in range(depth + 1)}
    curves |= {"novel": family.distance(0, "distance/novel"), "raw": family.distance(0, "distance/raw"),
               "entropy": family.curve("losses/test", -1)[:, :count].sum(2),
               "split": family.split(), "split/raw": family.split("split/raw"),
               "excess": family.split() - fresh_split(fresh).value[:len(steps), None, None]}
    of_blocks = {name: (steps, block_curves(values, labels)) for name, values in curves.items()}
    if nearest is not None:
        of_blocks["nearest"] = family.sampled, nearest
    return bootstrap_clocks(of_blocks, f"level {depth}", generator)


def distance_law(grammar: Grammar, blocks: Tensor) -> Tensor:
    """Law of the distance of a fresh string to each of B blocks [B, n, L], exact: [B, L + 1]. Enumerates the language, so
    it raises ValueError where that is too large. Cost: strings of the language times n B L comparisons."""
    strings = grammar.strings()
    probability = grammar.log_prob(strings).exp()
    laws = torch.zeros(len(blocks), blocks.shape[2] + 1, dtype=torch.float64)
    for law, block in zip(laws, blocks):
        law.index_add_(0, string_distance(strings, block), probability)
    return laws


def nearness(family: Family, laws: Tensor) -> tuple[Tensor, Tensor]:
    """Of samples and the block that they should not know better than others: the mean distance of samples less that of
    fresh strings, and D_NN, each [S', B], with the `laws` [B, L + 1] of fresh strings.

    Networks of fresh strings have no block: each is compared with all, and what is returned is [S', networks].
    """
    counts = family.curve("nearest")  # [S', K, B, L + 1]
    counts = counts if family.config.fresh else counts.diagonal(dim1=1, dim2=2).movedim(-1, 1).unsqueeze(2)
    laws = laws if family.config.fresh else laws.unsqueeze(1)
    distances = torch.arange(laws.shape[-1], dtype=torch.float64)
    total = counts.sum(-1)
    shift = counts @ distances / total - laws @ distances
    divergence = neighbor_divergence(counts, (total.unsqueeze(-1) * laws).expand_as(counts))
    return shift.mean(2), divergence.mean(2)


def preference(family: Family, step: int, generator: Generator, kind: str = "averaged", kept: int = 1024,
               relabelings: int = 200) -> FamilyPreference:
    """The preference of samples at a checkpoint for the own block: `string_preference` of the first `kept` of each network.
    A committee's own block is that of both its networks together. Cost: 1 s for 6 networks."""
    blocks, drawn = blocks_of(family.config), family.strings(step, kind)[:, :kept]
    if kind == "committee":
        blocks = blocks[:2 * len(drawn)].flatten(0, 1).unflatten(0, (len(drawn), -1))
    return string_preference({(block, 0): strings for block, strings in enumerate(drawn)}, blocks, generator, relabelings)


def grammatical(family: Family, step: int, kind: str = "averaged") -> Tensor:
    """Share of nodes [K, depth] of samples at a checkpoint whose subtree can be derived, root first: at the root, the share
    of strings of the language."""
    return torch.stack([torch.stack([level.double().mean() for level in family.config.grammar.parse(drawn).grammatical])
                        for drawn in family.strings(step, kind)])


def committee_distance(family: Family) -> Tensor:
    """KL(BP_0 || committee of two) [S, pairs] of networks of other blocks and one seed: the mean of both less V."""
    single, variance, labels = family.distance(0), family.curve("pair_variance"), family.labels
    pairs = [(a, b) for b, (_, seed) in enumerate(labels) for a, (_, other) in enumerate(labels[:b]) if seed == other]
    return torch.stack([(single[:, a] + single[:, b]) / 2 - variance[:, a, b] for a, b in pairs], 1)


def variance_and_bias(family: Family, time: int = HEADLINE) -> tuple[Estimate, list[Estimate]]:
    """V of networks of one seed, and the bias KL(BP_k || their committee) for each level k, each [S], mean over seeds.

    V of B networks is taken times B/(B - 1), which removes the shrinkage of a small committee, and the bias is the rest:
    mean_m KL(BP_k || p_m) = bias_k + V. Errors leave out a block.
    """
    committees, recorded = family.config.committees, family.curve("variance", time)  # [S, G, 1 + B]
    count, levels = len(committees[0]), range(family.config.depth + 1)
    distance = torch.stack([torch.stack([family.distance(level, time=time)[:, members] for level in levels])
                            for members in committees]).mean(0)  # [levels, S, B]
    whole = recorded[:, :, 0].mean(1) * count / (count - 1)
    without = recorded[:, :, 1:].mean(1) * (count - 1) / max(count - 2, 1)  # [S, B]
    mean = distance.mean(2)
    rest = (distance.sum(2, keepdim=True) - distance) / (count - 1)
    return _jackknifed(whole, without), [_jackknifed(mean[level] - whole, rest[level] - without) for level in levels]


def table(family: Family) -> list[dict[str, float]]:
    """A row for each network: where its distance to each BP_k is least, and what it reached there and in the end.

        block, seed, draws          the network
        least 0, 1, ..              the step at which its distance to BP_k is least
        at least, at end            its distance to BP_0 at the first of these steps, and at the last checkpoint
        raw                         the least distance to BP_0 of raw weights
        split, split at             least divergence from networks of other block and other seed from the step `least depth`
                                    on, and the step of it
        split at end                at the last checkpoint
        leaning                     at the last checkpoint, beyond BP_0's, nats a token, on its own block at uniform times
    """
    depth, steps, rows = family.config.depth, family.steps, []
    pairs = family.curve("split")
    for place, member in enumerate(family.config.members):
        curves = family.curve("distance")[:, place]  # [S, depth + 1]
        least = {f"least {level}": int(steps[curves[:, level].argmin()]) for level in range(depth + 1)}
        others = [other for other, label in enumerate(family.labels)
                  if label[0] != member.block and label[1] != member.seed]
        between = (pairs[:, place, others] + pairs[:, others, place]).mean(1) / 2
        first = int(curves[:, depth].argmin())
        lowest = first + int(between[first:].argmin())
        own = None if family.config.fresh else family.curve("losses/own")[-1, -1, place, :, 1]
        rows.append({**member._asdict(), **least, "at least": float(curves[:, 0].min()), "at end": float(curves[-1, 0]),
                     "raw": float(family.curve("distance/raw")[:, place, 0].min()), "split": float(between[lowest]),
                     "split at": int(steps[lowest]), "split at end": float(between[-1]),
                     "leaning": float("nan") if own is None else float(own[0] - own[1])})
    return rows


def _jackknifed(whole: Tensor, without: Tensor) -> Estimate:
    """The estimate of a curve [S] whose values without each block are [S, B]."""
    count = without.shape[1]
    return Estimate(whole, (without.var(1, correction=0) * (count - 1)).sqrt())
