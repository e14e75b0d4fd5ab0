"""Guidance and bias: networks of the ten kinds of clothes, guided away from no class, or from an earlier self.

    D_w = D(x, sigma, c) + w [D(x, sigma, c) - D(x, sigma)]             classifier-free: the negative is told no class
    D_w = D(x, sigma, c) + w [D(x, sigma, c) - D_early(x, sigma, c)]    autoguidance: the negative has trained less
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from nearsight.denoisers.compose import Denoiser, guided
from nearsight.denoisers.empirical import EmpiricalDenoiser
from nearsight.measures.proximity import nearest
from nearsight.records.computing import Results
from nearsight.records.runs import Run, Stage, Work
from nearsight.studies.image_measures import Ground, errors, measure_samples
from nearsight.studies.image_moments import Moments, draw
from nearsight.studies.image_readings import Networks
from nearsight.studies.images import SCALES as NETWORKS
from nearsight.studies.images import prepared
from nearsight.studies.recorded_weights import BEST, EARLY, Weights, as_owner, network_of, recorded, stacked, told


@dataclass(frozen=True)
class Guidance:
    """Networks with classes of blocks 0, 1, ..., late and early in their training, guided by each of `weights`.

    `samples` of each network and kind of guidance, `pictures` of them kept; `curve` images of each set on error curves.
    """

    late: tuple[Weights, ...]
    early: tuple[Weights, ...]
    weights: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 3.0)
    samples: int = 512
    pictures: int = 16
    curve: int = 64

    @property
    def steps(self) -> int:
        """The number of weights: a stage each."""
        return len(self.weights)

    @property
    def seed(self) -> int:
        """That of the networks."""
        return self.late[0].moments.seed

    @property
    def standing(self) -> int:
        """The first stage stands for the run: all have the same arrays, by the same code."""
        return 1


def image_guidance(config: Guidance, work: Work = Work()) -> Iterator[Stage]:
    """Yield for each weight, stacked over kinds (classifier-free, auto) and blocks, [2, b, ...]: what
    `image_measures.measure_samples` finds of samples, `owners/class` [2, b, m, b], the nearest image of each block among
    those of the sample's class, and `error`, `uncertainty`, `stopping_error` of the guided denoiser.

    Cost: twice 27 samples + 24 (b + 2) curve images through each network and kind: 7 minutes of one core a weight at laptop
    scale.
    """
    ground = prepared(config.late[0].moments.network, work.device)[0]
    networks = [[network_of(each).to(work.device) for each in pair] for pair in zip(config.late, config.early)]
    for step in work.todo(config.steps):
        with torch.no_grad():
            yield Stage(step, stacked([stacked([
                guided_network(config, steered(late, negative, config.weights[step - 1]), as_owner(ground, block))
                for block, (late, negative) in enumerate(negatives)]) for negatives in (
                    [(late, untold(late)) for late, _ in networks], networks)]))


def guided_network(config: Guidance, denoiser: Callable, ground: Ground) -> dict[str, Tensor]:
    """The arrays of `image_guidance` of one network and kind."""
    drawn = draw(denoiser, ground, config.samples)
    labels = torch.cat([ground.labels["stopping"], ground.labels["report"]])[:config.samples]
    return {**measure_samples(drawn, ground, config.pictures), "owners/class": class_owners(drawn, labels, ground),
            **errors(denoiser, ground, config.curve)}


def steered(positive: nn.Module, negative: Callable, weight: float) -> Callable:
    """D_w as a denoiser (x, sigma, labels)."""
    def denoise(x: Tensor, sigma: float | Tensor, labels: Tensor) -> Tensor:
        pair = [lambda x, sigma, network=network: network(x, sigma, labels) for network in (positive, negative)]
        return guided(*pair, weight)(x, sigma)

    return denoise


def untold(network: nn.Module) -> Callable:
    """The network as it is where it is told no class, whatever the labels."""
    return lambda x, sigma, labels: network(x, sigma)


def class_owners(samples: Tensor, labels: Tensor, ground: Ground) -> Tensor:
    """`image_measures.owners` of samples [m, 1, H, W] among images of their class, [m, b] int16; every class that a sample
    has must occur in every block."""
    size = ground.blocks.shape[1]
    distance = torch.zeros(len(samples), len(ground.blocks), dtype=torch.float64, device=samples.device)
    names = torch.zeros_like(distance, dtype=torch.int64)
    for kind in labels.unique():
        mine = (labels == kind).nonzero().squeeze(1)
        for block, images in enumerate(ground.blocks):
            theirs = (ground.labels["blocks"][block] == kind).nonzero().squeeze(1)
            found = nearest(samples[mine], images[theirs])
            distance[mine, block] = found.distance[:, 0].double()
            names[mine, block] = size * block + theirs[found.index[:, 0]]
    return names.gather(1, distance.argsort(dim=1, stable=True)).short()


def guided_networks(results: Results, size: int) -> tuple[Networks, Networks]:
    """What `image_guidance` found of classifier-free and of auto-guided networks on blocks of `size` images, as other
    networks are read: a stage for each weight, seed 0."""
    def of_kind(kind: int) -> Networks:
        blocks = range(results.stages[0].arrays["ratio"].shape[1])
        return Networks({(block, 0): replace(results, stages=tuple(
            Stage(stage.step, {name: array[kind, block] for name, array in stage.arrays.items()})
            for stage in results.stages)) for block in blocks}, size)

    return of_kind(0), of_kind(1)


def blurred_guidance(train: Tensor, weight: float, sharp: float = 0.2, soft: float = 0.4) -> Denoiser:
    """The exact counterpart of guidance by a weaker self: training images with a small blur, guided away from the same
    images with a larger one."""
    return guided(EmpiricalDenoiser(train, sharp), EmpiricalDenoiser(train, soft), weight)


_SMOKE = replace(next(run.config for run in NETWORKS if run.scale == "smoke"), condition="labels")
SCALES = [
    Run("image-guidance-smoke", image_guidance, Guidance(
        *(tuple(Weights("", Moments(replace(_SMOKE, block=block), (20,))) for block in range(2)) for _ in range(2)),
        weights=(0.0, 1.0), samples=8, pictures=4, curve=4), "smoke", on_device=True),
    Run("image-guidance-laptop", image_guidance, Guidance(*(tuple(map(recorded, told(moment))) for moment in (BEST, EARLY))),
        "laptop", on_device=True)]
