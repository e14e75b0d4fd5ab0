"""A miniature of the sample-split studies: two small networks, trained in step on disjoint halves of a few digits.

Each network is asked how well it denoises its own half and the other one, which it has not seen. It is small enough to
run whenever the page on records is built, beside its recorded twin.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from nearsight.datasets.handwritten import digits
from nearsight.datasets.index_sets import disjoint_splits
from nearsight.measures.gaps import denoising_error
from nearsight.networks.mlp import MLP
from nearsight.networks.preconditioned import Preconditioned
from nearsight.noise import edm_sigmas
from nearsight.randomness import stream
from nearsight.records.runs import Scales, Stage, Work
from nearsight.sampling import sample
from nearsight.training.families import train_family
from nearsight.training.recipe import Training, log_steps


@dataclass(frozen=True)
class Miniature:
    """`points` digits a network; MLPs of `width`, three layers; `stages` log-spaced measurements up to `steps`."""

    points: int = 128
    width: int = 128
    learning_rate: float = 1e-3
    steps: int = 2000
    stages: int = 8
    sigmas: tuple[float, ...] = (0.1, 0.2, 0.5, 1.0)
    draws: int = 8
    samples: int = 8
    seed: int = 0


def train_halves(config: Miniature, work: Work = Work()) -> Iterator[Stage]:
    """Yield at each stage, for networks m = 0, 1 and halves h = 0, 1,

        loss [m]                mean training loss since the last stage
        error [m, h, sigma]     denoising error (mse) of network m on half h, all with the same noise
        samples [m, B, 1, 8, 8] samples from latents and steps that both networks share

    Source: the sample split of Kadkhodaie et al. 2024 (arXiv 2310.02557). Cost: about 15 s at laptop scale.
    """
    images = digits().images
    halves = disjoint_splits(len(images), config.points, 2, config.seed).indices
    recipe = Training(snapshots=log_steps(10, config.steps, config.stages), learning_rate=config.learning_rate,
                      seed=config.seed)
    family = train_family(recipe, lambda: Preconditioned(MLP(64, config.width)), images, list(halves),
                          same_initialization=True, same_noise=True, folder=work.folder, every=50, device=work.device)
    noise = torch.randn(config.draws, config.points, 1, 8, 8, generator=stream(config.seed, 1)).to(work.device)
    grid = edm_sigmas(12, sigma_max=20.0)
    latents = grid[0] * torch.randn(config.samples, 1, 8, 8, generator=stream(config.seed, 2))
    sigmas = torch.tensor(config.sigmas)
    seen = 0
    for members in family:
        step = members[0].step
        if step not in recipe.snapshots:
            yield Stage(step)
            continue
        if step > work.after:
            yield Stage(step, {
                "loss": torch.stack([member.losses[seen:].mean() for member in members]),
                "error": torch.stack([torch.stack([denoising_error(member.ema, images[half].to(work.device), sigmas,
                                                                   noise=noise) for half in halves])
                                      for member in members]),
                "samples": torch.stack([sample(member.ema, latents.to(work.device), grid) for member in members])})
        seen = step


SCALES = [Scales("miniature", train_halves, smoke=Miniature(points=32, width=32, steps=40, stages=3, draws=2),
                 laptop=Miniature(), paper=Miniature(points=898, width=1024, steps=50_000, stages=16, samples=64),
                 on_device=True)]
