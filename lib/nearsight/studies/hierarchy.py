"""The networks of study 3: trained on blocks of strings of the tree grammar, and measured together at log-spaced steps.

A run holds all networks of one size of block, brought from checkpoint to checkpoint together, since what is asked is how
they differ; each keeps its own checkpoints, and a run that was killed goes on. The controls are networks, too: other first
weights, other draws, strings that are drawn anew at every step. What is measured is said in `hierarchy_measures` and, of
what the networks make, in `hierarchy_samples`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from nearsight.measures.categorical import pair_divergences
from nearsight.networks.transformer import TokenDenoiser, TokenTransformer
from nearsight.noise import vp_sigmas
from nearsight.randomness import derived_seed, stream
from nearsight.records.runs import Run, Stage, Work
from nearsight.studies.hierarchy_measures import (
    HEADLINE,
    STUDY,
    Counts,
    Ground,
    distances,
    measure_own,
    measure_tests,
    predictions,
    prepare,
)
from nearsight.studies.hierarchy_samples import measure_samples, measure_turns
from nearsight.training.loop import Snapshot, Trainer, in_step
from nearsight.training.objectives import VpClock
from nearsight.training.recipe import Training, log_steps
from nearsight.training.streams import StreamTrainer, in_epochs, settling
from nearsight.tree.grammar import Grammar

EVERY = 250  # steps between two checkpoints at most: a few minutes of one core for all networks


class Member(NamedTuple):
    """A network: the block that it is trained on, the seed of its first weights, and which draws these are."""

    block: int
    seed: int
    draws: int = 0


@dataclass(frozen=True)
class GrammarNetworks:
    """Token networks of `seeds` first weights on each of `blocks` blocks of `size` strings.

    depth       of the grammar, the published one with seed 0
    largest     strings a block has in the family with the largest blocks: smaller ones are their first strings
    redrawn     so many blocks have one more network: first weights of seed 0, other draws
    fresh       if not 0, so many networks instead, whose strings are drawn anew at every step, each with its own seed
    epochs      if not 0, strings come in epochs, every one once, and the learning rate settles over so many of them;
                else with replacement, at a constant rate
    width .. norm_first    of `TokenTransformer`
    snapshots   the steps at which all are measured
    seed        names what differs between two families that are alike in all else
    """

    depth: int = 3
    size: int = 500
    largest: int = 500
    blocks: int = 6
    seeds: int = 2
    redrawn: int = 0
    fresh: int = 0
    width: int = 64
    layers: int = 3
    heads: int = 4
    feedforward: int = 128
    dropout: float = 0.0
    norm_first: bool = True
    batch: int = 256
    learning_rate: float = 1e-3
    epochs: int = 0
    bf16: bool = False
    snapshots: tuple[int, ...] = log_steps(20, 8000, 32)
    counts: Counts = Counts()
    seed: int = 0

    @property
    def steps(self) -> int:
        """The step of the last checkpoint."""
        return self.snapshots[-1]

    @property
    def standing(self) -> int:
        """The first checkpoint stands for the run: it has all arrays."""
        return 1

    @property
    def grammar(self) -> Grammar:
        """The grammar that all strings are drawn from."""
        return Grammar.random(depth=self.depth)

    @property
    def members(self) -> list[Member]:
        """The networks, in the order in which they stand in the arrays."""
        if self.fresh:
            return [Member(index, index) for index in range(self.fresh)]
        crossed = [Member(block, seed) for block in range(self.blocks) for seed in range(self.seeds)]
        return crossed + [Member(block, 0, draws=1) for block in range(self.redrawn)]

    @property
    def sampled(self) -> list[int]:
        """The places of the networks that make samples: one a block, all of the first seed; of fresh ones all."""
        return [place for place, member in enumerate(self.members) if self.fresh or (member.seed, member.draws) == (0, 0)]

    @property
    def sampled_at(self) -> list[int]:
        """The steps at which samples are made, the first among them."""
        return [step for place, step in enumerate(self.snapshots)
                if place % self.counts.every == 0 or step >= self.counts.dense]

    @property
    def committees(self) -> list[list[int]]:
        """The places of the networks of each committee: one of each block, all of one seed; of fresh ones all."""
        if self.fresh:
            return [self.sampled]
        return [[place for place, member in enumerate(self.members) if (member.seed, member.draws) == (seed, 0)]
                for seed in range(self.seeds)]


def grammar_networks(config: GrammarNetworks, work: Work = Work()) -> Iterator[Stage]:
    """Train the networks; yield at each checkpoint what `hierarchy_measures` and `hierarchy_samples` find, and their mean
    training `loss` [M] since the last one. Averaged weights, but for those that say `raw`. Samples are made at the steps
    `sampled_at`.

        distance/raw [M, depth + 1], split/raw [M, M]    as `measure_tests` says, of raw weights at t = 75

    Cost on one core at laptop scale: 50 ms a step and network, 3 s a checkpoint and network, 15 s where it makes samples.
    """
    training, ground = blocks_of(config), ground_of(config, work.device)
    trainers = [trainer(config, member, training, work) for member in config.members]
    seen = 0
    for snapshots in in_step(trainers, EVERY):
        step = snapshots[0].step
        if step not in config.snapshots:
            yield Stage(step)
            continue
        if step > work.after:
            losses = torch.stack([each.losses[seen:].mean() for each in snapshots])
            yield Stage(step, {"loss": losses, **measured(config, snapshots, ground)})
        seen = step


def measured(config: GrammarNetworks, snapshots: tuple[Snapshot, ...], ground: Ground) -> dict[str, Tensor]:
    """All arrays of a stage but the loss."""
    averaged, raw = [each.ema for each in snapshots], [each.network for each in snapshots]
    found = measure_tests(averaged, ground, config.committees)
    logs, inputs = predictions(raw, ground.tests[HEADLINE]), ground.tests[HEADLINE]
    found |= {"distance/raw": distances(logs, inputs.levels).float(), "split/raw": pair_divergences(logs).float()}
    blocks = [member.block for member in config.members]
    if not config.fresh:
        found |= measure_own(averaged, blocks, ground)
    if snapshots[0].step in config.sampled_at:
        made = config.sampled
        found |= measure_samples([averaged[place] for place in made], [raw[place] for place in made], ground, config.counts)
        found |= measure_turns([averaged[place] for place in made], [blocks[place] for place in made], ground, config.counts)
    return found


def blocks_of(config: GrammarNetworks) -> Tensor:
    """The training strings [B, n, L]: the first of each block of one tape, which is the same for blocks of all sizes."""
    return tape(config)[:, :config.size]


def tape(config: GrammarNetworks) -> Tensor:
    """The strings of the largest blocks [B, largest, L]."""
    strings = config.grammar.sample(config.blocks * config.largest, stream(STUDY, 0))
    return strings.unflatten(0, (config.blocks, config.largest))


def ground_of(config: GrammarNetworks, device: str = "cpu") -> Ground:
    """The strings that the networks are measured on."""
    whole = tape(config)
    return prepare(config.grammar, whole[:, :config.size], whole.flatten(0, 1), config.counts, not config.fresh, device)


def recipe(config: GrammarNetworks, member: Member) -> Training:
    """How a network is trained: its draws are its own, its first weights those of its seed."""
    return Training(snapshots=config.snapshots, batch=config.batch, learning_rate=config.learning_rate,
                    loss="cross_entropy", levels=VpClock(), ema=0.99, bf16=config.bf16,
                    seed=derived_seed(config.seed, 1, *member), initial_seed=derived_seed(config.seed, 0, member.seed))


def untrained(config: GrammarNetworks) -> TokenDenoiser:
    """The network of the configuration, as a denoiser."""
    return TokenDenoiser(TokenTransformer(config.grammar.vocabulary, 2**config.depth, config.width, config.layers,
                                          config.heads, config.feedforward, config.dropout, config.norm_first), vp_sigmas())


def trainer(config: GrammarNetworks, member: Member, training: Tensor, work: Work) -> Trainer:
    """The training of one network, where it stands."""
    place, make, q = config.members.index(member), partial(untrained, config), config.grammar.vocabulary
    folder, chosen = None if work.folder is None else work.folder / str(place), recipe(config, member)
    if config.fresh:
        grammar = config.grammar

        def events(step: int) -> Tensor:
            return one_hot(grammar.sample(config.batch, stream(chosen.seed, 3, step)), q).float()

        return StreamTrainer(chosen, make, events, folder, work.device)
    data = one_hot(training[member.block], q).float()
    if config.epochs:
        in_one = math.ceil(config.size / config.batch)
        return StreamTrainer(chosen, make, in_epochs(data, config.batch, chosen.seed), folder, work.device,
                             lambda step: settling(step // in_one, config.epochs))
    return Trainer(chosen, make, data, None, folder, work.device)


_SMALL = Counts(tests=200, uniform=200, noises=1, dense=50, samples=256, kept=256, few=32, turned=16, turns=2)
_PUBLISHED = Counts(tests=3000, uniform=3000, own=3000, noises=1, every=4, dense=10**9, samples=50_000, kept=512, few=512,
                    turned=1000, turns=100)


def _paper(size: int, epochs: int) -> Run:
    """The published networks on blocks of so many strings."""
    in_one = math.ceil(size / 512)
    saved = sorted({*log_steps(1, 100, 9), *log_steps(100, epochs, 25)})
    return Run(f"hierarchy-{size}-paper", grammar_networks, GrammarNetworks(
        depth=4, size=size, largest=70_000, blocks=15, width=512, layers=8, feedforward=1024, dropout=0.1, norm_first=False,
        batch=512, learning_rate=3e-4, epochs=epochs, bf16=True, snapshots=tuple(in_one * epoch for epoch in saved),
        counts=_PUBLISHED), "paper", on_device=True)


_SHORT = dict(depth=2, size=64, largest=64, blocks=2, width=32, layers=2, heads=2, feedforward=64, batch=64,
              snapshots=log_steps(2, 60, 6), counts=_SMALL)
SCALES = [
    Run("hierarchy-smoke", grammar_networks, GrammarNetworks(**_SHORT, redrawn=1), "smoke", on_device=True),
    Run("hierarchy-fresh-smoke", grammar_networks, GrammarNetworks(**_SHORT, fresh=2), "smoke", on_device=True),
    # In the order in which they are wanted. All measure at the same steps, so that each stands beside the fresh control.
    Run("hierarchy-300-laptop", grammar_networks, GrammarNetworks(
        size=300, redrawn=2, snapshots=log_steps(20, 8000, 32)[:29]), "laptop", on_device=True),
    Run("hierarchy-fresh-laptop", grammar_networks, GrammarNetworks(fresh=4), "laptop", on_device=True),
    Run("hierarchy-500-laptop", grammar_networks, GrammarNetworks(), "laptop", on_device=True),
    _paper(5000, 20_000), _paper(12_000, 30_000), _paper(70_000, 35_000)]
