"""Experiments on the denoisers of study 4 themselves: how far a pixel looks, what two networks make together, and which
blur of the training images would err as a network does."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from scipy.optimize import brentq
from torch import Tensor, nn

from nearsight.denoisers.compose import Denoiser, guided
from nearsight.denoisers.empirical import EmpiricalDenoiser
from nearsight.measures.gaps import denoising_error
from nearsight.randomness import stream
from nearsight.records.runs import Stage, Work
from nearsight.studies.image_measures import SIGMAS, STUDY, Ground, errors, in_batches, measure_samples
from nearsight.studies.image_moments import draw
from nearsight.studies.recorded_weights import Experiment, each_moment, scales, stacked

ASKED = SIGMAS[1::2]  # every second level of the error curves, of the range of dependence
OUTPUTS = 32  # pixels whose gradient is taken of an image
AWAY = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)


def image_ranges(config: Experiment, work: Work = Work()) -> Iterator[Stage]:
    """How far a pixel of a denoised image looks, on i = `images` noisy images of the own and of the other block:

        moment, weight [2, 2, 12, i]   float32   sum over p, q of |dD_p/dx_q| |p - q|, and of |dD_p/dx_q|

    by network, block (own, other) and level of ASKED, q all pixels and p 32 that are drawn once. The range of dependence is
    the ratio of their means over images, in pixels. Source: Kaiser and Kollmann 2026 (arXiv 2603.13419).
    Cost: 32 gradients an image and level: 2 minutes of one core a network and moment at laptop scale.
    """
    yield from each_moment(config, work, ranges)


def ranges(config: Experiment, networks: list[nn.Module], ground: Ground) -> dict[str, Tensor]:
    """The arrays of `image_ranges` at one moment."""
    found = []
    for block, network in enumerate(networks):
        each = [dependence(network, ground.blocks[place, :config.images], ASKED) for place in (block, 1 - block)]
        found.append({"moment": torch.stack([part[0] for part in each]), "weight": torch.stack([part[1] for part in each])})
    return stacked(found)


@torch.enable_grad()
def dependence(denoiser: nn.Module | Denoiser, images: Tensor, sigmas: Tensor, outputs: int = OUTPUTS
               ) -> tuple[Tensor, Tensor]:
    """Sum over outputs p and inputs q of |dD_p/dx_q| |p - q|, and of |dD_p/dx_q|, at x = y + sigma eps: two [S, m] float32.

    images [m, 1, H, W]; all levels and images share noise and the pixels p. `outputs` = H W takes every pixel.
    """
    height, width = images.shape[2:]
    generator = stream(STUDY, 33)
    chosen = torch.randperm(height * width, generator=generator)[:outputs].to(images.device)
    noise = torch.randn(1, *images.shape[1:], generator=generator).to(images)
    rows, columns = (part.flatten().to(images) for part in torch.meshgrid(torch.arange(height), torch.arange(width),
                                                                           indexing="ij"))
    reach = torch.hypot(rows[chosen, None] - rows, columns[chosen, None] - columns)
    found = torch.zeros(2, len(sigmas), len(images))
    for level, sigma in enumerate(sigmas.tolist()):
        for number, image in enumerate(images):
            copies = (image + sigma * noise[0]).expand(len(chosen), -1, -1, -1).detach().requires_grad_()
            answers = denoiser(copies, sigma).flatten(1)
            slopes, = torch.autograd.grad(answers[torch.arange(len(chosen)), chosen].sum(), copies)
            size = slopes.flatten(1).abs()
            found[0, level, number], found[1, level, number] = (size * reach).sum(), size.sum()
    return found[0], found[1]


def image_remedies(config: Experiment, work: Work = Work()) -> Iterator[Stage]:
    """Sample from (1 - theta) D_A + theta D_B, theta in AWAY: A itself, the mean of A and B at theta = 1/2, and A guided
    away from its excess over B beyond that, as far as B at theta = 1 and farther.

    Stacked over theta: what `image_measures.measure_samples` finds of the samples, in whose owners blocks 0 and 1 are seen
    by both and the others by neither; `error`, `uncertainty` [theta, b+2, 24] and `stopping_error` [theta, 24, curve] of the
    denoiser as `image_measures.errors` has them. Cost: twice 27 samples + 144 curve images through a network, for each
    theta: 8 minutes of one core a moment at laptop scale.
    """
    yield from each_moment(config, work, remedies)


def remedies(config: Experiment, networks: list[nn.Module], ground: Ground) -> dict[str, Tensor]:
    """The arrays of `image_remedies` at one moment."""
    found = []
    for weight in AWAY:
        denoiser = guided(*networks, -weight)
        found.append({**measure_samples(draw(denoiser, ground, config.samples), ground, config.pictures),
                      **errors(denoiser, ground, config.curve)})
    return stacked(found)


def effective_blur(train: Tensor, points: Tensor, sigmas: Tensor, wanted: Tensor, noise: Tensor) -> Tensor:
    """The blur delta [S] at which `EmpiricalDenoiser(train, delta)` errs as much as `wanted` [S] at each level.

    E_delta(sigma) is its mean squared error on `points` [m, *event] with `noise` [draws, m or 1, *event], as a network's
    was measured. On training points it rises from that of the exact memorizer, at delta = 0, to sigma^2, that of doing
    nothing. nan where the wanted error is not between those at the ends of the search, .001 and 100, as can be at sigma
    far above the blur, where the error hardly depends on it.
    Cost: a dozen evaluations a level, by Brent's method in ln delta to a relative 1e-4.
    """
    def excess(logarithm: float, sigma: Tensor, target: float) -> float:
        denoiser = EmpiricalDenoiser(train, float(torch.tensor(logarithm).exp()))
        return float(denoising_error(in_batches(denoiser), points, sigma, noise=noise)) - target

    ends = torch.tensor([1e-3, 100.0]).log().tolist()
    found = []
    for sigma, target in zip(sigmas.split(1), wanted.tolist()):
        short = partial(excess, sigma=sigma, target=target)
        bracketed = short(ends[0]) < 0 < short(ends[1])
        found.append(brentq(short, *ends, xtol=1e-4) if bracketed else torch.nan)
    return torch.tensor(found, dtype=torch.float64).exp()


def blur_of_errors(train: Tensor, wanted: Tensor, count: int = 256) -> Tensor:
    """`effective_blur` [24] of a network's errors on its block as its record has them, `error[block]`: on the same images,
    the first `count` of train [n, 1, H, W], with the same noise, at the levels SIGMAS. Cost: 5 s."""
    noise = torch.randn(1, count, *train.shape[1:], generator=stream(STUDY, 2))
    return effective_blur(train, train[:count], SIGMAS, wanted, noise)


SCALES = [*scales("ranges", image_ranges, images=32), *scales("remedies", image_remedies)]
