"""What is measured of a network of images at a checkpoint: the same of every network, so that networks can be compared.

All networks meet the same images, noise and latents, whatever their block and seed. Of the samples is kept what the tests
of study 4 take: the nearest image of each block, in order, from which the owner in any pair of blocks can be read.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nearsight.datasets.images import Scaling
from nearsight.denoisers.compose import Denoiser
from nearsight.measures.features import PrincipalBasis
from nearsight.measures.gaps import point_errors
from nearsight.measures.proximity import memorized_fraction, nearest
from nearsight.networks.classifier import Classifier
from nearsight.noise import edm_sigmas
from nearsight.randomness import stream
from nearsight.sampling import sample
from nearsight.training.objectives import LogNormal, training_loss

STUDY = 4  # names the streams of what all networks share; their own seeds are no part of it
SIGMAS = 0.02 * 1000 ** torch.linspace(0, 1, 24, dtype=torch.float64)  # .02 ... 20, of the error curves
GRID = edm_sigmas(14, 0.01, 20.0)  # of the sampler
ATTACKED = torch.tensor([0.15, 0.3, 0.6], dtype=torch.float64)  # noise levels of the membership scores
PROBED = torch.tensor([0.281, 0.546, 1.155])  # sigma_t / .6264 at t = 50, 100, 200 of the published chain
COARSE = 32  # principal directions in which nearness is measured too
RANKS = 12  # nearest images of a sample that are kept
EXCHANGED = 64  # images of block 0 that the swapped network has not seen, and as many of block 1 that it has
_BATCH = 128  # images; larger batches are slower on one core


@dataclass(frozen=True)
class Counts:
    """How much is measured: `held` images of V and of H for the loss; `samples`, `pictures` of them kept; images of each
    set on the error curves; `probes` of V, of block 0 and of block 1, noisy images whose denoised versions are kept;
    `candidates` of each kind for the membership attack, with `attacks` draws of noise. At most 1,024 images each, the size
    of V and H."""

    held: int = 1024
    samples: int = 1024
    pictures: int = 128
    curve: int = 256
    probes: tuple[int, int, int] = (32, 16, 16)
    candidates: int = 512
    attacks: int = 2


@dataclass(frozen=True, eq=False)
class Ground:
    """The images that a network is measured on, in network units.

    blocks [b, n, 1, H, W]    the blocks of one size, all that their networks are trained on
    trained [n, 1, H, W]      what the network at hand was trained on: block `own`, or nearly so
    stopping, report          V and H, 1,024 each; `reference` R; nobody is trained on any of the three
    probed [p, 1, H, W]       the images of `Counts.probes`, as they are though all others be filtered
    basis, classifier         the principal directions of R, as it is, and the classifier of its kinds of clothes
    labels                    of "blocks" [b, n], "stopping", "report", "reference", "probed"; None for networks without
                              classes
    """

    blocks: Tensor
    own: int
    trained: Tensor
    stopping: Tensor
    report: Tensor
    reference: Tensor
    probed: Tensor
    basis: PrincipalBasis
    classifier: Classifier
    scaling: Scaling
    labels: dict[str, Tensor] | None = None

    def some(self, name: str, count: int, block: int | None = None) -> tuple[Tensor, Tensor | None]:
        """The first `count` images of a set, or of one of its blocks, and their labels."""
        images, labels = getattr(self, name), None if self.labels is None else self.labels[name]
        if block is not None:
            images, labels = images[block], None if labels is None else labels[block]
        return images[:count], None if labels is None else labels[:count]

    def spaces(self, events: Tensor) -> dict[str, Tensor]:
        """Events [N, 1, H, W] in each space [N, k] in which nearness is measured."""
        return {"pixels": events.flatten(1), "principal": self.basis(events)[:, :COARSE],
                "classifier": torch.cat([self.classifier.features(batch) for batch in events.split(_BATCH)])}


@torch.no_grad()
def measure(network: nn.Module, average: nn.Module, ground: Ground, counts: Counts, raw_samples: bool
            ) -> dict[str, Tensor]:
    """What a network and its average show at a checkpoint, with b blocks; bytes at b = 4 and the default counts.

        stopping, report [2, held]    float16  EDM loss of each image of V and of H, averaged and raw weights      8,192
        error, uncertainty [b+2, 24]  float32  E(SIGMAS) on each block, V and H, and its standard error            1,152
        stopping_error [24, curve]    float16  the same of each image of V                                        12,288
        scores [3, candidates]        float32  membership scores of the own block, the next block, and R           6,144
        probes [3, p, 128]            float16  principal coordinates of D at the p noisy images of Ground.probed  49,152
        raw_owners [samples, b]       int16    `owners` in pixels of the raw network's samples, if asked for       8,192

    and of the averaged network's samples what `measure_samples` returns, 100,480 bytes: 185,600 in all, so that 16
    checkpoints take 2.97 MB. All but the losses and raw_owners are of averaged weights.
    Cost: 4 held + 24 (b + 2) curve + 9 attacks candidates + 3 p + 27 samples (twice with the raw ones) images through
    the network, 78,000 (106,000) at the default counts: 1.6 ms each on one core with 32 channels.
    """
    arrays = {**losses(network, average, ground, counts.held), **errors(average, ground, counts.curve),
              "scores": scores(average, ground, counts), "probes": probes(average, ground),
              **measure_samples(draw(average, ground, counts.samples), ground, counts.pictures)}
    if raw_samples:
        arrays["raw_owners"] = owners(draw(network, ground, counts.samples).flatten(1), ground.blocks.flatten(2))
    return arrays


def measure_samples(samples: Tensor, ground: Ground, pictures: int) -> dict[str, Tensor]:
    """Where samples [m, 1, H, W] lie; bytes at m = 1,024, 4 blocks of n images.

        owners/SPACE [m, b]     int16    see `owners`, in pixels, principal directions and features of a classifier 24,576
        order [m, 12]           int16    in pixels, the nearest images of all blocks together, as n block + index 24,576
        distance [m, b]         float16  in pixels, to the nearest image of each block                             8,192
        ratio [m]               float16  d1/d2, to the two nearest of the images that the network was trained on   2,048
        unseen [m]              int16    the nearest of V, then H: 2,048 images of which nobody has seen one       2,048
        exchanged [m]           int16    the nearest of the first 64 of block 0, then of block 1                   2,048
        mean [32], covariance [32, 32]   float32, of principal coordinates                                         4,224
        pictures [pictures, H, W]        uint8                                                                    32,768
    """
    pool = ground.blocks.flatten(0, 1)
    spaces, pools = ground.spaces(samples), ground.spaces(pool)
    coordinates = spaces["principal"].double()
    return {**{f"owners/{name}": owners(events, pools[name].unflatten(0, ground.blocks.shape[:2]))
               for name, events in spaces.items()},
            "order": nearest(samples, pool, RANKS).index.short(),
            "distance": torch.cat([nearest(samples, block).distance for block in ground.blocks], 1).half(),
            "ratio": memorized_fraction(samples, ground.trained).ratios.half(),
            "unseen": nearest(samples, torch.cat([ground.stopping, ground.report])).index[:, 0].short(),
            "exchanged": nearest(samples, ground.blocks[:2, :EXCHANGED].flatten(0, 1)).index[:, 0].short(),
            "mean": coordinates.mean(0).float(), "covariance": coordinates.T.cov().float(),
            "pictures": (255 * ground.scaling.pixels(samples[:pictures, 0])).round().byte()}


def owners(events: Tensor, blocks: Tensor) -> Tensor:
    """For each of events [m, k] the nearest image of each of blocks [b, n, k], the nearest first: [m, b] int16.

    Image i of block j is named n j + i, so the first that is of one of two blocks is the owner in their pool: `owner`.
    """
    near = [nearest(events, block) for block in blocks]
    distance = torch.cat([each.distance for each in near], 1)
    names = torch.cat([each.index + blocks.shape[1] * number for number, each in enumerate(near)], 1)
    return names.gather(1, distance.argsort(dim=1, stable=True)).short()


def owner(owners: Tensor, size: int, pair: tuple[int, int]) -> Tensor:
    """The nearest image [m] in the pool of two blocks of `size` images: 0 ... size - 1 of the first, then the second."""
    of_pair = (owners.unsqueeze(-1) // size == torch.tensor(pair, device=owners.device)).any(-1)
    name = owners.gather(1, of_pair.int().argmax(1, keepdim=True)).squeeze(1).long()
    return name % size + size * (name // size == pair[1])


def draw(network: nn.Module | Denoiser, ground: Ground, count: int) -> Tensor:
    """Samples [count, 1, H, W] from the latents that all networks share; with classes, the i-th has the label of V's."""
    like, labels = ground.some("stopping", count)
    latents = GRID[0].float() * torch.randn(like.shape, generator=stream(STUDY, 0))
    return sample(in_batches(network, labels), latents.to(like.device), GRID)


def losses(network: nn.Module, average: nn.Module, ground: Ground, count: int) -> dict[str, Tensor]:
    """EDM loss of the first images of V and of H [2, count], averaged and raw, with one fixed (sigma, eps) an image."""
    found = {}
    for number, name in enumerate(("stopping", "report")):
        images, labels = ground.some(name, count)
        generator = stream(STUDY, 1, number)
        sigma = LogNormal().draw(len(images), generator).to(images.device)
        noisy = images + sigma[:, None, None, None] * torch.randn(images.shape, generator=generator).to(images.device)
        found[name] = torch.stack([training_loss("edm", in_batches(each, labels), images, noisy, sigma)
                                   for each in (average, network)]).half()
    return found


def errors(network: nn.Module | Denoiser, ground: Ground, count: int) -> dict[str, Tensor]:
    """The curves E(sigma) of `measure`: all sets meet the same noise, and each set's images are the same for all networks,
    so that in the crossed gap they cancel."""
    sets = [ground.some("blocks", count, block) for block in range(len(ground.blocks))]
    sets += [ground.some("stopping", count), ground.some("report", count)]
    noise = torch.randn(1, count, *ground.stopping.shape[1:], generator=stream(STUDY, 2)).to(ground.stopping.device)
    found = [point_errors(in_batches(network, labels), images, SIGMAS, noise=noise[:, :len(images)])
             for images, labels in sets]
    return {"error": torch.stack([each.mean(1) for each in found]).float(),
            "uncertainty": torch.stack([each.std(1) / each.shape[1]**0.5 for each in found]).float(),
            "stopping_error": found[-2].half()}


def scores(network: nn.Module | Denoiser, ground: Ground, counts: Counts) -> Tensor:
    """Membership scores of the first candidates of the own block, the next block and R: see `measures.membership`."""
    noise = torch.randn(counts.attacks, 1, *ground.stopping.shape[1:], generator=stream(STUDY, 3))
    count = min(counts.candidates, ground.blocks.shape[1])
    sets = [ground.some("blocks", count, ground.own), ground.some("blocks", count, (ground.own + 1) % len(ground.blocks)),
            ground.some("reference", count)]
    found = [point_errors(in_batches(network, labels), images, ATTACKED, noise=noise.to(images.device))
             for images, labels in sets]
    return torch.stack([-(each / ATTACKED.to(each)[:, None]**2).mean(0) for each in found]).float()


def probes(network: nn.Module | Denoiser, ground: Ground) -> Tensor:
    """Principal coordinates [3, p, k] of D(y + sigma eps, sigma) for the images y of Ground.probed at levels PROBED."""
    images, labels = ground.some("probed", len(ground.probed))
    noise = torch.randn(images.shape, generator=stream(STUDY, 4)).to(images.device)
    denoiser = in_batches(network, labels)
    return torch.stack([ground.basis(denoiser(images + sigma * noise, sigma)) for sigma in PROBED.tolist()]).half()


def in_batches(network: nn.Module | Denoiser, labels: Tensor | None = None) -> Denoiser:
    """The network as a denoiser (x, sigma), sigma a number or [B], a batch at a time; `labels` [N], where it has classes,
    are those of each N events in turn."""
    def denoise(x: Tensor, sigma: float | Tensor) -> Tensor:
        batches = x.split(_BATCH)
        levels = sigma.split(_BATCH) if isinstance(sigma, Tensor) else [sigma] * len(batches)
        if labels is None:
            return torch.cat([network(*batch) for batch in zip(batches, levels)])
        kinds = labels.repeat(len(x) // len(labels)).split(_BATCH)
        return torch.cat([network(*batch) for batch in zip(batches, levels, kinds)])

    return denoise
