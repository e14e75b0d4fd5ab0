"""What is measured of a network of study 5 at a checkpoint: the same of every network, so that networks can be compared.

All networks of one source meet the same test images, noise and latents, whatever their depth, block and seed. Of a sample is
kept what is said of it (`Said`): its class by two readouts, and near what it lies; so every table of samples that change
between two networks can be made from two records.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from nearsight.denoisers.compose import Denoiser
from nearsight.measures.features import frechet
from nearsight.measures.gaps import point_errors
from nearsight.measures.proximity import nearest
from nearsight.networks.depth_unet import bypassed
from nearsight.noise import edm_sigmas
from nearsight.randomness import stream
from nearsight.sampling import sample
from nearsight.shares.settling import settle
from nearsight.studies.depth_data import STUDY, Ground
from nearsight.studies.depth_readouts import said, told
from nearsight.studies.image_measures import in_batches
from nearsight.training.objectives import LogNormal, training_loss

DECIDED = (1.0, 5.0)  # noise levels between which the class is decided
SIGMAS = 0.02 * 1000 ** torch.linspace(0, 1, 12, dtype=torch.float64)  # .02 ... 20, of the error curves
PROBED = (0.5, 1.5, 4.0)  # noise levels of the probes
LINEARIZED = (0.2, 0.5, 1.0, 2.0, 5.0)  # of the Jacobians
SETTLED = (0.5, 1.0, 1.5, 2.0)  # of repeated denoising
SETTLING = 100  # steps of it at most
COMPARED = 32  # principal directions of Frechet distances
WINDOWS = ((80.0, 5.0), DECIDED[::-1], (math.inf, 0.0))  # noise levels between which a block is bypassed; the last: always
GAINS = (0.0, 0.25, 0.5, 0.75, 1.25)
_BATCH = 128  # images; larger batches are slower on one core


@dataclass(frozen=True)
class Counts:
    """How much is measured: `samples`, `pictures` of them kept; images of each set on the error curves; `draws` of noise of
    each test image for the losses; of each class `probes`, Jacobians (`linearized`) and starts of repeated denoising
    (`settled`); `bypassed` samples for each way to bypass a block; a weight at each multiple of `weights`. 0: none."""

    samples: int = 500
    pictures: int = 1
    curve: int = 100
    draws: int = 2
    probes: int = 1
    linearized: int = 1
    settled: int = 8
    bypassed: int = 0
    weights: int = 0


@torch.no_grad()
def measure(network: nn.Module, ground: Ground, sampler: int, counts: Counts) -> dict[str, Tensor]:
    """What a network shows at a checkpoint, with C classes:

        held [2, C]                float32   mean EDM loss of test images by class, see `losses`
        error [2, 12]              float32   E(SIGMAS) on the trained and on the held-out block
        said [m]                   int16     what is said of each sample: see `said`, `told`
        spread [2, C]              float32   how far the samples of a class are apart, over real ones: see `spread`
        frechet                    float32   Frechet distance of the samples to the held-out block, in 32 directions
        pictures [pictures, H, W]  uint8
        probes [3, p, 48]          float16   principal coordinates of D(y + sigma eps, sigma): see `probes`
        jacobian [5, l, 2]         float32   Frobenius norm and effective rank of dD/dx: see `jacobians`
        settled [4, s]             int16     where repeated denoising ends: see `attractors`
        converged [4]              float32   share of its starts that have come to rest
        bypassed [2, 3, 5, 5]      float32   see `bypasses`; only if asked for
        weights [w]                float16   the weights in one row, or some of them; only if asked for

    Cost: 2 draws t + 24 curve + (2 sampler - 1) m + 3 p + 4 * 100 s images through the network, H W of them back for each
    Jacobian, and 30 (2 sampler - 1) bypassed ones.
    """
    samples = draw(in_batches(network), ground, sampler, counts.samples)
    ends, converged = attractors(network, ground, counts.settled)
    found = {"held": losses(network, ground, counts.draws), "error": errors(network, ground, counts.curve),
             "said": said(samples, ground), "spread": spread(samples, ground), "frechet": apart(samples, ground),
             "pictures": (255 * ground.scaling.pixels(samples[:counts.pictures, 0])).round().byte(),
             "probes": probes(network, ground, counts.probes), "jacobian": jacobians(network, ground, counts.linearized),
             "settled": ends, "converged": converged}
    if counts.bypassed:
        found["bypassed"] = bypasses(network, ground, sampler, counts.bypassed)
    if counts.weights:
        found["weights"] = torch.cat([weight.flatten() for weight in network.parameters()])[::counts.weights].half()
    return found


def draw(denoiser: Denoiser, ground: Ground, sampler: int, count: int) -> Tensor:
    """Samples [count, 1, H, W] from the latents that all networks share: the first of more are those of fewer."""
    shape, grid = (count, *ground.trained.shape[1:]), edm_sigmas(sampler)
    latents = grid[0].float() * torch.randn(shape, generator=stream(STUDY, 0))
    return sample(denoiser, latents.to(ground.trained.device), grid)


def losses(denoiser: Denoiser, ground: Ground, draws: int) -> Tensor:
    """Mean EDM loss of the test images of each class [2, C]: with ln sigma ~ N(-1, 1.2^2), whatever the law in training, and
    with ln sigma uniform where the class is decided."""
    images = ground.tested.repeat(draws, 1, 1, 1)
    kinds, found = ground.test_kinds.repeat(draws), []
    for number in range(2):
        generator = stream(STUDY, 1, number)
        low, high = map(math.log, DECIDED)
        sigma = (LogNormal().draw(len(images), generator) if number == 0
                 else (low + (high - low) * torch.rand(len(images), generator=generator)).exp()).to(images.device)
        noisy = images + sigma[:, None, None, None] * torch.randn(images.shape, generator=generator).to(images.device)
        values = training_loss("edm", in_batches(denoiser), images, noisy, sigma)
        found.append(torch.stack([values[kinds == kind].mean() for kind in range(ground.classes)]))
    return torch.stack(found)


def errors(denoiser: Denoiser, ground: Ground, count: int) -> Tensor:
    """E(SIGMAS) on evenly many images of the trained and of the held-out block [2, S], with the same noise."""
    size = len(ground.trained)
    places = torch.arange(min(count, size)) * size // min(count, size)
    noise = torch.randn(1, len(places), *ground.trained.shape[1:], generator=stream(STUDY, 2)).to(ground.trained.device)
    return torch.stack([point_errors(in_batches(denoiser), images[places], SIGMAS, noise=noise).mean(1).float()
                        for images in (ground.trained, ground.held)])


def spread(samples: Tensor, ground: Ground) -> Tensor:
    """Mean distance of two samples of one class over that of two held-out images [2, C], in pixels and in features; samples
    weigh as much as it is probable that they are of the class. nan where no two can be."""
    weights = torch.cat([ground.classify(batch) for batch in samples.split(_BATCH)]).double()
    real = nn.functional.one_hot(ground.kinds, ground.classes).double()
    return torch.stack([_mean_distances(events(samples), weights) / _mean_distances(events(ground.held), real)
                        for events in (Tensor.double, ground.features)]).float()


def apart(samples: Tensor, ground: Ground) -> Tensor:
    """Frechet distance of samples to the held-out block, in the leading principal directions of the test images."""
    return torch.tensor(frechet(*(ground.basis(images)[:, :COMPARED] for images in (samples, ground.held))))


def probes(denoiser: Denoiser, ground: Ground, count: int) -> Tensor:
    """Principal coordinates [3, p, k] of D(y + sigma eps, sigma) for the first test images y of each class."""
    images = probed(ground, count)
    return torch.stack([ground.basis(denoiser(noisy, sigma)) for noisy, sigma in zip(images, PROBED)]).half()


def probed(ground: Ground, count: int) -> Tensor:
    """The noisy images of the probes [3, p, 1, H, W], the same for all networks."""
    images = ground.of_each(count, tested=True)
    noise = torch.randn(images.shape, generator=stream(STUDY, 3)).to(images.device)
    return torch.stack([images + sigma * noise for sigma in PROBED])


def jacobians(denoiser: Denoiser, ground: Ground, count: int) -> Tensor:
    """Frobenius norm and effective rank exp(-sum s ln s) of J = dD/dx [5, l, 2], s the singular values over their sum, at
    the first test images of each class with noise. For an exact denoiser J is the covariance of y given x over sigma^2."""
    images, found = ground.of_each(count, tested=True), []
    noise = torch.randn(images.shape, generator=stream(STUDY, 4)).to(images.device)
    for sigma, (image, eps) in product(LINEARIZED, zip(images, noise)):
        values = torch.linalg.svdvals(_jacobian(denoiser, image + sigma * eps, sigma))
        shares = values / values.sum()
        found.append(torch.stack([values.norm(), torch.special.entr(shares).sum().exp()]))
    return torch.stack(found).float().unflatten(0, (len(LINEARIZED), len(images)))


def attractors(denoiser: Denoiser, ground: Ground, count: int) -> tuple[Tensor, Tensor]:
    """Where x <- D(x, sigma) leads the first training images of each class [s], at each of SETTLED: int16 [4, s], and the
    share that has come to rest [4].

    The number is the first start with the same attractor, plus s times the class of the training image nearest to the end.
    """
    starts, ends, converged = ground.of_each(count), [], []
    for sigma in SETTLED:
        found = settle(in_batches(denoiser), starts, sigma, SETTLING)
        same = found.attractors[:, None] == found.attractors
        kinds = ground.kinds[nearest(found.points, ground.trained).index[:, 0]].cpu()
        ends.append(same.int().argmax(1) + len(starts) * kinds)
        converged.append(found.converged)
    return torch.stack(ends).short(), torch.tensor(converged)


def bypasses(network: nn.Module, ground: Ground, sampler: int, count: int) -> Tensor:
    """The middle and, for comparison, the first block down, bypassed in each of WINDOWS by each of GAINS [2, 3, 5, 5]: of
    the samples the share of the minority by both readouts, of those that are neither, of those memorized, and the Frechet
    distance. Within a window the gain returns to 1, linearly in ln sigma: our reading of arXiv 2505.17560, version 1."""
    found = []
    for block, window, least in product((network.network.mid, network.network.down[0]), WINDOWS, GAINS):
        samples = draw(in_batches(bypassed(network, block, _gain(least, *window))), ground, sampler, count)
        words = told(said(samples, ground), ground.classes)
        shares = [(words.likeliest == 1), (words.nearest == 1), words.neither, words.memorized]
        found.append(torch.stack([*(each.float().mean() for each in shares), apart(samples, ground)]))
    return torch.stack(found).view(2, len(WINDOWS), len(GAINS), -1)


def _gain(least: float, high: float, low: float) -> Callable[[float], float]:
    """g(sigma): `least` at the noise level `high`, 1 below `low` and above `high`; without ends, `least` everywhere."""
    def gain(sigma: float) -> float:
        if math.isinf(high):
            return least
        if not low < sigma <= high:
            return 1.0
        return least + (1 - least) * math.log(high / sigma) / math.log(high / low)

    return gain


@torch.enable_grad()
def _jacobian(denoiser: Denoiser, x: Tensor, sigma: float) -> Tensor:
    """dD/dx [d, d] at one event, float64: a copy of the event for each entry of D, a batch at a time."""
    parts = []
    for entries in torch.arange(x.numel(), device=x.device).split(_BATCH):
        copies = x.expand(len(entries), *x.shape).clone().requires_grad_()
        clean = denoiser(copies, sigma).flatten(1).gather(1, entries[:, None])
        parts.append(torch.autograd.grad(clean.sum(), copies)[0].flatten(1))
    return torch.cat(parts).double()


def _mean_distances(events: Tensor, weights: Tensor) -> Tensor:
    """Mean distance of two of the events [m, *event] for each column of their weights [m, C]."""
    rows = events.flatten(1).double()
    distance, pairs = torch.cdist(rows, rows).fill_diagonal_(0), 1 - torch.eye(len(rows)).to(weights)
    return ((distance @ weights) * weights).sum(0) / ((pairs @ weights) * weights).sum(0)  # positive terms alone
