"""How often an audit cries wolf, and what it sees: audits of sets whose answer is known, many of each kind.

What is recorded are p-values, so that any level can be asked for afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product

import torch
from scipy.stats import binomtest
from torch import Generator, Tensor

from nearsight.auditing.auditor import audit
from nearsight.auditing.report import AuditReport
from nearsight.datasets.fashion import fashion_mnist
from nearsight.datasets.handwritten import digits
from nearsight.datasets.images import Scaling
from nearsight.randomness import derived_seed, stream
from nearsight.records.runs import Scales, Stage, Work
from nearsight.records.sweeps import stages

TESTS = ("proximity", "margin", "copies", "reproduced")  # of samples, in the order of a report
KINDS = ("photographs", "hubs", "patients, by image", "patients, by group")
STRENGTHS = (0.005, 0.01, 0.02, 0.05, 0.1)


@dataclass(frozen=True)
class NullAudits:
    """`steps` audits of each of KINDS, where the samples know nothing of either set.

    photographs  clothes: `images` a side, `samples` others as samples
    hubs         white Gaussian events of 256 entries, of which some are near to very many: `hubs` a side, four times as
                 many samples
    patients     `patients` a side with ten events each, which resemble each other; samples of others
    """

    images: int = 250
    samples: int = 5000
    hubs: int = 500
    patients: int = 40
    permutations: int = 199
    steps: int = 200
    seed: int = 0


def null_audits(config: NullAudits, work: Work = Work()) -> Iterator[Stage]:
    """One stage an audit: `p_values` [KINDS, TESTS], and `binomial` [KINDS], the one-sided p-value of the binomial test that
    takes every sample for a coin of its own. Cost on one core at laptop scale: 2 s an audit."""
    return stages(partial(null_p_values, config), range(config.steps), work)


def null_p_values(config: NullAudits, repeat: int) -> dict[str, Tensor]:
    """The p-values of one audit of each kind."""
    reports = [audit(train, holdout, samples=samples, groups=groups, permutations=config.permutations,
                     seed=derived_seed(config.seed, repeat, 1))
               for train, holdout, samples, groups in null_sets(config, repeat)]
    return {"p_values": torch.stack([p_values(report) for report in reports]),
            "binomial": torch.tensor([binomial(report) for report in reports], dtype=torch.float64)}


def null_sets(config: NullAudits, repeat: int) -> Iterator[tuple[Tensor, Tensor, Tensor, dict[str, Tensor] | None]]:
    """Training set, held-out set, samples and groups of each of KINDS."""
    generator = stream(config.seed, repeat)
    photographs = torch.cat([fashion_mnist(split, 16).images for split in ("train", "test")])
    order = torch.randperm(len(photographs), generator=generator)
    sizes = [config.images, config.images, config.samples]
    yield *(photographs[part] for part in order[:sum(sizes)].split(sizes)), None
    yield *torch.randn(6 * config.hubs, 256, generator=generator).split([config.hubs, config.hubs, 4 * config.hubs]), None
    persons = torch.randn(4 * config.patients, 1, 16, generator=generator)
    events = persons + 0.35 * torch.randn(4 * config.patients, 10, 16, generator=generator)
    half = 10 * config.patients
    train, holdout, samples = events.flatten(0, 1).split([half, half, 2 * half])
    numbers = torch.arange(2 * config.patients).repeat_interleave(10).tolist()
    yield train, holdout, samples, None
    yield train, holdout, samples, {"train": numbers[:half], "holdout": numbers[half:]}


@dataclass(frozen=True)
class PlantedAudits:
    """`steps` draws of digits, `images` a side and `samples` others as samples, into which each of PLANTED is planted."""

    images: int = 400
    samples: int = 600
    permutations: int = 199
    steps: int = 100
    seed: int = 0


def planted_audits(config: PlantedAudits, work: Work = Work()) -> Iterator[Stage]:
    """One stage a draw: `p_values` [1 + PLANTED STRENGTHS, TESTS and the attack from distances to samples]. The first row
    has nothing planted. Cost on one core at laptop scale: 2.5 s a draw."""
    return stages(partial(planted_p_values, config), range(config.steps), work)


def planted_p_values(config: PlantedAudits, repeat: int) -> dict[str, Tensor]:
    """The p-values of one draw: nothing planted, then the strengths of each of PLANTED."""
    generator = stream(config.seed, repeat)
    images = digits(Scaling(8, 4, white=16)).images
    order = torch.randperm(len(images), generator=generator)
    train, holdout, samples = (images[part] for part in order[:2 * config.images + config.samples].split(
        [config.images, config.images, config.samples]))
    planted = [samples, *(plant(samples, train, strength, generator)
                          for plant, strength in product(PLANTED.values(), STRENGTHS))]
    seed = derived_seed(config.seed, repeat, 1)
    reports = [audit(train, holdout, samples=each, permutations=config.permutations, seed=seed) for each in planted]
    attack = torch.tensor([report.membership["samples"]["p_value"] for report in reports], dtype=torch.float64)
    return {"p_values": torch.cat([torch.stack([p_values(report) for report in reports]), attack[:, None]], 1)}


def noisy(level: float, samples: Tensor, train: Tensor, share: float, generator: Generator) -> Tensor:
    """The samples, of which a share are training images with noise of that level."""
    count = round(share * len(samples))
    copied = train[:count] + level * torch.randn(count, *train.shape[1:], generator=generator)
    return torch.cat([copied, samples[count:]])


def pulled(samples: Tensor, train: Tensor, share: float, generator: Generator) -> Tensor:
    """The samples, each moved by a share of the way to its nearest training image."""
    nearest = torch.cdist(samples.flatten(1), train.flatten(1)).argmin(1)
    return torch.lerp(samples, train[nearest], share)


PLANTED: dict[str, Callable[[Tensor, Tensor, float, Generator], Tensor]] = {
    "copies": partial(noisy, 0.03), "half-way copies": partial(noisy, 0.15), "pull": pulled}


def p_values(report: AuditReport) -> Tensor:
    """The p-values of a report's tests, in their order."""
    return torch.tensor([test["p_value"] for test in report.tests], dtype=torch.float64)


def binomial(report: AuditReport) -> float:
    """The one-sided p-value of the samples that are nearer to the training images, each a fair coin; ties are left out."""
    train, holdout = (torch.tensor(report.proximity[f"{side}_distance"]) for side in ("train", "holdout"))
    wins, losses = int((train < holdout).sum()), int((train > holdout).sum())
    return float(binomtest(wins, wins + losses, alternative="greater").pvalue) if wins + losses else 1.0


SCALES = [
    Scales("audit-null", null_audits, smoke=NullAudits(40, 200, 40, 20, 19, steps=4), laptop=NullAudits(),
           paper=NullAudits(500, 5000, permutations=999, steps=2000)),
    Scales("audit-power", planted_audits, smoke=PlantedAudits(60, 100, 19, steps=3), laptop=PlantedAudits(),
           paper=PlantedAudits(permutations=999, steps=1000))]
