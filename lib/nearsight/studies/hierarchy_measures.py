"""What is measured of the predictions of networks of strings at a checkpoint, beside the oracles and beside each other.

All models meet the same strings and noise, so that they can be compared; of their samples see `hierarchy_samples`. A model
is whatever has `log_probabilities(x, sigma)`: a network, an oracle, belief propagation with counted rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from nearsight.datasets.strings import is_novel
from nearsight.measures.categorical import committee, divergence, oracle_losses, pair_divergences, pair_variances, staircase
from nearsight.noise import vp_sigmas
from nearsight.randomness import stream
from nearsight.tree.grammar import Grammar

STUDY = 3  # names the streams of what all networks share; their own seeds are no part of it
CLOCK = vp_sigmas().flip(0)  # sigma_t of the published chain, t = 0 .. 500
TIMES = (50, 60, 75, 100, 150)  # t of the test inputs
HEADLINE = TIMES.index(75)
OWN_TIMES = (75, 150)  # t of the training inputs
BATCH = 512  # strings; larger batches are no faster on one core


class Model(Protocol):
    """Predicts the tokens of a string from its noisy one-hots."""

    def log_probabilities(self, x: Tensor, sigma: float | Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Counts:
    """How much is measured: `tests` strings at each of TIMES; `uniform` strings at times drawn once; of each block the
    first `own` strings, `noises` times each. At every `every`-th checkpoint, and at all from step `dense` on, where samples
    begin to look like strings: `samples` of each averaged network, `kept` of them, and `few` of each raw network and of
    each committee of two; `turned` strings, `turns` times each."""

    tests: int = 4000
    uniform: int = 8000
    own: int = 500
    noises: int = 4
    every: int = 5
    dense: int = 1000
    samples: int = 4096
    kept: int = 4096
    few: int = 1024
    turned: int = 128
    turns: int = 2


@dataclass(frozen=True, eq=False)
class Inputs:
    """Noisy strings, and what the oracles say of them.

    tokens [N, L], x [N, L, q]    the strings, and their noisy one-hots
    sigma                         the noise level, a number or [N]
    levels [K, N, L, q]           ln BP_0 .. ln BP_(K-1), float32
    """

    tokens: Tensor
    x: Tensor
    sigma: float | Tensor
    levels: Tensor

    def part(self, chosen: Tensor) -> Inputs:
        """Those of the strings that are chosen, [N] bool."""
        sigma = self.sigma[chosen] if isinstance(self.sigma, Tensor) else self.sigma
        return Inputs(self.tokens[chosen], self.x[chosen], sigma, self.levels[:, chosen])


@dataclass(frozen=True, eq=False)
class Ground:
    """The strings that models are measured on.

    tests      at each of TIMES; `novel` says which of them occur in no block, of whatever size
    uniform    at times drawn once, one a string
    blocks     of each block, at the first of OWN_TIMES; `later` at the others, and at uniform times
    turned     strings that are noised and brought back: those of the test pool, then of each block [1 + B, N, L]
    training   the blocks themselves [B, n, L]
    """

    grammar: Grammar
    tests: tuple[Inputs, ...]
    novel: Tensor
    uniform: Inputs
    blocks: tuple[Inputs, ...]
    later: tuple[tuple[Inputs, ...], ...]
    turned: Tensor
    training: Tensor

    @property
    def device(self) -> torch.device:
        return self.training.device


def prepare(grammar: Grammar, training: Tensor, seen: Tensor, counts: Counts, own: bool, device: str) -> Ground:
    """The ground for models of blocks [B, n, L], with a test pool of its own; `seen` [N, L] are the strings of all blocks
    of whatever size. Without `own`, blocks are no inputs."""
    pool = grammar.sample(max(counts.tests, counts.uniform, counts.turned), stream(STUDY, 1))
    every_level, truth = range(grammar.depth + 1), range(1)

    def inputs(tokens: Tensor, levels: range, *name: int, time: int | None = None) -> Inputs:
        generator = stream(STUDY, 2, *name)
        times = torch.randint(1, len(CLOCK), (len(tokens),), generator=generator) if time is None else time
        y = one_hot(tokens, grammar.vocabulary).float()
        sigma = CLOCK[times].float()
        x = y + sigma.view(-1, 1, 1) * torch.randn(y.shape, generator=generator)
        sigma = sigma if time is None else float(CLOCK[time])
        known = [grammar.denoiser(level).log_probabilities(x.double(), sigma).float() for level in levels]
        return Inputs(tokens.to(device), x.to(device), sigma.to(device) if time is None else sigma,
                      torch.stack(known).to(device))

    blocks = [block[:counts.own].repeat(counts.noises, 1) for block in training] if own else []
    first, *others = OWN_TIMES
    return Ground(
        grammar, tuple(inputs(pool[:counts.tests], every_level, 0, time, time=time) for time in TIMES),
        is_novel(pool, seen).to(device), inputs(pool[:counts.uniform], truth, 1),
        tuple(inputs(block, every_level, 2, index, time=first) for index, block in enumerate(blocks)),
        tuple((*(inputs(block, truth, 3, index, time, time=time) for time in others), inputs(block, truth, 4, index))
              for index, block in enumerate(blocks)),
        torch.stack([pool[:counts.turned], *(block[torch.arange(counts.turned) % len(block)] for block in training)])
        .to(device), training.to(device))


@torch.no_grad()
def predictions(models: Sequence[Model], inputs: Inputs) -> Tensor:
    """ln p of each model's tokens, [M, N, L, q], in batches."""
    batches = inputs.x.split(BATCH)
    levels = inputs.sigma.split(BATCH) if isinstance(inputs.sigma, Tensor) else [inputs.sigma] * len(batches)
    return torch.stack([torch.cat([model.log_probabilities(*batch) for batch in zip(batches, levels)]) for model in models])


def measure_tests(models: Sequence[Model], ground: Ground, committees: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """How M models predict test strings at TIMES (T of them) and at uniform times, in nats a string unless said.

        distance [T, M, depth + 1]    D_k = KL(BP_k || p), mean over strings
        distance/novel [M, depth + 1] of novel strings, at t = 75
        split [T, M, M]               KL(p_a || p_b)
        split/novel [M, M]            of novel strings, at t = 75
        pair_variance [M, M]          of the committee of every two, at t = 75
        variance [T, G, 1 + B]        of each of G `committees` of B models (their places), then of all but one of them
        staircase [M, depth]          at t = 75
        losses/test [T + 1, M + 1, 2] known and leaning, nats a token, at TIMES and at uniform times; last of BP_0 itself
        losses/novel [T + 1, M + 1, 2]    of novel strings
    """
    found = {name: [] for name in ("distance", "split", "variance", "losses/test", "losses/novel")}
    for index, inputs in enumerate((*ground.tests, ground.uniform)):
        logs = predictions(models, inputs)
        novel = ground.novel[:len(inputs.tokens)]
        for name, chosen in (("losses/test", slice(None)), ("losses/novel", novel)):
            found[name].append(losses(logs[:, chosen], inputs.levels[0, chosen], inputs.tokens[chosen]))
        if inputs is ground.uniform:
            break
        found["distance"].append(distances(logs, inputs.levels))
        found["split"].append(pair_divergences(logs))
        found["variance"].append(torch.stack([variances(logs[list(members)]) for members in committees]))
        if index == HEADLINE:
            found["distance/novel"] = distances(logs[:, novel], inputs.levels[:, novel])
            found["split/novel"], found["pair_variance"] = pair_divergences(logs[:, novel]), pair_variances(logs)
            found["staircase"] = staircase(logs, inputs.levels)
    return {name: (torch.stack(values) if isinstance(values, list) else values).float() for name, values in found.items()}


def measure_own(models: Sequence[Model], blocks: Sequence[int], ground: Ground) -> dict[str, Tensor]:
    """How M models predict the strings of the block that each was trained on, in nats a string unless said.

        distance/own [M, depth + 1]   D_k on its own block, at t = 75
        split/own [M, M]              KL(p_a || p_b) on the block of a, at t = 75
        losses/own [3, M, 2, 2]       of the model and of BP_0: known and leaning, nats a token, at OWN_TIMES and at
                                      uniform times
    """
    found = {name: [None] * len(models) for name in ("distance/own", "split/own", "losses/own")}
    for block in sorted(set(blocks)):
        inputs, logs = ground.blocks[block], predictions(models, ground.blocks[block])
        between = pair_divergences(logs)
        for place in (place for place, own in enumerate(blocks) if own == block):
            found["distance/own"][place] = distances(logs[[place]], inputs.levels)[0]
            found["split/own"][place] = between[place]
            at_times = [losses(logs[[place]], inputs.levels[0], inputs.tokens)]
            at_times += [losses(predictions(models[place:place + 1], each), each.levels[0], each.tokens)
                         for each in ground.later[block]]
            found["losses/own"][place] = torch.stack(at_times)
    return {name: torch.stack(values, 1 if name == "losses/own" else 0).float() for name, values in found.items()}


def distances(logs: Tensor, levels: Tensor) -> Tensor:
    """D_k [M, K] of models' predictions [M, N, L, q] from oracles' [K, N, L, q], mean over strings."""
    return torch.stack([divergence(levels, each).mean(1) for each in logs])


def losses(logs: Tensor, truth: Tensor, tokens: Tensor) -> Tensor:
    """Known and leaning [M + 1, 2] of M models' predictions and, last, of BP_0's own; mean over strings, nats a token."""
    return torch.stack([torch.stack([part.mean() for part in oracle_losses(each, truth.exp(), tokens)])
                        for each in (*logs, truth)])


def variances(logs: Tensor) -> Tensor:
    """V [1 + B] of a committee [B, N, L, q], then of those without one of its members; mean over strings."""
    rest = [torch.cat([logs[:place], logs[place + 1:]]) for place in range(len(logs))]
    return torch.stack([committee(each)[1].mean() for each in (logs, *rest)])
