"""What networks of strings make at a checkpoint: samples, how near they are to each block, strings noised and brought back.

From the same latents all models draw the same noise, so that what they make can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from nearsight.denoisers.compose import Denoiser
from nearsight.measures.categorical import committee
from nearsight.measures.strings import string_distance
from nearsight.randomness import stream
from nearsight.sampling import sample
from nearsight.studies.hierarchy_measures import BATCH, CLOCK, STUDY, Counts, Ground, Model

TURNS = (5, 15, 25, 42, 60)  # t to which strings are noised and from which they are brought back
GRID = torch.cat([30 * 300 ** -torch.linspace(0, 1, 32, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)])


def measure_samples(averaged: Sequence[Model], raw: Sequence[Model], ground: Ground, counts: Counts) -> dict[str, Tensor]:
    """What K models make, all from the same latents and noise; strings are `packed`.

        samples/averaged [K, kept]    samples/raw [K, few]    samples/committee [K // 2, few], of models 2j and 2j + 1
        nearest [K, B, L + 1]         how many of all samples of averaged weights are at each distance to each block
    """
    made = {"averaged": [draw(model, ground, counts.samples) for model in averaged],
            "raw": [draw(model, ground, counts.few) for model in raw],
            "committee": [draw(Committee(averaged[place:place + 2]), ground, counts.few)
                          for place in range(0, len(averaged) - 1, 2)]}
    places = ground.training.shape[2]
    counted = torch.stack([torch.stack([string_distance(tokens, block).bincount(minlength=places + 1)
                                        for block in ground.training]) for tokens in made["averaged"]])
    q = ground.grammar.vocabulary
    return {**{f"samples/{name}": torch.stack([packed(tokens[:counts.kept], q) for tokens in strings])
               for name, strings in made.items() if strings}, "nearest": counted.float()}


class Committee:
    """The committee of some models as a model: ln pbar, see `measures.committee`."""

    def __init__(self, models: Sequence[Model]):
        self.models = models

    def log_probabilities(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        return committee(torch.stack([model.log_probabilities(x, sigma) for model in self.models]))[0]


def draw(model: Model, ground: Ground, count: int) -> Tensor:
    """Samples [count, L] of a model by the ancestral chain on GRID. All models share latents and noise, batch by batch, so
    that of more samples the first whole batches are the same."""
    made = []
    for index, batch in enumerate(torch.arange(count).split(BATCH)):
        generator = stream(STUDY, 5, index, device=ground.device)
        shape = len(batch), ground.training.shape[2], ground.grammar.vocabulary
        latents = (1 + GRID[0].float() ** 2).sqrt() * torch.randn(shape, generator=generator, device=ground.device)
        made.append(sample(as_denoiser(model), latents, GRID, "ancestral", generator))
    return torch.cat(made).argmax(2)


def measure_turns(models: Sequence[Model], blocks: Sequence[int], ground: Ground, counts: Counts) -> dict[str, Tensor]:
    """How many tokens return when strings are noised to TURNS and brought back.

        returned [K, 2, 5, 4]    of test strings and of the own block: the model's share, that of an exact chain, their
                                 ratio, mean over strings, and its standard error

    What an exact chain returns needs no chain: it is the mean of BP_0(x)[i, y_i]. Model and oracle share the noisy start.
    """
    found = []
    for model, block in zip(models, blocks):
        found.append(torch.stack([torch.stack([turned(model, ground, ground.turned[place], counts.turns, time)
                                               for time in TURNS]) for place in (0, 1 + block)]))
    return {"returned": torch.stack(found).float()}


def turned(model: Model, ground: Ground, tokens: Tensor, turns: int, time: int) -> Tensor:
    """The four numbers of `measure_turns` for strings [N, L] and one time."""
    chain = CLOCK[:time + 1].flip(0)  # a coarser one returns more: 1 % more tokens with 12 steps from t = 60
    y = one_hot(tokens, ground.grammar.vocabulary).float()
    shares = torch.zeros(2, len(tokens), device=ground.device)
    for turn in range(turns):
        generator = stream(STUDY, 7, time, turn, device=ground.device)
        x = y + chain[0].float() * torch.randn(y.shape, generator=generator, device=ground.device)
        back = torch.cat([sample(as_denoiser(model), part, chain, "ancestral", generator) for part in x.split(BATCH)])
        exact = (ground.grammar.denoiser()(x, float(chain[0])) * y).sum(2).mean(1)
        shares += torch.stack([(back.argmax(2) == tokens).float().mean(1), exact]) / turns
    ratio = shares[0] / shares[1]
    return torch.stack([*shares.mean(1), ratio.mean(), ratio.std() / len(ratio) ** 0.5])


def as_denoiser(model: Model) -> Denoiser:
    """The model as a denoiser (x, sigma)."""
    return lambda x, sigma: model.log_probabilities(x, sigma).exp()


def packed(tokens: Tensor, vocabulary: int) -> Tensor:
    """Strings [N, L] as numbers in base `vocabulary`, the first token last: int32 [N] where they fit, int64 elsewhere."""
    powers = vocabulary ** torch.arange(tokens.shape[1], device=tokens.device)
    return (tokens * powers).sum(1).to(torch.int32 if vocabulary ** tokens.shape[1] < 2**31 else torch.int64)


def unpacked(numbers: Tensor, vocabulary: int, places: int) -> Tensor:
    """The inverse of `packed`: tokens [..., L] of strings with L places."""
    return numbers.long().unsqueeze(-1) // vocabulary ** torch.arange(places, device=numbers.device) % vocabulary
