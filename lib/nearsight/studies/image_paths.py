"""Experiments on the sampler's paths: where a noised image returns to, how near paths pass by the training images, and
whether more steps matter. Each on the networks A and B of blocks 0 and 1, which change places: what is own for one is other
for the other, so that the difficulty of a set cancels in the mean over both.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from nearsight.denoisers.compose import Denoiser
from nearsight.measures.features import frechet
from nearsight.measures.proximity import nearest
from nearsight.noise import edm_sigmas
from nearsight.randomness import stream
from nearsight.records.runs import Stage, Work
from nearsight.sampling import sample
from nearsight.studies.image_measures import GRID, STUDY, Ground, in_batches, measure_samples, owners
from nearsight.studies.image_moments import draw
from nearsight.studies.recorded_weights import Experiment, as_owner, each_moment, scales, stacked

STARTS = tuple(range(2, 11))  # of GRID: 9.4 ... .14, where noised images are let go
MIXTURES = (1.0, 0.75, 0.5, 0.25, 0.0)  # shares of an image of the own block, the rest one of V
KINDS = (*MIXTURES, "other")
FINE = edm_sigmas(28, 0.01, 20.0)
EIGHTHS = 8


def image_turns(config: Experiment, work: Work = Work()) -> Iterator[Stage]:
    """Noise images to GRID[s], s in STARTS, and let the sampler go from there; i images of each kind, one noise an image.

        distance [2, s, k, i]     float16  L2 from the end to the clean image that was noised
        owners [2, s, k, i, b]    int16    `image_measures.owners` of the ends, in pixels
        natural [2, samples, b]   int16    the same of samples, whose states are natural at every level

    by network, for the KINDS k: mixtures of the i-th image of the own block with the i-th of V (1: training image, 0:
    held-out one), and the i-th of the other block. Source: the U-turn of Garnier-Brun et al. 2026 (arXiv 2603.03469).
    Cost: 135 k i + 27 samples images through each network: 6 minutes of one core a network and moment at laptop scale.
    """
    yield from each_moment(config, work, turns)


def turns(config: Experiment, networks: list[nn.Module], ground: Ground) -> dict[str, Tensor]:
    """The arrays of `image_turns` at one moment."""
    found = []
    for block, network in enumerate(networks):
        starts = mixtures(ground, block, 1 - block, config.images)
        ends = turned(network, starts)
        pool, natural = ground.blocks.flatten(2), draw(network, ground, config.samples)
        found.append({"distance": (ends - starts).flatten(3).norm(dim=3).half(), "natural": owners(natural.flatten(1), pool),
                      "owners": owners(ends.flatten(0, 2).flatten(1), pool).unflatten(0, ends.shape[:3])})
    return stacked(found)


def mixtures(ground: Ground, own: int, other: int, count: int) -> Tensor:
    """The clean images [k, i, 1, H, W] of all KINDS."""
    train, held, far = ground.blocks[own, :count], ground.stopping[:count], ground.blocks[other, :count]
    return torch.stack([*(share * train + (1 - share) * held for share in MIXTURES), far])


def turned(network: nn.Module | Denoiser, clean: Tensor) -> Tensor:
    """Where clean images [k, i, 1, H, W], noised to each of the STARTS, are led to: [s, k, i, 1, H, W]."""
    noise = torch.randn(clean.shape[1:], generator=stream(STUDY, 30)).to(clean.device)
    denoiser = in_batches(network)
    return torch.stack([sample(denoiser, (clean + float(GRID[start]) * noise).flatten(0, 1), GRID[start:])
                        .unflatten(0, clean.shape[:2]) for start in STARTS])


def image_passages(config: Experiment, work: Work = Work()) -> Iterator[Stage]:
    """Compare, at each of the 14 levels of the sampler, three kinds of noisy images: y + sigma eps for y in the own block
    and in the other one, and the states that the sampler has there; i = `images` of each.

        overlap [2, 14, 3, i]        float32  min over y in the own block of |x - y|^2 / (d sigma^2)
        similarity [2, 14, 3, 2, i]  float16  cosine of the features of D(x) and the nearest in the own, the other block
        frechet [2, 14, 3, 2, 9]     float32  distance of all D(x) to the own, the other block, then without each eighth
        baseline [2, 9]              float32  the same of the two blocks' images themselves

    by network. Features are the classifier's for cosines, 32 principal coordinates for Frechet distances, which are of
    `images` images of each set. The i-th images of all sets share their noise.
    Source: Kaiser and Kollmann 2026 (arXiv 2603.13419); the overlap and the baseline are of study 4. Cost: (27 + 42) i
    images through each network, and 756 Frechet distances: a minute of one core a network and
    moment at laptop scale.
    """
    yield from each_moment(config, work, passages)


def passages(config: Experiment, networks: list[nn.Module], ground: Ground) -> dict[str, Tensor]:
    """The arrays of `image_passages` at one moment."""
    return stacked([passage(network, ground, block, 1 - block, config.images) for block, network in enumerate(networks)])


def passage(network: nn.Module | Denoiser, ground: Ground, own: int, other: int, count: int) -> dict[str, Tensor]:
    """The arrays of `image_passages` of one network."""
    sets = [ground.blocks[block, :count] for block in (own, other)]
    spaces = [ground.spaces(images) for images in sets]
    denoiser, shape = in_batches(network), sets[0].shape
    latents = GRID[0].float() * torch.randn(shape, generator=stream(STUDY, 31)).to(sets[0].device)
    _, states = sample(denoiser, latents, GRID, trajectory=True)
    noise = torch.randn(shape, generator=stream(STUDY, 32)).to(sets[0].device)
    overlap, similarity, distances = [], [], []
    for sigma, state in zip(GRID[:-1].tolist(), states):
        noisy = [*(images + sigma * noise for images in sets), state]
        overlap.append(torch.stack([overlaps(x, ground.blocks[own], sigma) for x in noisy]))
        clean = [ground.spaces(denoiser(x, sigma)) for x in noisy]
        similarity.append(torch.stack([torch.stack([nearest_cosine(each["classifier"], space["classifier"])
                                                    for space in spaces]) for each in clean]))
        distances.append(torch.stack([torch.stack([frechet_by_eighths(each["principal"], space["principal"])
                                                   for space in spaces]) for each in clean]))
    return {"overlap": torch.stack(overlap).float(), "similarity": torch.stack(similarity).half(),
            "frechet": torch.stack(distances), "baseline": frechet_by_eighths(*(each["principal"] for each in spaces))}


def overlaps(x: Tensor, train: Tensor, sigma: float) -> Tensor:
    """min_i |x - y_i|^2 / (d sigma^2) of noisy events x [m, *event]: about 1 for a noised training event, larger where
    another draw of noise from none of them would have led."""
    return nearest(x, train).distance[:, 0].double().square() / (x[0].numel() * sigma**2)


def nearest_cosine(features: Tensor, reference: Tensor) -> Tensor:
    """The largest cosine [m] of each of features [m, k] with any of reference [n, k]."""
    return (normalize(features.double()) @ normalize(reference.double()).T).amax(1)


def frechet_by_eighths(first: Tensor, second: Tensor) -> Tensor:
    """`measures.frechet` of two sets of features [m, k], and without each eighth of both: [9] float32.

    The latter give the jackknife's standard error, which leaves out an eighth at a time."""
    marks = [part * len(first) // EIGHTHS for part in range(EIGHTHS + 1)]
    return torch.tensor([frechet(*(torch.cat([each[:start], each[stop:]]) for each in (first, second)))
                         for start, stop in [(0, 0), *pairwise(marks)]])


def image_steps(config: Experiment, work: Work = Work()) -> Iterator[Stage]:
    """Sample with 14 and with 28 Heun steps from the same latents: what `image_measures.measure_samples` finds of both,
    stacked [2 networks, 2 samplers, ...], and how far a sample `moved` [2, samples] float16 between them, in L2.

    Cost: 82 samples images through each network: a minute of one core a network and moment at laptop scale."""
    yield from each_moment(config, work, finer_steps)


def finer_steps(config: Experiment, networks: list[nn.Module], ground: Ground) -> dict[str, Tensor]:
    """The arrays of `image_steps` at one moment."""
    found = []
    for block, network in enumerate(networks):
        coarse = draw(network, ground, config.samples)
        latents = GRID[0].float() * torch.randn(coarse.shape, generator=stream(STUDY, 0)).to(coarse.device)
        fine = sample(in_batches(network), latents, FINE)
        own = as_owner(ground, block)
        found.append({**stacked([measure_samples(each, own, config.pictures) for each in (coarse, fine)]),
                      "moved": (fine - coarse).flatten(1).norm(dim=1).half()})
    return stacked(found)


SCALES = [*scales("turns", image_turns), *scales("passages", image_passages, images=512), *scales("steps", image_steps)]
