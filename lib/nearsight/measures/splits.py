"""The sample split: how alike networks are that were trained on disjoint data, and what makes them differ.

Networks are labelled (block, seed): the block of training data, and the seed of everything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Generator, Tensor
from torch.nn.functional import cosine_similarity, normalize

from nearsight import checks
from nearsight.checks.results import Readable, span, with_error
from nearsight.denoisers.compose import Denoiser
from nearsight.measures.intervals import Estimate, leave_one_out

_BATCH = 256  # events in one call of a denoiser


@dataclass(frozen=True, repr=False)
class SplitVariance(Readable):
    """Mean square differences D and variance components V of a crossed layout, each an `Estimate` per entry.

    data: other block, same seed. seed: same block, other seed. both: other block and other seed.
    """

    data_difference: Estimate
    seed_difference: Estimate
    both_difference: Estimate
    data_variance: Estimate
    seed_variance: Estimate
    mixed_variance: Estimate

    def _pairs(self) -> dict[str, object]:
        variances = {"data": self.data_variance, "seed": self.seed_variance, "mixed": self.mixed_variance}
        return {f"{part} variance": span(estimate.value) if estimate.value.ndim
                else with_error(float(estimate.value), float(estimate.error)) for part, estimate in variances.items()}


def split_variance(outputs: Mapping[tuple[int, int], Tensor]) -> SplitVariance:
    """How much of the difference between networks is due to their data, and how much to their seed.

    `outputs[block, seed]` [N, *event] are the outputs of one network: samples from shared latents, or a denoiser at
    shared noisy events. With f = m + a_block + b_seed + c_block,seed,

        V_data = (D_both - D_seed)/2     V_seed = (D_both - D_data)/2     V_mixed = (D_data + D_seed - D_both)/2

    are unbiased for the mean variances of a, b and c. Standard errors leave out one block at a time: with fewer than
    three blocks they are nan.

    Raises ValueError for fewer than two blocks or seeds, or unequal shapes.
    Cost: (networks)^2/2 passes over the outputs.
    """
    check_labelled(outputs, "outputs")
    shapes = {tuple(checks.points(output, f"outputs[{label}]").shape) for label, output in outputs.items()}
    for label, output in outputs.items():
        checks.same_device(next(iter(outputs.values())), output, "the first of outputs", f"outputs[{label}]")
    if len(shapes) > 1:
        raise ValueError(f"outputs have the shapes {sorted(shapes)}; expected one shape for all networks.")
    pairs = list(combinations(sorted(outputs), 2))
    differing = {pair: _differing(*pair) for pair in pairs}
    if len(set(differing.values())) < 3:
        raise ValueError(f"networks {sorted(outputs)}; expected at least two blocks with two seeds in common, such as "
                         "(0, 0), (0, 1), (1, 0), (1, 1).")
    difference = {(a, b): (outputs[a].double() - outputs[b].double()).square().mean() for a, b in pairs}

    def components(blocks: list) -> Tensor:
        chosen = [pair for pair in pairs if pair[0][0] in blocks and pair[1][0] in blocks]
        data, seed, both = (_mean([difference[pair] for pair in chosen if differing[pair] == part])
                            for part in ("data", "seed", "both"))
        return torch.stack([data, seed, both, (both - seed) / 2, (both - data) / 2, (data + seed - both) / 2])

    estimate = leave_one_out(components, {block for block, _ in outputs})
    return SplitVariance(*map(Estimate, estimate.value, estimate.error))


def pair_mean(values: Mapping[tuple[int, int], Tensor | float]) -> Estimate:
    """Mean over pairs of blocks of what was measured on each pair, a number or a curve, with its standard error, on the CPU.

    Pairs that share a block share a network, so that the error leaves out one block, not one pair, at a time.
    """
    check_labelled(values, "values")
    if not values or any(first == second for first, second in values):
        raise ValueError(f"pairs {list(values)}; expected at least one pair (i, j) of different blocks.")
    numbers = {pair: checks.numbers(value, f"values[{pair}]") for pair, value in values.items()}
    if len({number.shape for number in numbers.values()}) > 1:
        raise ValueError(f"values have the shapes {sorted(map(tuple, {number.shape for number in numbers.values()}))}; "
                         "expected one shape for all pairs.")
    nothing = torch.full_like(next(iter(numbers.values())), torch.nan)

    def mean(blocks: list) -> Tensor:
        return _mean([value for pair, value in numbers.items() if set(pair) <= set(blocks)], nothing)

    return leave_one_out(mean, {block for pair in numbers for block in pair})


def standardized(events: Tensor) -> Tensor:
    """phi: each event [N, *event] less its mean over entries, divided by its L2 norm, as a row [N, d].

    |phi(a) - phi(b)|^2 = 2 (1 - cos). A constant event has no direction: its row is 0.
    """
    rows = checks.points(events, "events").flatten(1)
    return normalize(rows - rows.mean(1, keepdim=True), dim=1, eps=torch.finfo(rows.dtype).tiny)


def pair_cosine(first: Tensor, second: Tensor) -> Tensor:
    """Cosine similarity [N] of paired events [N, *event], each standardized: 1 - it is the sample-split distance."""
    _paired(first, second)
    return (standardized(first) * standardized(second)).sum(1)


def convergence(first: Tensor, second: Tensor) -> float:
    """Same-seed convergence of two models' samples [N, *event] from shared latents.

        R = 1 - E |a_i - b_i|^2 / E |a_i - b_pi(i)|^2

    pi a derangement of the latents, averaged over all of them: every i is then paired with every other. R = 1 where the
    latent decides all, 0 where it decides nothing. Raises ValueError unless both hold at least two events and as many.
    """
    _paired(first, second, at_least=2)
    a, b = (events.flatten(1).double() for events in (first, second))
    center = a.mean(0)
    a, b = a - center, b - center
    count, paired = len(a), (a - b).square().sum()
    everyone = count * (a.square().sum() + b.square().sum()) - 2 * a.sum(0) @ b.sum(0)
    return float(1 - (count - 1) * paired / (everyone - paired))


@torch.no_grad()
def prediction_cosine(first: Denoiser, second: Denoiser, points: Tensor, sigmas: Tensor, generator: Generator,
                      sigma_data: float | None = None) -> Tensor:
    """Cosine similarity [S, N] of what two denoisers remove from the same noisy events x = y + sigma eps.

    Of their noise predictions (x - D)/sigma, which agree trivially at large sigma, where x is all noise. With
    `sigma_data`, of what their networks add to the skip connection, D - c_skip x, c_skip = sigma_data^2 / (sigma^2 +
    sigma_data^2).
    One noise serves every sigma. Cost: S N events through each denoiser.
    """
    checks.points(points, "points")
    checks.generator(generator, points.device), checks.generator(generator)
    first, second = checks.denoiser(first, "first denoiser"), checks.denoiser(second, "second denoiser")
    sigma_data = None if sigma_data is None else checks.positive(sigma_data, "sigma_data")
    eps = torch.randn(points.shape, generator=generator, dtype=points.dtype, device=points.device)
    rows = []
    for sigma in checks.grid(sigmas).tolist():
        kept = 1.0 if sigma_data is None else sigma_data**2 / (sigma**2 + sigma_data**2)
        parts = [[(denoiser(x, sigma) - kept * x).flatten(1) for denoiser in (first, second)]
                 for x in (points + sigma * eps).split(_BATCH)]
        rows.append(torch.cat([cosine_similarity(a, b) for a, b in parts]))
    return torch.stack(rows)


def _differing(first: tuple[int, int], second: tuple[int, int]) -> str:
    """What two different networks (block, seed) differ in: their "data", their "seed", or "both"."""
    (first_block, first_seed), (second_block, second_seed) = first, second
    if first_block == second_block:
        return "seed"
    return "data" if first_seed == second_seed else "both"


def check_labelled(values: Mapping, name: str) -> None:
    """Raise TypeError unless the keys are pairs of what tells blocks or seeds apart."""
    for label in checks.instance(values, name, Mapping, "a dict by pairs such as (0, 1)"):
        if not isinstance(label, tuple) or len(label) != 2:
            raise TypeError(f"{name} has the key {checks.came(label)}; expected pairs such as (0, 1).")


def _mean(values: list[Tensor], nothing: Tensor | None = None) -> Tensor:
    """The mean of the values; `nothing`, or nan, where there are none."""
    if values:
        return torch.stack(values).mean(0)
    return torch.tensor(torch.nan) if nothing is None else nothing


def _paired(first: Tensor, second: Tensor, at_least: int = 1) -> None:
    checks.points(first, "first", at_least)
    checks.points(second, "second", at_least)
    if first.shape != second.shape:
        raise ValueError(f"first has shape {list(first.shape)} and second {list(second.shape)}; expected paired "
                         "events: draw both from the same latents.")
    checks.same_device(first, second, "first", "second")
