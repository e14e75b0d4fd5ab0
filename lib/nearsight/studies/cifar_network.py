"""The published network of CIFAR-10, DDPM++ with 55.7 million parameters, and its gap by noise level.

It is trained on all 50,000 training images and measured on the first 8,192 of them and of the test images. Published
values are quoted between 134 and 1,074 million images, 2^27 and 2^30, so checkpoints stand at powers of two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nearsight.datasets.cifar import cifar10
from nearsight.measures.gaps import point_errors
from nearsight.networks.ddpmpp import DdpmPlusPlus
from nearsight.networks.parts import InParts
from nearsight.networks.preconditioned import Preconditioned
from nearsight.noise import edm_sigmas
from nearsight.randomness import stream
from nearsight.records.runs import Run, Stage, Work
from nearsight.sampling import sample
from nearsight.studies.brought import brought
from nearsight.studies.image_measures import STUDY, owners
from nearsight.training.loop import train
from nearsight.training.objectives import LogNormal
from nearsight.training.recipe import Training

SIGMAS = 0.002 * 40_000 ** torch.linspace(0, 1, 64, dtype=torch.float64)  # .002 ... 80
EVERY = 500  # steps between two checkpoints at most


@dataclass(frozen=True)
class CifarNetwork:
    """DDPM++ of `channels` channels and `blocks` blocks a stage, without classes and without augmentation.

    half_life   images after which a weight counts half in the average
    part        images that are in memory at a time: a batch is taken in parts (see `networks.InParts`)
    split       images of the training and of the test set that the gap is measured on, each with one noise of its own
                for all levels and checkpoints
    samples     by 18 Heun steps at each checkpoint, `pictures` of them kept

    As published, but for this: the learning rate does not rise slowly over the first ten million images, and the average
    begins as that of `Training`, not with a half-life of 5 % of the images so far.
    """

    channels: int = 128
    multipliers: tuple[int, ...] = (2, 2, 2)
    blocks: int = 4
    dropout: float = 0.13
    batch: int = 1024
    part: int = 128
    learning_rate: float = 1e-3
    half_life: float = 5e5
    first: int = 2**13
    steps: int = 2**20
    split: int = 8192
    samples: int = 1024
    pictures: int = 16
    seed: int = 0

    @property
    def standing(self) -> int:
        """The first checkpoint stands for the run: all have the same arrays, by the same code."""
        return 1

    @property
    def recipe(self) -> Training:
        """How the network is trained; its rate of averaging halves a weight in `half_life` images."""
        doublings = range((self.steps // self.first).bit_length())
        return Training(snapshots=tuple(self.first << doubling for doubling in doublings), batch=self.batch,
                        learning_rate=self.learning_rate, levels=LogNormal(-1.2, 1.2),
                        ema=0.5 ** (self.batch / self.half_life), seed=self.seed)


def cifar_network(config: CifarNetwork, work: Work = Work()) -> Iterator[Stage]:
    """Train the network; yield at each checkpoint the mean training `loss` since the last one, and what `measure` finds.

    Cost: 170 TFLOP a step at the published batch, so that a million steps are GPU months in float32.
    """
    path = brought("cifar-10-binary", "CIFAR-10 in its binary version (cifar-10-binary.tar.gz, 162 MB)",
                   "https://www.cs.toronto.edu/~kriz/cifar.html")
    train_images, test_images = (cifar10(path, split).images for split in ("train", "test"))
    sets = torch.stack([images[:config.split] for images in (train_images, test_images)]).to(work.device)
    recipe, seen = config.recipe, 0
    for step, losses, _, average in train(recipe, lambda: untrained(config), train_images, None, work.folder, EVERY,
                                          work.device):
        if step not in recipe.snapshots:
            yield Stage(step)
            continue
        if step > work.after:
            yield Stage(step, {"loss": losses[seen:].mean(), **measure(config, average, sets)})
        seen = step


def untrained(config: CifarNetwork) -> InParts:
    """The network of the configuration, as a denoiser that takes its batch in parts."""
    raw = DdpmPlusPlus(config.channels, config.multipliers, config.blocks, config.dropout)
    return InParts(Preconditioned(raw), config.part)


@torch.no_grad()
def measure(config: CifarNetwork, network: nn.Module, sets: Tensor) -> dict[str, Tensor]:
    """What averaged weights show on the training and the test images `sets` [2, split, 3, H, W]; bytes as published.

        error, uncertainty [2, 64]  float32  E(SIGMAS) on either set and its standard error                  1,024
        owners/pixels [samples, 2]  int16    the nearest image of each set, as `image_measures.owners`       4,096
        pictures [p, 3, H, W]       uint8    the first samples                                              49,152

    Eight checkpoints take .43 MB. Cost: 128 split + 35 samples images through the network.
    """
    noise = torch.randn(1, *sets.shape[1:], generator=stream(STUDY, 20)).to(sets.device)
    curves = [point_errors(network, images, SIGMAS, noise=noise) for images in sets]
    grid = edm_sigmas(18)
    latents = grid[0].float() * torch.randn(config.samples, *sets.shape[2:], generator=stream(STUDY, 21))
    drawn = sample(network, latents.to(sets.device), grid)
    return {"error": torch.stack([each.mean(1) for each in curves]).float(),
            "uncertainty": torch.stack([each.std(1) / each.shape[1]**0.5 for each in curves]).float(),
            "owners/pixels": owners(drawn.flatten(1), sets.flatten(2)),
            "pictures": (127.5 * (drawn[:config.pictures] + 1)).clamp(0, 255).round().byte()}


SCALES = [
    Run("images-cifar-smoke", cifar_network, CifarNetwork(channels=8, multipliers=(1, 2), blocks=1, batch=8, part=4, first=2,
                                                          steps=4, split=8, samples=4, pictures=4), "smoke", on_device=True),
    Run("images-cifar-paper", cifar_network, CifarNetwork(), "paper", on_device=True)]
