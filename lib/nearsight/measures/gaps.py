"""Denoising error against noise level, and the gap between training and held-out data."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch import Generator, Tensor

from nearsight import checks
from nearsight.checks.results import Readable, number, span
from nearsight.denoisers.compose import Denoiser

METRICS = ("mse", "norm")
_ENTRIES = 2**20  # entries of one call of the denoiser, and of any temporary: small enough for a network's activations


@torch.no_grad()
def point_errors(denoiser: Denoiser, points: Tensor, sigmas: Tensor, metric: str = "mse", draws: int = 50,
                 noise: Tensor | None = None, weights: Tensor | None = None,
                 generator: Generator | None = None) -> Tensor:
    """Denoising error of every single point, averaged over noise.

        e_i(sigma) = sum over draws q of w_q e(D(y_i + sigma eps_qi, sigma), y_i)

    e is "mse", the mean over event entries of the squared difference, or "norm", the L2 norm of the difference.
    points [N, *event], sigmas [S]; returns float64 [S, N] (float32 on MPS). One set of noise serves every sigma, so that
    curves over sigma are smooth: `noise` [draws, N, *event] where it is given (or [draws, 1, *event], shared by all
    points), otherwise `draws` of them from `generator`. `weights` [draws] turn the draws into the nodes of a quadrature
    (default: 1/draws).
    The denoiser sees the dtype of the points, whatever that of the noise.

    Works in blocks of at most 2^20 entries, or one event: several draws of all points where they fit, else one draw of
    some points. Noise is drawn in that order too, all points of one draw before those of the next.

    Costs S * draws * N events through the denoiser, and a few blocks of memory beside what the denoiser takes. Raises
    ValueError for an unknown metric, no draws, noise and weights of another shape, a denoiser that changes the shape, and
    what lies on another device than the points.
    """
    checks.points(points, "points")
    checks.choice(metric, "metric", METRICS)
    checks.generator(generator, points.device)
    denoiser, levels = checks.denoiser(denoiser), checks.grid(sigmas).tolist()
    if noise is not None:
        draws = len(checks.batch(noise, "noise"))
        checks.same_device(points, noise, "points", "noise")
        if noise.shape[2:] != points.shape[1:] or noise.shape[1] not in (1, len(points)):
            raise ValueError(f"noise has shape {list(noise.shape)}; expected [draws, N, *event], here "
                             f"[draws, {', '.join(map(str, points.shape))}].")
    draws = checks.count(draws, "draws")
    shares = torch.ones(draws) if weights is None else checks.vector(weights, "weights", draws).cpu()
    wide = checks.widest_float(points.device)
    shares = (shares.double() / shares.double().sum()).to(wide).to(points.device)

    errors = torch.zeros(len(levels), len(points), dtype=wide, device=points.device)
    draws_at_once = max(1, _ENTRIES // points.numel())
    points_at_once = max(1, _ENTRIES // points[0].numel())
    for q, i in product(range(0, draws, draws_at_once), range(0, len(points), points_at_once)):
        some, nodes = slice(i, i + points_at_once), slice(q, min(q + draws_at_once, draws))
        clean = points[some]
        if noise is None:
            eps = torch.randn((nodes.stop - nodes.start, *clean.shape), generator=generator, dtype=points.dtype,
                              device=points.device)
        else:
            eps = noise[nodes] if noise.shape[1] == 1 else noise[nodes, some]
        for s, sigma in enumerate(levels):
            noisy = (clean + sigma * eps).to(points.dtype)
            denoised = denoiser(noisy.flatten(0, 1), sigma).unflatten(0, noisy.shape[:2])
            difference = (denoised - clean).flatten(2)
            each = difference.square().mean(2) if metric == "mse" else difference.norm(dim=2)
            errors[s, some] += shares[nodes] @ each.to(wide)
    return errors


def denoising_error(denoiser: Denoiser, points: Tensor, sigmas: Tensor, metric: str = "mse", draws: int = 50,
                    noise: Tensor | None = None, weights: Tensor | None = None,
                    generator: Generator | None = None) -> Tensor:
    """Mean denoising error E(sigma) [S] over the points: the mean of `point_errors`, which see for the arguments.

    For metric "mse" in d dimensions, doing nothing (D = x) gives sigma^2 and returning the mean gives the variance.
    """
    errors = point_errors(denoiser, points, sigmas, metric, draws, noise, weights, generator)
    return errors.mean(1).to(points.dtype)


@dataclass(frozen=True, repr=False)
class GeneralizationGap(Readable):
    """Errors of one denoiser on training and on held-out points. `train`, `holdout`, `gap` and `sigmas` are [S].

    `train_errors` [S, N] and `holdout_errors` [S, M] are those of the single points, from which intervals are made.
    """

    sigmas: Tensor
    train_errors: Tensor
    holdout_errors: Tensor

    @property
    def train(self) -> Tensor:
        return self.train_errors.mean(1)

    @property
    def holdout(self) -> Tensor:
        return self.holdout_errors.mean(1)

    @property
    def gap(self) -> Tensor:
        """Relative gap (holdout - train) / train; infinite where the training error is 0 and the other is not."""
        return (self.holdout - self.train) / self.train

    def _pairs(self) -> dict[str, object]:
        gap = self.gap
        largest = gap.where(~gap.isnan(), -torch.inf).argmax()
        return {"levels": len(gap), "sigma": span(self.sigmas),
                "largest gap": f"{number(gap[largest])} at {number(self.sigmas[largest])}",
                "points": f"{self.train_errors.shape[1]} + {self.holdout_errors.shape[1]}"}


def generalization_gap(denoiser: Denoiser, train: Tensor, holdout: Tensor, sigmas: Tensor, metric: str = "mse",
                       draws: int = 50, noise: Tensor | tuple[Tensor, Tensor] | None = None,
                       weights: Tensor | None = None, generator: Generator | None = None) -> GeneralizationGap:
    """How much worse the denoiser does on points it was not trained on, at each noise level.

        G(sigma) = (E_holdout(sigma) - E_train(sigma)) / E_train(sigma)

    train [N, *event], holdout [M, *event], sigmas [S]. Where N = M the i-th points of both share their noise, which takes
    most of the noise out of the difference. A given `noise` is one tensor for both sets, which then hold equally many, or
    a pair (train noise, holdout noise). The other arguments are those of `point_errors`.
    Costs S * draws * (N + M) events through the denoiser.
    Source: Kaiser and Kollmann 2026 (arXiv 2603.13419).
    """
    checks.same_event(train, holdout, "train", "holdout")
    checks.generator(generator, train.device)
    streams = (None, None)
    if noise is None:
        # The same stream twice, without keeping [draws, N, *event] in memory.
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device if generator else "cpu"))
        streams = [torch.Generator(train.device).manual_seed(seed) for _ in range(2)]
        noises = (None, None)
    elif isinstance(noise, tuple):
        if len(noise) != 2:
            raise ValueError(f"noise is a tuple of {len(noise)}; expected a pair (train noise, holdout noise).")
        noises = noise
    elif len(train) == len(holdout):
        noises = (noise, noise)
    else:
        raise ValueError(f"train holds {len(train)} points and holdout {len(holdout)}, with one noise for both; "
                         "expected equal numbers, or a pair (train noise, holdout noise).")
    errors = [point_errors(denoiser, points, sigmas, metric, draws, eps, weights, stream).to(points.dtype)
              for points, eps, stream in zip((train, holdout), noises, streams)]
    return GeneralizationGap(checks.grid(sigmas).to(train.dtype).to(train.device), *errors)


def crossed_gap(first: GeneralizationGap, second: GeneralizationGap) -> GeneralizationGap:
    """The gap of two models, A and B, in which the difficulty of their training sets cancels.

        G(sigma) = [E_A(B) + E_B(A)] / [E_A(A) + E_B(B)] - 1

    One set may be harder than another, by more than a network overfits early on. Here each set is training data for one
    model and held out for the other, so that a set that is harder for both raises numerator and denominator alike.

    `first` is the gap of model A from set A to set B, `second` that of model B from set B to set A, at the same sigmas,
    with sets of one size N; with generators of one seed both models see the same noise, and two equal models have a gap
    of exactly 0:

        crossed = crossed_gap(generalization_gap(model_a, a, b, sigmas, generator=stream(7)),
                              generalization_gap(model_b, b, a, sigmas, generator=stream(7)))
        low, high = gap_band(crossed.train_errors, crossed.holdout_errors, generator)

    The result has, as its i-th point, the pair of the i-th points of both sets: `train_errors` [S, N] are the means of
    the errors of either under its own model, `holdout_errors` those under the other one. So `gap_band` resamples points
    together with their two models' errors. That band speaks of these two models; what other blocks would give is said by
    `pair_mean` of `gap` over all pairs of blocks, which leaves out a block at a time.

    Raises ValueError for sigmas or numbers of points that differ. Source: study 4.
    """
    for name, gap in {"first": first, "second": second}.items():
        checks.instance(gap, name, GeneralizationGap, "a GeneralizationGap, as generalization_gap returns")
    shapes = [tuple(errors.shape) for gap in (first, second) for errors in (gap.train_errors, gap.holdout_errors)]
    if len(set(shapes)) > 1 or not torch.equal(first.sigmas, second.sigmas):
        raise ValueError(f"the errors have the shapes {shapes}; expected [S, N] four times, at the same sigmas: give both "
                         "models sets of one size.")
    return GeneralizationGap(first.sigmas, (first.train_errors + second.train_errors) / 2,
                             (first.holdout_errors + second.holdout_errors) / 2)
