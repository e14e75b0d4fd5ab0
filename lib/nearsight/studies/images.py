"""The networks of study 4: each trained on one block of the small photographs, and measured at log-spaced steps.

One network is one run, so that a kill costs little and one core a network is enough. Within a seed all networks start
from the same weights and see the same positions within their blocks, noise levels and noise. What is measured, and the
size of it, is said in `nearsight.studies.image_measures`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from nearsight.datasets.fashion import fashion_mnist
from nearsight.datasets.index_sets import disjoint_splits
from nearsight.measures.features import PrincipalBasis, principal_basis
from nearsight.networks.classifier import clothes_classifier
from nearsight.networks.preconditioned import Preconditioned
from nearsight.networks.unet import UNet
from nearsight.records.runs import Run, Stage, Work
from nearsight.studies.image_measures import COARSE, EXCHANGED, Counts, Ground, measure
from nearsight.training.loop import train
from nearsight.training.recipe import Training, log_steps

SPLITS = {"blocks": "pool", "stopping": "stopping", "report": "report", "reference": "reference"}
DIRECTIONS = 128  # principal directions of R that are used
CLUSTERS = 40
DROPPED = 0.2  # share of labels, for networks with classes
EVERY = 300  # steps between two checkpoints at most: two minutes and a half of one core


@dataclass(frozen=True)
class ImageNetwork:
    """A U-Net trained on block `block` of the plain blocks of `size` images, and measured on the first `blocks` of them.

    swapped     whether its first 64 images are exchanged for the first 64 of the next block, at their places
    condition   "none", "labels" (the 10 kinds of clothes), "clusters" (40, by k-means on R); a fifth are dropped
    principal   how many principal directions of R all images keep; 0: all
    average     side of the squares of pixels over which all images are averaged (a level of Haar's wavelets); 1: none
    raw         whether samples of the raw weights are measured beside those of the averaged ones
    seed        names first weights, positions, noise levels and noise, for networks of any block
    """

    size: int = 512
    block: int = 0
    blocks: int = 4
    swapped: bool = False
    condition: str = "none"
    principal: int = 0
    average: int = 1
    channels: int = 32
    batch: int = 64
    learning_rate: float = 1e-3
    decay: str = "constant"
    first: int = 50
    checkpoints: int = 16
    steps: int = 2400
    counts: Counts = Counts()
    raw: bool = False
    seed: int = 0

    @property
    def standing(self) -> int:
        """The first checkpoint stands for the run: all have the same arrays, by the same code."""
        return 1

    @property
    def recipe(self) -> Training:
        """How the network is trained."""
        classes = {"none": 0, "labels": 10, "clusters": CLUSTERS}[self.condition]
        return Training(snapshots=log_steps(self.first, self.steps, self.checkpoints), batch=self.batch,
                        learning_rate=self.learning_rate, decay=self.decay, classes=classes,
                        label_dropout=DROPPED if classes else 0.0, seed=self.seed)


def image_network(config: ImageNetwork, work: Work = Work()) -> Iterator[Stage]:
    """Train the network; yield at each checkpoint the mean training `loss` since the last one, and what
    `image_measures.measure` finds. Cost on one core at laptop scale: .3 s a step, and about two minutes a checkpoint."""
    ground, labels = prepared(config, work.device)
    recipe, seen = config.recipe, 0
    for step, losses, network, average in train(recipe, partial(untrained, config), ground.trained, labels, work.folder,
                                                EVERY, work.device):
        if step not in recipe.snapshots:
            yield Stage(step)
            continue
        if step > work.after:
            yield Stage(step, {"loss": losses[seen:].mean(),
                               **measure(network, average, ground, config.counts, config.raw)})
        seen = step


def untrained(config: ImageNetwork) -> Preconditioned:
    """The network of the configuration, as a denoiser."""
    return Preconditioned(UNet(config.channels, classes=config.recipe.classes))


def members(config: ImageNetwork) -> Tensor:
    """Indices [size] into the pool of the images that the network is trained on, by their positions."""
    blocks = disjoint_splits(8192, config.size, config.blocks).indices
    chosen = blocks[config.block].clone()
    if config.swapped:
        chosen[:EXCHANGED] = blocks[(config.block + 1) % config.blocks, :EXCHANGED]
    return chosen


def prepared(config: ImageNetwork, device: str = "cpu") -> tuple[Ground, Tensor | None]:
    """The images that the network is trained and measured on, all but the probes filtered alike, and the labels of the
    former."""
    sets = {name: fashion_mnist(split, 16) for name, split in SPLITS.items()}
    basis = principal_basis(sets["reference"].images, DIRECTIONS)
    images = {name: filtered(config, each.images, basis).to(device) for name, each in sets.items()}
    labels = None
    if config.condition == "labels":
        labels = {name: each.labels.to(device) for name, each in sets.items()}
    elif config.condition == "clusters":
        labels = {name: each.to(device) for name, each in clusters({name: basis(each.images)[:, :COARSE]
                                                                    for name, each in sets.items()}).items()}
    chosen, shape = members(config).to(device), (config.blocks, config.size)
    trained, trained_labels = images["blocks"][chosen], None if labels is None else labels["blocks"][chosen]
    whole = {name: each.images.to(device) for name, each in sets.items()}
    images["probed"] = probed(config, whole["stopping"], whole["blocks"])
    if labels is not None:
        labels["probed"] = probed(config, labels["stopping"], labels["blocks"])
    for each in (images, labels or {"blocks": images["blocks"]}):
        each["blocks"] = each["blocks"][:config.blocks * config.size].unflatten(0, shape)
    basis = PrincipalBasis(*(part.to(device) for part in (basis.mean, basis.directions, basis.shares)))
    return Ground(own=config.block, trained=trained, basis=basis, classifier=clothes_classifier().to(device),
                  scaling=sets["blocks"].scaling, labels=labels, **images), trained_labels


def probed(config: ImageNetwork, stopping: Tensor, pool: Tensor) -> Tensor:
    """Of V, of block 0 and of block 1 the first, as many as `Counts.probes` says."""
    held, first, second = config.counts.probes
    return torch.cat([stopping[:held], pool[:first], pool[config.size:config.size + second]])


def filtered(config: ImageNetwork, images: Tensor, basis: PrincipalBasis) -> Tensor:
    """Images [N, 1, H, W] with only the principal directions, or the averages over squares, that the configuration keeps."""
    if config.principal:
        kept = basis(images)[:, :config.principal] @ basis.directions[:config.principal] + basis.mean
        images = kept.view(images.shape)
    if config.average > 1:
        images = interpolate(avg_pool2d(images, config.average), scale_factor=config.average, mode="nearest")
    return images


def clusters(coordinates: dict[str, Tensor]) -> dict[str, Tensor]:
    """The cluster of each event [N, k] of each set, by k-means on the set "reference"."""
    from sklearn.cluster import KMeans  # takes seconds to import, and nothing else here needs it

    found = KMeans(CLUSTERS, n_init=1, random_state=0).fit(coordinates["reference"].double().numpy())
    return {name: torch.from_numpy(found.predict(each.double().numpy())).long() for name, each in coordinates.items()}


def _laptop(name: str, blocks: tuple[int, ...], seeds: tuple[int, ...] = (0,), /, **fields) -> list[Run]:
    """The runs images-NAME-bB-sS-laptop of some blocks B and seeds S, which vary fastest."""
    return [Run(f"images-{name}-b{block}-s{seed}-laptop", image_network, ImageNetwork(block=block, seed=seed, **fields),
                "laptop", on_device=True) for block in blocks for seed in seeds]


_FEW = Counts(samples=256)  # where the question is not whose images they are
SCALES = [
    Run("images-smoke", image_network, ImageNetwork(
        size=128, blocks=2, channels=8, batch=16, first=20, checkpoints=2, steps=60, raw=True,
        counts=Counts(held=64, samples=64, pictures=8, curve=32, probes=(8, 4, 4), candidates=32)), "smoke", on_device=True),
    # In the order in which they are wanted: the complete crossed design, two blocks more, and what single images do, at
    # the checkpoints of its counterparts; then size, condition, width, filters; a pair whose learning rate falls.
    *_laptop("512", (0, 1), (0, 1), raw=True),
    *_laptop("512", (2, 3), (0,)), *_laptop("512", (2, 3), (1,)),
    *_laptop("swapped", (0,), (0, 1), swapped=True),
    *_laptop("256", (0, 1, 2), size=256, blocks=3, steps=1600),
    *_laptop("2048", (0, 1, 2), size=2048, blocks=3, steps=8000),
    *_laptop("labels", (0, 1, 2), blocks=3, condition="labels", steps=2800),
    *_laptop("clusters", (0, 1, 2), blocks=3, condition="clusters", steps=1600),
    *_laptop("1024", (0, 1, 2), size=1024, blocks=3, steps=4500),
    *_laptop("16-channels", (0, 1, 2), blocks=3, channels=16, steps=2800, counts=_FEW),
    *_laptop("48-channels", (0, 1, 2), blocks=3, channels=48, steps=1500, counts=_FEW),
    *(run for kept in (8, 32, 128) for run in _laptop(f"principal-{kept}", (0,), blocks=2, principal=kept, steps=600,
                                                   counts=_FEW)),
    *(run for side in (2, 4) for run in _laptop(f"average-{side}", (0,), blocks=2, average=side, steps=600, counts=_FEW)),
    *_laptop("cosine", (0, 1), decay="cosine"),
    # The published numbers of images, steps, batch and checkpoints; the images are these and not yet those of CelebA.
    Run("images-paper", image_network, ImageNetwork(
        size=1024, blocks=8, channels=64, batch=512, learning_rate=1e-4, first=222, checkpoints=20, steps=10_000,
        counts=Counts(samples=512, pictures=64)), "paper", on_device=True)]
