"""The published networks of faces: 4,023,233 parameters, the chain of a thousand steps, blocks of 1,024 images.

The images are CelebA's, which the reader brings, or the packaged Fashion-MNIST at 32 pixels, with the same network, chain
and recipe. All is in the published units: pixels from 0 to 1, less the mean of the network's own block. That mean is taken
off every image that the network is shown, so that distances are those of pixels; the published code shifts training and
held-out images by different means.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from nearsight.datasets.archive import opened
from nearsight.datasets.fashion import fashion_mnist
from nearsight.datasets.folder import SUFFIXES, image_folder
from nearsight.datasets.images import Scaling
from nearsight.measures.gaps import point_errors
from nearsight.measures.proximity import memorized_fraction, nearest
from nearsight.networks.attention_unet import AttentionUNet
from nearsight.networks.chain import EpsilonDenoiser
from nearsight.networks.parts import InParts
from nearsight.noise import edm_sigmas, vp_sigmas
from nearsight.randomness import stream
from nearsight.records.runs import Run, Stage, Work
from nearsight.sampling import sample
from nearsight.studies.brought import brought
from nearsight.studies.image_measures import RANKS, STUDY, in_batches, owners
from nearsight.training.loop import train
from nearsight.training.objectives import VpClock
from nearsight.training.recipe import Training

EPOCHS = tuple(int(epoch) for epoch in torch.linspace(10, 4999, 50, dtype=torch.float64)[1:21])  # 111 ... 2046
SIGMAS = 0.01 * 1000 ** torch.linspace(0, 1, 24, dtype=torch.float64)  # .01 ... 10 of these units, of the error curves
EVERY = 250  # steps between two checkpoints at most
UNITS = Scaling(0.0, 127.5)  # pixel values of a file as numbers from 0 to 1


@dataclass(frozen=True)
class Photographs:
    """The network of block `block` among the first `blocks` of `size` images each, of "celeba" or "fashion".

    chain    steps of the variance-preserving chain; the first is never trained on
    part     images that are in memory at a time while the network learns (see `networks.InParts`)
    tested   images of V, and as many of H, for the loss at every level of the chain
    samples  drawn at each checkpoint, `pictures` of them kept; `curve` images of each set on the error curves
    """

    source: str = "celeba"
    block: int = 0
    blocks: int = 15
    size: int = 1024
    held: int = 1024
    channels: int = 32
    chain: int = 1000
    batch: int = 512
    part: int = 512
    learning_rate: float = 1e-4
    steps: int = 10_000
    tested: int = 50
    samples: int = 512
    pictures: int = 64
    curve: int = 256
    seed: int = 0

    @property
    def standing(self) -> int:
        """The first checkpoint stands for the run: all have the same arrays, by the same code."""
        return 1

    @property
    def levels(self) -> Tensor:
        """The noise levels of the chain [chain + 1], falling to 0."""
        return vp_sigmas(self.chain)

    @property
    def shown(self) -> Tensor:
        """Those of them at which the loss is measured, all but the last two, and along which samples are drawn: all."""
        return self.levels

    @property
    def recipe(self) -> Training:
        """Adam, no average of weights; an epoch is `size` images drawn with replacement, two steps as published."""
        epoch = max(1, self.size // self.batch)
        return Training(snapshots=(*(epoch * number for number in EPOCHS if epoch * number < self.steps), self.steps),
                        batch=self.batch, learning_rate=self.learning_rate, loss="epsilon", levels=LaterClock(self.chain),
                        ema=0.0, seed=self.seed)


@dataclass(frozen=True)
class LaterClock(VpClock):
    """Noise levels of a chain at a time t uniform on 2 .. steps: all but the first, as published (1 .. 999 from 0)."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` levels, float32, on the generator's device."""
        grid = vp_sigmas(self.steps, self.first, self.last)[:-2].to(generator.device, torch.float32)
        return grid[torch.randint(len(grid), (count,), generator=generator, device=generator.device)]


@dataclass(frozen=True, eq=False)
class Faces:
    """Images of one source less `mean`, that of the own block: blocks [b, n, 1, H, W], V and H [held, 1, H, W]."""

    mean: float
    blocks: Tensor
    stopping: Tensor
    report: Tensor


def photographs(config: Photographs, work: Work = Work()) -> Iterator[Stage]:
    """Train the network; yield at each checkpoint the mean training `loss` since the last one, and what `measure` finds.

    Cost: on one core half a minute a step, and 9 GB at batch 512; on a GPU most is the chain, 1,000 calls a checkpoint.
    """
    faces, recipe, seen = prepared(config, work.device), config.recipe, 0
    for step, losses, network, _ in train(recipe, lambda: untrained(config), faces.blocks[config.block], None, work.folder,
                                          EVERY, work.device):
        if step not in recipe.snapshots:
            yield Stage(step)
            continue
        if step > work.after:
            yield Stage(step, {"loss": losses[seen:].mean(), **measure(config, network, faces)})
        seen = step


def untrained(config: Photographs) -> InParts:
    """The network of the configuration, as a denoiser that takes its batch in parts."""
    return InParts(EpsilonDenoiser(AttentionUNet(config.channels), config.levels), config.part)


def prepared(config: Photographs, device: str = "cpu") -> Faces:
    """The images of the configuration's source, less the mean of the network's own block."""
    pool, held = _celeba(config) if config.source == "celeba" else _fashion(config)
    blocks = pool.unflatten(0, (config.blocks, config.size))
    mean = float(blocks[config.block].double().mean())
    return Faces(mean, (blocks - mean).to(device), *(held - mean).to(device).split(config.held))


def _celeba(config: Photographs) -> tuple[Tensor, Tensor]:
    """The first images of the reader's archive or folder, and the last: [N, 1, 32, 32] from 0 to 1, in natural order."""
    path = brought("img_align_celeba", "CelebA's aligned and cropped faces (img_align_celeba.zip, 1.3 GB)",
                   "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html")
    with opened(path) as files:
        count = sum(name.lower().endswith(SUFFIXES) for name in files)
    first, last = config.blocks * config.size, 2 * config.held
    if count < first + last:
        raise ValueError(f"{path} holds {count:,} images; expected at least {first + last:,}: {config.blocks} blocks of "
                         f"{config.size:,}, and {last:,} that are held out.")
    images = image_folder(path, 32, True, [*range(first), *range(count - last, count)], UNITS).images
    return images[:first], images[first:]


def _fashion(config: Photographs) -> tuple[Tensor, Tensor]:
    """The first images of the pool, and of V and of H, padded to 32 pixels: from 0 to 1."""
    sets = {split: fashion_mnist(split, 28) for split in ("pool", "stopping", "report")}
    first = config.blocks * config.size
    if first > len(sets["pool"].images):
        raise ValueError(f"{config.blocks} blocks of {config.size} images came; expected no more than the "
                         f"{len(sets['pool'].images)} of the pool.")
    bright = {split: pad(images.pixels(), (2, 2, 2, 2)) for split, images in sets.items()}
    return bright["pool"][:first], torch.cat([bright["stopping"][:config.held], bright["report"][:config.held]])


@torch.no_grad()
def measure(config: Photographs, network: nn.Module, faces: Faces) -> dict[str, Tensor]:
    """What the network shows at a checkpoint; bytes at 15 blocks and the published counts.

        stopping, report [1, tested]  float32  loss of the noise of each image of V and of H, the mean over all levels   400
        level_loss [chain - 1]        float32  the same on V by level, from the largest, the mean over images          3,996
        error, uncertainty [b+2, 24]  float32  E(SIGMAS) on each block, V and H, and its standard error               3,264
        owners/pixels [m, b]          int16    `image_measures.owners` of the samples of the ancestral chain          15,360
        heun_owners [m, b]            int16    the same of samples by 28 Heun steps from the same start               15,360
        order [m, 12]                 int16    the nearest images of all blocks together                              12,288
        distance [m, b]               float16  to the nearest image of each block                                     15,360
        ratio [m], unseen [m]         float16  d1/d2 in the own block; int16, the nearest of V, then H                 2,048
        pictures [pictures, H, W]     uint8    the first samples                                                     65,536

    133,612 in all, so that 21 checkpoints take 2.8 MB. All networks share start, noise of the chain and noise of the tests.
    Cost: (chain + 55) samples + 2 tested chain + 24 (b + 2) curve images through the network.
    """
    denoiser = in_batches(network)
    losses = [_level_losses(denoiser, images[:config.tested], config.shown[:-2], number)
              for number, images in enumerate((faces.stopping, faces.report))]
    sets = [*faces.blocks, faces.stopping, faces.report]
    noise = torch.randn(1, config.curve, *faces.stopping.shape[1:], generator=stream(STUDY, 12)).to(faces.stopping.device)
    curves = [point_errors(denoiser, images[:config.curve], SIGMAS, noise=noise[:, :len(images)]) for images in sets]
    drawn, heun = draw(config, denoiser, faces)
    pool = faces.blocks.flatten(0, 1)
    return {"stopping": losses[0].mean(0, keepdim=True).float(), "report": losses[1].mean(0, keepdim=True).float(),
            "level_loss": losses[0].mean(1).float(),
            "error": torch.stack([each.mean(1) for each in curves]).float(),
            "uncertainty": torch.stack([each.std(1) / each.shape[1]**0.5 for each in curves]).float(),
            "owners/pixels": owners(drawn.flatten(1), faces.blocks.flatten(2)),
            "heun_owners": owners(heun.flatten(1), faces.blocks.flatten(2)),
            "order": nearest(drawn, pool, RANKS).index.short(),
            "distance": torch.cat([nearest(drawn, block).distance for block in faces.blocks], 1).half(),
            "ratio": memorized_fraction(drawn, faces.blocks[config.block]).ratios.half(),
            "unseen": nearest(drawn, torch.cat([faces.stopping, faces.report])).index[:, 0].short(),
            "pictures": (255 * (drawn[:config.pictures, 0] + faces.mean).clamp(0, 1)).round().byte()}


def draw(config: Photographs, denoiser, faces: Faces) -> tuple[Tensor, Tensor]:
    """Samples of the ancestral chain and of 28 Heun steps [samples, 1, H, W], from one start that all networks share.

    The start is white noise in the chain's own scale, x / sqrt(1 + sigma^2), the noise on the way that of a generator on
    the device."""
    chain, device = config.shown, faces.stopping.device
    start = (1 + chain[0] ** 2).sqrt().float() * torch.randn(config.samples, *faces.stopping.shape[1:],
                                                             generator=stream(STUDY, 10))
    start = start.to(device)
    heun = edm_sigmas(28, float(chain[-2]), float(chain[0]))
    return (sample(denoiser, start, chain, "ancestral", stream(STUDY, 11, device=device)), sample(denoiser, start, heun))


def _level_losses(denoiser, images: Tensor, levels: Tensor, number: int) -> Tensor:
    """Squared error of the predicted noise [levels, images], with one noise an image for all levels."""
    noise = torch.randn(1, *images.shape, generator=stream(STUDY, 13, number)).to(images.device)
    errors = point_errors(denoiser, images, levels, noise=noise)
    return errors / levels.to(errors)[:, None] ** 2


SCALES = [
    Run("images-32-smoke", photographs, Photographs("fashion", blocks=2, size=64, held=32, channels=8, chain=40, batch=8,
                                                    steps=4, tested=2, samples=8, pictures=4, curve=8), "smoke",
        on_device=True),
    # The published network on the packaged images, for a GPU: does the finding grow or shrink with the network?
    *(Run(f"images-32-b{block}-s0-gpu", photographs, Photographs("fashion", block, blocks=4), "gpu", on_device=True)
      for block in range(4)),
    *(Run(f"images-celeba-b{block}-paper", photographs, Photographs(block=block), "paper", on_device=True)
      for block in range(15))]
