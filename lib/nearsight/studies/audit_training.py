"""Networks that were trained on few images, audited along their training: how many are too few, and what helps.

Every network draws the same samples: from the same latents, kept as an image file has them, and audited as such.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from nearsight.auditing.auditor import audit
from nearsight.auditing.copies import upper_bound
from nearsight.auditing.family import holm
from nearsight.auditing.verdicts import decide
from nearsight.datasets.fashion import fashion_mnist
from nearsight.datasets.images import Images
from nearsight.measures.gaps import denoising_error
from nearsight.networks.preconditioned import Preconditioned
from nearsight.networks.unet import UNet
from nearsight.randomness import stream
from nearsight.records.computing import Results
from nearsight.records.runs import Run, Stage, Work
from nearsight.sampling import sample
from nearsight.studies.audits import p_values
from nearsight.studies.image_measures import GRID, SIGMAS, in_batches
from nearsight.training.loop import train
from nearsight.training.recipe import Training, log_steps

TESTS = ("proximity", "margin", "copies", "reproduced", "gap", "membership_denoiser")  # in the order of a report
EFFECTS = ("preference", "low", "high", "margin", "detectable", "copies", "auc", "auc_low", "auc_high")
LEVELS = SIGMAS[2:20:3]  # noise levels of the gap, the attack and the errors: 0.04 to 3.6
WAYS = ("plain", "flips", "old")
OLD, BOOT = range(8), 9  # kinds of clothes: those of the first training, and the new one
EVERY = 300  # steps between two checkpoints at most
WEIGHT = "weight/"
_ORDER, _LATENTS, _NOISE = range(3)  # streams of a seed


@dataclass(frozen=True)
class Audited:
    """A network's width, its training, and the size of its audits: `checkpoints` of them, from step `first` to the last
    one, each at level alpha/checkpoints, with `samples` and `draws` of noise. Before, at step `noted`, the loss is noted."""

    channels: int = 32
    batch: int = 64
    noted: int = 50
    first: int = 150
    checkpoints: int = 5
    steps: int = 2400
    samples: int = 600
    draws: int = 1
    permutations: int = 1999
    seed: int = 0

    @property
    def standing(self) -> int:
        """The loss of the first steps stands for the run: what comes of thousands of them is a draw of its law."""
        return 1

    @property
    def audited(self) -> tuple[int, ...]:
        """The steps that are audited."""
        return log_steps(self.first, self.steps, self.checkpoints)

    @property
    def recipe(self) -> Training:
        """How the network is trained."""
        return Training(snapshots=(self.noted, *self.audited), batch=self.batch, seed=self.seed)


@dataclass(frozen=True)
class FewImages(Audited):
    """A network trained on `images` photographs of all kinds of clothes; `held` others are held out."""

    images: int = 140
    held: int = 1000


@dataclass(frozen=True)
class TunedNetwork(Audited):
    """A network trained for `pretraining` steps on eight kinds of clothes, then on `images` boots in one of WAYS.

    plain  the boots alone
    flips  the boots and their mirror images
    old    the boots in half of each batch, images of the first training in the other
    """

    way: str = "plain"
    images: int = 140
    held: int = 140
    pretraining: int = 1000
    first: int = 30
    noted: int = 15
    checkpoints: int = 6
    steps: int = 960
    samples: int = 400

    @property
    def former(self) -> Training:
        """How it was trained before."""
        return replace(self.recipe, snapshots=(self.noted, self.pretraining))

    @property
    def recipe(self) -> Training:
        """How it is trained on boots."""
        return replace(super().recipe, snapshots=self.audited)


def few_images(config: FewImages, work: Work = Work()) -> Iterator[Stage]:
    """Train on few images; yield what `audited` finds at each checkpoint, and with the last one the averaged weights.

    Cost on one core at laptop scale: .1 s a step, and 20 s an audit.
    """
    trained, held = few_and_held(config)
    def measure(step: int, network: nn.Module) -> dict[str, Tensor]:
        weights = network.state_dict() if step == config.steps else {}
        return audited(config, network, trained, held) | {WEIGHT + name: each.half() for name, each in weights.items()}

    return _checkpoints(config, partial(_untrained, config), trained, measure, work, work.folder)


def tuned_network(config: TunedNetwork, work: Work = Work()) -> Iterator[Stage]:
    """Train on eight kinds of clothes, then on boots; yield at each checkpoint of the second training what `audited` finds,
    and `errors` [boots held out, old kinds held out; LEVELS]. The first stage has the `loss` of the first training's steps
    up to `noted`; all others are numbered by the steps of the second one.

    With "flips" the mirror images of both sets are audited too, an image and its mirror image as one group. Cost on one core
    at laptop scale: .1 s a step of both trainings, and 20 s an audit.
    """
    boots, held, old, unseen = boots_and_others(config)
    folders = [None, None] if work.folder is None else [work.folder / name for name in ("former", config.way)]
    for former in train(config.former, partial(_untrained, config), old, None, folders[0], EVERY):
        if former.step == config.noted > work.after:
            yield Stage(former.step, {"loss": former.losses.mean()})
    trained = {"plain": boots, "flips": both_ways(boots), "old": half_and_half(boots, old)}[config.way]
    sets, groups = (boots, held), None
    if config.way == "flips":
        sets = both_ways(boots), both_ways(held)
        groups = {"train": 2 * list(range(len(boots))), "holdout": 2 * list(range(len(boots), len(boots) + len(held)))}

    def measure(step: int, network: nn.Module) -> dict[str, Tensor]:
        errors = [denoising_error(in_batches(network), images, LEVELS, draws=config.draws,
                                  generator=stream(config.seed, _NOISE)) for images in (held, unseen)]
        return audited(config, network, *sets, groups) | {"errors": torch.stack(errors)}

    yield from _checkpoints(config, lambda: copy.deepcopy(former.ema).requires_grad_(), trained, measure, work, folders[1])


@torch.no_grad()
def audited(config: Audited, network: nn.Module, trained: Tensor, held: Tensor, groups: dict | None = None
            ) -> dict[str, Tensor]:
    """Audit a network with samples of its own: `p_values` [TESTS], `effects` [EFFECTS], `gap` [LEVELS], and its `samples`
    [M, 16, 16], uint8."""
    scaling = fashion_mnist("stopping", 16).scaling
    latents = GRID[0].float() * torch.randn(config.samples, *trained.shape[1:], generator=stream(config.seed, _LATENTS))
    drawn = (255 * scaling.pixels(sample(in_batches(network), latents, GRID))).round().byte()
    report = audit(trained, held, samples=scaling.network(drawn.numpy()), denoiser=network, sigmas=LEVELS,
                   draws=config.draws, permutations=config.permutations, groups=groups, check_ranges=False,
                   alpha=0.05 / config.checkpoints, seed=config.seed)
    near, attack = report.proximity, report.membership["denoiser"]
    found = dict(preference=near["preference"], low=near["low"], high=near["high"], margin=near["margin"],
                 detectable=near["smallest_detectable"], copies=report.copies["fraction"], auc=attack["auc"],
                 auc_low=attack["low"], auc_high=attack["high"])
    return {"p_values": p_values(report), "effects": torch.tensor([found[name] for name in EFFECTS], dtype=torch.float64),
            "gap": torch.tensor(report.gap["gap"], dtype=torch.float64), "samples": drawn[:, 0]}


def few_and_held(config: FewImages) -> tuple[Tensor, Tensor]:
    """Training and held-out images, drawn at random; those of fewer images are among those of more."""
    pool = _shuffled(config, fashion_mnist("pool", 16))
    return pool.images[:config.images], pool.images[-config.held:]


def boots_and_others(config: TunedNetwork) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The boots of the second training and as many held out, the images of the first one and 256 that it has not seen."""
    pool, others = _shuffled(config, fashion_mnist("pool", 16)), fashion_mnist("stopping", 16)
    kinds = torch.tensor(OLD)
    boots = pool.images[pool.labels == BOOT]
    return (boots[:config.images], boots[config.images:config.images + config.held],
            pool.images[torch.isin(pool.labels, kinds)], others.images[torch.isin(others.labels, kinds)][:256])


def both_ways(images: Tensor) -> Tensor:
    """Images and then their mirror images."""
    return torch.cat([images, images.flip(3)])


def half_and_half(few: Tensor, many: Tensor) -> Tensor:
    """A set whose uniform draws are as often among the few images, all alike, as among the many."""
    times = len(many) // len(few)
    return torch.cat([few.repeat(times, 1, 1, 1), many[:times * len(few)]])


def recorded_few(config: FewImages, results: Results) -> Preconditioned:
    """The denoiser whose weights a `few_images` run has recorded, in float32, without gradients."""
    network = _untrained(config)
    network.load_state_dict({name.removeprefix(WEIGHT): weight.float() for name, weight in results.final.items()
                             if name.startswith(WEIGHT)})
    return network.requires_grad_(False).eval()


def verdict_of(config: Audited, arrays: Mapping[str, Tensor]) -> str:
    """The code of the verdict on what `audited` has found, at level alpha/checkpoints."""
    adjusted = holm(arrays["p_values"].tolist())
    tests = [{"name": name, "significant": each <= 0.05 / config.checkpoints} for name, each in zip(TESTS, adjusted)]
    effects = dict(zip(EFFECTS, arrays["effects"].tolist()))
    return decide(tests, effects["detectable"], upper_bound(round(effects["copies"] * config.samples), config.samples))


def _untrained(config: Audited) -> Preconditioned:
    return Preconditioned(UNet(config.channels))


def _shuffled(config: Audited, images: Images) -> Images:
    order = torch.randperm(len(images.images), generator=stream(config.seed, _ORDER))
    return replace(images, images=images.images[order], labels=images.labels[order])


def _checkpoints(config: Audited, start: Callable[[], nn.Module], trained: Tensor,
                 measure: Callable[[int, nn.Module], dict[str, Tensor]], work: Work, folder: Path | None) -> Iterator[Stage]:
    """Train; yield the mean training `loss` since the last checkpoint and, where it is audited, what is measured of the
    averaged network."""
    seen = 0
    for step, losses, _, average in train(config.recipe, start, trained, None, folder, EVERY):
        if step not in config.recipe.snapshots:
            yield Stage(step)
            continue
        if step > work.after:
            found = {} if step == config.noted else measure(step, average)
            yield Stage(step, {"loss": losses[seen:].mean(), **found})
        seen = step


_SMOKE = dict(channels=8, batch=16, noted=5, first=10, checkpoints=2, steps=20, samples=32, permutations=19)
SCALES = [
    Run("audit-few-smoke", few_images, FewImages(**_SMOKE, images=40, held=40), "smoke"),
    *(Run(f"audit-few-{images}-laptop", few_images, FewImages(channels=16, checkpoints=6, steps=3000, images=images),
          "laptop") for images in (140, 2000)),
    Run("audit-few-paper", few_images, FewImages(channels=64, batch=256, steps=20_000, checkpoints=12, samples=5000,
                                                draws=4), "paper"),
    Run("audit-tuned-smoke", tuned_network, TunedNetwork(**_SMOKE, images=40, held=40, pretraining=10), "smoke"),
    *(Run(f"audit-tuned-{way}-laptop", tuned_network, TunedNetwork(channels=16, way=way), "laptop") for way in WAYS),
    Run("audit-tuned-paper", tuned_network, TunedNetwork(channels=64, batch=256, pretraining=20_000, steps=10_000,
                                                        samples=5000, draws=4), "paper")]
