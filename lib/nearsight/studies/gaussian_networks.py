"""A network, the linear denoiser and the empirical one on the same few Gaussian points: which of them copies, and when.

The published comparison for networks, redone: one unit for all three sets, equally many points in each, a noise
schedule that ends in noise, and enough steps; and beside them the ideal generator, which draws from the truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from nearsight.denoisers.empirical import EmpiricalDenoiser
from nearsight.denoisers.normal import GaussianDenoiser
from nearsight.gaussian.divergences import fit, squared_bures
from nearsight.gaussian.kernel import pair_overlap
from nearsight.measures.proximity import memorized_fraction, nearest
from nearsight.networks.mlp import MLP
from nearsight.networks.preconditioned import Preconditioned
from nearsight.networks.unet import UNet
from nearsight.noise import edm_sigmas
from nearsight.randomness import derived_seed, stream
from nearsight.records.runs import Scales, Stage, Work
from nearsight.records.sweeps import stages
from nearsight.sampling import sample
from nearsight.training.loop import train
from nearsight.training.objectives import LogNormal
from nearsight.training.recipe import Training

MODELS = ("network", "linear", "empirical", "ideal")
RATIOS = (0.5, 0.6875, 0.875, 1, 1.1875, 1.375, 2, 4, 8, 32)  # of n to d: sixteenths, so that n is whole at d = 16


@dataclass(frozen=True)
class Networks:
    """Denoisers of n = ratio d points of N(0, I) with events of shape `event`; one step a (repetition, ratio).

    Widths are hidden units of a multilayer perceptron for vectors, and channels of a U-Net for images. Delta is
    measured `sets` times on sets of n points, W2 on all points of these, and nearness on `samples` samples. The
    weights of the network of step `keep` are recorded too.
    """

    event: tuple[int, ...]
    ratios: tuple[float, ...] = RATIOS
    width: int = 128
    training_steps: int = 3000
    batch: int = 256
    samples: int = 1000
    sets: int = 8
    keep: int = 0
    steps: int = 100
    seed: int = 0

    @property
    def standing(self) -> tuple[int, ...]:
        """The first networks of the least and of the largest set, and the one that is kept."""
        return tuple(sorted({1, self.keep, len(self.ratios)} - {0}))


def networks(config: Networks, work: Work = Work()) -> Iterator[Stage]:
    """One stage a network: ratios vary fastest, then repetitions.

        delta [models, sets]    E_TG - E_OG, all three by kernels
        memorized, preference   [models]: share of copies; share of samples nearer to train than to as many fresh points
        wasserstein [models]    W2^2/d between the Gaussian with the samples' moments and the truth
        weight/*                of the averaged network, where it is kept
    """
    if config.steps % len(config.ratios):
        raise ValueError(f"steps is {config.steps}; expected a multiple of the {len(config.ratios)} ratios.")
    return stages(partial(compare, config, work.device), range(config.steps), work)


def compare(config: Networks, device: str, step: int) -> dict[str, Tensor]:
    """The arrays of one stage of `networks`."""
    d, generator = math.prod(config.event), stream(config.seed, step)
    n = round(config.ratios[step % len(config.ratios)] * d)
    points = torch.randn(n, *config.event, generator=generator)
    network = trained(config, points, derived_seed(config.seed, step), device)
    there = points.to(device)
    denoisers = network, GaussianDenoiser(*fit(there.flatten(1).double())), EmpiricalDenoiser(there)
    fresh = torch.randn(n, *config.event, generator=generator)
    ideal = torch.randn(max(config.samples, config.sets * n), *config.event, generator=generator)
    schedule = edm_sigmas(18)
    latents = schedule[0].float() * ideal.to(device)
    originals = torch.randn(config.sets, n, d, generator=generator)
    results = {"delta": [], "memorized": [], "preference": [], "wasserstein": []}
    for generated in [*(sample(denoiser, latents, schedule).cpu() for denoiser in denoisers), ideal]:
        sets = generated[: config.sets * n].reshape(config.sets, n, d)
        some = generated[: config.samples]
        results["delta"].append(equal_deltas(points.flatten(1), originals, sets))
        results["memorized"].append(memorized_fraction(some, points).fraction)
        closer = nearest(some, fresh).distance - nearest(some, points).distance
        results["preference"].append(((closer > 0).double() + (closer == 0).double() / 2).mean().item())
        mean, covariance = fit(generated.flatten(1).double())
        distance = squared_bures(covariance, torch.eye(d, dtype=torch.float64)) + mean.square().sum().item()
        results["wasserstein"].append(distance / d)
    arrays = {name: torch.tensor(values, dtype=torch.float64) for name, values in results.items()}
    if step + 1 == config.keep:
        arrays |= {f"weight/{name}": tensor for name, tensor in network.state_dict().items()}
    return arrays


def trained(config: Networks, points: Tensor, seed: int, device: str = "cpu") -> nn.Module:
    """A network trained on the points, with averaged weights, on the device."""
    recipe = Training(snapshots=(config.training_steps,), batch=config.batch, levels=LogNormal(-0.3, 1.2),
                      sigma_data=1.0, decay="cosine", ema=0.995, seed=seed)
    [last] = train(recipe, partial(untrained, config), points, device=device)
    return last.ema


def untrained(config: Networks) -> nn.Module:
    """The network of the configuration, as a denoiser of unit-variance data."""
    raw = MLP(config.event[0], config.width) if len(config.event) == 1 else UNet(config.width, (1, 2, 4, 4))
    return Preconditioned(raw, sigma_data=1.0)


def equal_deltas(points: Tensor, originals: Tensor, sets: Tensor) -> list[float]:
    """Delta for sets of one size: points [n, d] trained on, originals and generated sets [S, n, d].

    An ideal generator's is positive half of the time.
    """
    own = pair_overlap(points)
    return [own - pair_overlap(original) - 2 * (set_overlap(points, generated) - set_overlap(original, generated))
            for original, generated in zip(originals, sets)]


def set_overlap(first: Tensor, second: Tensor) -> float:
    """int rho_X rho_Y of two sets [n, d] in the units of `pair_overlap`, kernels of the same width."""
    n, d = first.shape
    exponent = -torch.cdist(first.double(), second.double()).square() / (4 * n ** (-2 / d))
    return math.exp(exponent.flatten().logsumexp(0).item() - math.log(n))


SCALES = [
    Scales("networks-16", networks,
           smoke=Networks((8,), (1, 4), training_steps=2, samples=50, sets=2, keep=1, steps=4),
           laptop=Networks((16,), keep=RATIOS.index(1) + 1),
           paper=Networks((16,), (0.5, 1, 2, 4, 8, 16, 32, 64), width=256, training_steps=20_000, steps=80), on_device=True),
    Scales("networks-64", networks, smoke=Networks((16,), (1, 4), training_steps=2, samples=50, sets=2, steps=4),
           laptop=Networks((64,), steps=50),
           paper=Networks((1, 16, 16), (10 / 256, 90 / 256, 170 / 256, 250 / 256), width=64, training_steps=2000,
                          batch=128, steps=1200), on_device=True),
]
