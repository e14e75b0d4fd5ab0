"""The images of study 5: a training block with more of one class than of another, an equal block that nobody is trained on
beside it, test images, and who says of an image which class it has.

Class 0 is the majority. Within a class images keep the order of their files: blocks are cut from the front; what classifiers
are trained on stands at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor

from nearsight.datasets.fashion import fashion_mnist
from nearsight.datasets.folder import image_folder
from nearsight.datasets.handwritten import digits
from nearsight.datasets.images import Images, Scaling
from nearsight.denoisers.normal import MixtureDenoiser
from nearsight.measures.features import PrincipalBasis, principal_basis
from nearsight.networks.classifier import clothes_classifier
from nearsight.networks.committee import MEMBERS, Committee, tops_and_trousers
from nearsight.randomness import stream
from nearsight.studies.brought import brought
from nearsight.training.classifiers import train_classifier

STUDY = 5  # names the streams of what all networks share; their own seeds are no part of it
GROUPS = {"fashion": ((0, 2, 4, 6), (1,)), "twin": ((0, 2, 4, 6), (1,)), "tail": tuple((label,) for label in range(10)),
          "digits": ((3,), (1,))}
"""Which labels make a class: tops and trousers, the ten kinds of clothes, threes and ones."""
TAIL = (402, 241, 145, 87, 52, 31, 19, 11, 7, 4)
TAUGHT = {"fashion": 500, "digits": 40, "folder": 500}  # images of each class that classifiers are trained on, of two
DIRECTIONS = 48  # principal directions of the twin, and of the probes
SPREAD = 0.02  # standard deviation of the twin in all others
_TESTED = 2  # the draw of the twin that takes the place of test images


@dataclass(frozen=True, eq=False)
class Ground:
    """What a network is trained and measured on, in network units.

    trained, held [n, 1, H, W]      its block, and the equal block that it has not seen, class by class: `kinds` [n]
    tested [t, 1, H, W]             images that no network and no classifier has seen, in balance or not; `test_kinds` [t]
    classify                        probabilities [m, C] of images
    features                        features [m, k] of images, in which their spread is measured
    basis                           the principal directions of the test images
    """

    trained: Tensor
    held: Tensor
    kinds: Tensor
    tested: Tensor
    test_kinds: Tensor
    classify: Callable[[Tensor], Tensor]
    features: Callable[[Tensor], Tensor]
    basis: PrincipalBasis
    scaling: Scaling

    @property
    def classes(self) -> int:
        """How many there are."""
        return int(self.kinds.max()) + 1

    def of_each(self, count: int, tested: bool = False) -> Tensor:
        """The first `count` training or test images of each class, fewer where there are fewer."""
        images, kinds = (self.tested, self.test_kinds) if tested else (self.trained, self.kinds)
        return torch.cat([images[kinds == kind][:count] for kind in range(self.classes)])


def prepared(source: str, sizes: tuple[int, ...], block: int, blocks: int, side: int = 16, device: str = "cpu") -> Ground:
    """The ground of block `block` among `blocks` of a source: the held-out block is the next one, after the last the first.

    A source that is none of GROUPS is a folder that the reader brings (`brought`), with a folder of images for each class,
    named 0 and 1. Raises ValueError where a class has too few images.
    """
    kinds = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    if source == "twin":
        truth = twin(sizes)
        sets = [drawn(sizes, draw) for draw in (block, (block + 1) % blocks, _TESTED)]
        tested, test_kinds, scaling = sets.pop(), kinds, fashion_mnist("train", 16).scaling
        classify = partial(posterior, truth)
    else:
        pool = _pool(source, sizes, blocks, side)
        sets = [pool.images[cut(pool.labels, sizes, number)] for number in (block, (block + 1) % blocks)]
        tested, test_kinds, scaling = *_tested(source, pool), pool.scaling
        classify = _committee(source, pool).to(device)
    network = clothes_classifier().to(device) if source in ("fashion", "twin", "tail") else classify.members[0]
    basis = principal_basis(tested, min(DIRECTIONS, len(tested) - 1))
    basis = PrincipalBasis(*(part.to(device) for part in (basis.mean, basis.directions, basis.shares)))
    trained, held, tested = (images.to(device) for images in (*sets, tested))
    return Ground(trained, held, kinds.to(device), tested, test_kinds.to(device), classify, network.features, basis, scaling)


def cut(labels: Tensor, sizes: tuple[int, ...], block: int) -> Tensor:
    """Indices of the block-th so many images of each class, class by class in their order."""
    places = [(labels == kind).nonzero()[size * block:size * (block + 1), 0] for kind, size in enumerate(sizes)]
    if any(len(found) < size for found, size in zip(places, sizes)):
        raise ValueError(f"block {block} would hold {[len(found) for found in places]} images of the classes; expected "
                         f"{list(sizes)}: bring more images, or fewer or smaller blocks.")
    return torch.cat(places)


def last(labels: Tensor, count: int, but: int = 0) -> Tensor:
    """Indices of the last `count` images of classes 0 and 1 but the `but` after them."""
    places = [(labels == kind).nonzero()[:, 0] for kind in range(2)]
    return torch.cat([found[len(found) - count - but:len(found) - but] for found in places])


def grouped(source: str, images: Images) -> Images:
    """The images of the classes of a source, in their order, labelled by class; -1 where a label belongs to none."""
    labels = torch.full_like(images.labels, -1)
    for kind, group in enumerate(GROUPS[source]):
        labels[torch.isin(images.labels, torch.tensor(group))] = kind
    return Images(images.images, labels, (), images.scaling)


def taught(source: str = "fashion") -> tuple[Tensor, Tensor]:
    """The images and classes that the classifiers of a source are trained on."""
    pool = _pool(source, (), 0, 16)
    chosen = last(pool.labels, TAUGHT[source])
    return pool.images[chosen], pool.labels[chosen]


def twin(sizes: tuple[int, ...]) -> MixtureDenoiser:
    """The mixture of two Gaussians that stands for block 0 of the photographs, with its exact denoiser and posterior.

    Each class has the mean and covariance of its images in the leading 48 principal directions of the block; in all others
    both have the block's mean and a standard deviation of .02. Weights are the classes' shares.
    """
    basis, moments = _moments(sizes)
    directions = basis.directions
    others = SPREAD**2 * (torch.eye(directions.shape[1], dtype=torch.float64) - directions.T @ directions)
    weights = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
    return MixtureDenoiser(weights, torch.stack([basis.mean + mean @ directions for mean, _ in moments]),
                           torch.stack([directions.T @ covariance @ directions + others for _, covariance in moments]))


def drawn(sizes: tuple[int, ...], draw: int) -> Tensor:
    """Exactly so many images of each class of the twin [n, 1, 16, 16], float32; `draw` names them."""
    basis, moments = _moments(sizes)
    found = []
    for kind, (size, (mean, covariance)) in enumerate(zip(sizes, moments)):
        noise = torch.randn(size, basis.directions.shape[1], dtype=torch.float64, generator=stream(STUDY, 9, draw, kind))
        along = noise @ basis.directions.T
        inside = mean + along @ torch.linalg.cholesky(covariance).T
        found.append(basis.mean + inside @ basis.directions + SPREAD * (noise - along @ basis.directions))
    return torch.cat(found).float().view(-1, 1, 16, 16)


def posterior(truth: MixtureDenoiser, images: Tensor) -> Tensor:
    """The exact probabilities [m, C] of the classes of the twin."""
    return truth.responsibilities(images, 0.0)


@cache
def _moments(sizes: tuple[int, ...]) -> tuple[PrincipalBasis, list[tuple[Tensor, Tensor]]]:
    """The principal directions of block 0 and the mean and covariance of each class in them, float64."""
    pool = _pool("fashion", sizes, 1, 16)
    images = pool.images[cut(pool.labels, sizes, 0)].double()
    basis = principal_basis(images, DIRECTIONS)
    return basis, [(part.mean(0), part.T.cov()) for part in basis(images).split(sizes)]


@cache
def _pool(source: str, sizes: tuple[int, ...], blocks: int, side: int) -> Images:
    """The images that blocks are cut from, labelled by class."""
    if source == "digits":
        return grouped(source, digits())
    if source in GROUPS:
        return grouped(source, fashion_mnist("train", 16))
    folder, images, labels = brought(source, "a folder of images for each class, named 0 and 1", "its own source"), [], []
    for kind, size in enumerate(sizes):
        scaling = images[0].scaling if images else None
        images.append(image_folder(folder / str(kind), side, indices=range(blocks * size + 2 * TAUGHT["folder"]),
                                   scaling=scaling))
        labels.append(torch.full((len(images[-1].images),), kind))
    return Images(torch.cat([each.images for each in images]), torch.cat(labels), (), images[0].scaling)


def _tested(source: str, pool: Images) -> tuple[Tensor, Tensor]:
    """Test images and their classes: those of Fashion-MNIST, else those before what the classifiers are trained on."""
    if source in ("fashion", "tail"):
        test = grouped(source, fashion_mnist("test", 16))
        known = test.labels >= 0
        return test.images[known], test.labels[known]
    count = TAUGHT.get(source, TAUGHT["folder"])
    chosen = last(pool.labels, count, but=count)
    return pool.images[chosen], pool.labels[chosen]


def _committee(source: str, pool: Images) -> Committee:
    """Who says of an image which class it has: the classifiers that ship, where they do."""
    if source == "fashion":
        return tops_and_trousers()
    if source == "tail":
        return Committee([clothes_classifier()])
    count = TAUGHT.get(source, TAUGHT["folder"])
    chosen = last(pool.labels, count)
    return Committee([train_classifier(pool.images[chosen], pool.labels[chosen], 2, max(25, 2000 // count), seed)
                      for seed in range(MEMBERS)])
