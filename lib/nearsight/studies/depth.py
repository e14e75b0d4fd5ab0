"""The networks of study 5: U-Nets of several depths, each trained on one block in which a class is rare.

One network is one run, so that a kill costs little and one core a network is enough. Within a seed all networks see the same
positions within their blocks, noise levels and noise, whatever their depth. What is measured is said in `depth_measures`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from torch.nn.utils import vector_to_parameters

from nearsight.networks.depth_unet import DepthUNet, solve_width
from nearsight.networks.preconditioned import Preconditioned
from nearsight.records.computing import Results
from nearsight.records.runs import Run, Stage, Work
from nearsight.studies.depth_data import TAIL, prepared
from nearsight.studies.depth_measures import Counts, measure
from nearsight.training.loop import train
from nearsight.training.objectives import LogNormal
from nearsight.training.recipe import Training

EVERY = 250  # steps between two checkpoints at most: a minute of one core


@dataclass(frozen=True)
class DepthNetwork:
    """A U-Net that halves its images `depth` times, with `channels` channels, trained on block `block` of a source.

    context, halving    see `DepthUNet`
    source              "fashion", "twin", "tail", "digits", or a folder that the reader brings: see `depth_data`
    sizes               images of each class in a block, the majority's first
    block, blocks       which block of how many; the next one is held out
    levels              mean and standard deviation of ln sigma in training
    sampler             steps of Heun's method from sigma = 80
    opening, passing, last    what is measured at the first checkpoint, which is computed again to verify a record; at those
                        on the way; at the last one
    seed                names first weights, positions, noise levels and noise, for networks of any depth and block
    """

    depth: int = 0
    channels: int = 60
    context: bool = False
    halving: bool = True
    source: str = "fashion"
    sizes: tuple[int, ...] = (900, 100)
    block: int = 0
    blocks: int = 3
    side: int = 16
    learning_rate: float = 1e-3
    levels: tuple[float, float] = (-1.0, 1.2)
    snapshots: tuple[int, ...] = (50, 250, 500, 1000, 2000, 4000)
    sampler: int = 18
    opening: Counts = Counts(samples=128, settled=4)
    passing: Counts = Counts(pictures=0)
    last: Counts = Counts(samples=2000, pictures=64, probes=5, linearized=4, settled=40)
    seed: int = 0

    @property
    def steps(self) -> int:
        """The step of the last checkpoint."""
        return self.snapshots[-1]

    @property
    def standing(self) -> int:
        """The first checkpoint stands for the run: all have the same arrays, by the same code."""
        return 1

    @property
    def recipe(self) -> Training:
        """How the network is trained."""
        return Training(snapshots=self.snapshots, learning_rate=self.learning_rate, levels=LogNormal(*self.levels),
                        seed=self.seed)


@dataclass(frozen=True)
class DepthMiniature(DepthNetwork):
    """A network that pages train anew: what is compared there is all of it, and all of it stands for the run."""

    @property
    def standing(self) -> int:
        """All checkpoints, since what other kernels change grows from one to the next."""
        return len(self.snapshots)


def depth_network(config: DepthNetwork, work: Work = Work()) -> Iterator[Stage]:
    """Train the network; yield at each checkpoint the mean training `loss` since the last one, and what
    `depth_measures.measure` finds of the averaged weights. Cost on one core at laptop scale: .05 to .2 s a step, and at 60
    channels half a minute a checkpoint, two and a half the last one."""
    ground = prepared(config.source, config.sizes, config.block, config.blocks, config.side, work.device)
    seen = 0
    for step, losses, _, average in train(config.recipe, partial(untrained, config), ground.trained, None, work.folder,
                                          EVERY, work.device):
        if step not in config.snapshots:
            yield Stage(step)
            continue
        if step > work.after:
            counts = {config.snapshots[0]: config.opening, config.steps: config.last}.get(step, config.passing)
            yield Stage(step, {"loss": losses[seen:].mean(), **measure(average, ground, config.sampler, counts)})
        seen = step


def untrained(config: DepthNetwork) -> Preconditioned:
    """The network of the configuration, as a denoiser."""
    return Preconditioned(DepthUNet(config.depth, config.channels, config.context, config.halving))


def recorded_network(config: DepthNetwork, results: Results) -> Preconditioned:
    """The denoiser whose weights a run has recorded, in float32, evaluation mode, without gradients."""
    network = untrained(config)
    vector_to_parameters(results.final["weights"].float(), network.parameters())
    return network.requires_grad_(False).eval()


EQUAL = tuple(solve_width(depth, 150_000) for depth in range(4))  # 60, 36, 28, 24 channels: as many parameters, within 3 %
NARROW = EQUAL[-1]
_MEASURED = DepthNetwork().last
_FEW = Counts(samples=64, pictures=1, curve=20, draws=1, probes=1, settled=4)
_SHORT = dict(sampler=8, snapshots=(30, 60), opening=_FEW, last=_FEW)
_FAST = dict(sampler=8, snapshots=(100, 200), opening=replace(_FEW, bypassed=8, weights=100),
             last=replace(_FEW, pictures=8, bypassed=8, weights=1))
_DIGITS = dict(source="digits", sizes=(50, 6), blocks=2, side=8, channels=8, **_FAST)


def _run(name: str, scale: str = "laptop", **fields) -> Run:
    config = (DepthMiniature if scale == "smoke" else DepthNetwork)(**fields)
    return Run(f"depth-{name}-{scale}", depth_network, config, scale, on_device=True)


def _by_depth(name: str, depths: Iterable[int] = range(4), **fields) -> list[Run]:
    """Runs that differ in depth alone, of equal size where no width is given."""
    return [_run(name.format(depth), depth=depth, **{"channels": EQUAL[depth], **fields}) for depth in depths]


def _extras(bypassed: bool, kept: bool) -> dict[str, Counts]:
    """What is measured where a block is bypassed, too, and where the weights are kept; of each a little at the beginning."""
    return {"opening": replace(DepthNetwork().opening, bypassed=2 if bypassed else 0, weights=1000 if kept else 0),
            "last": replace(_MEASURED, bypassed=500 if bypassed else 0, weights=1 if kept else 0)}


SCALES = [
    _run("digits", "smoke", depth=2, **_DIGITS),
    _run("flat", "smoke", depth=1, halving=False, context=True, **_DIGITS),
    _run("twin", "smoke", source="twin", sizes=(180, 60), blocks=2, channels=8, **_SHORT),
    _run("tail", "smoke", source="tail", sizes=(12, 10, 8, 6, 5, 4, 4, 4, 4, 4), blocks=2, channels=8, **_SHORT),
    # In the order in which they are wanted. The series of equal size: four networks a depth, two of them on one block, the
    # others on blocks of their own; in the first of each depth the weights are kept, in three the middle is bypassed.
    *(_run(f"equal-L{depth}-b{block}-s{seed}", depth=depth, channels=EQUAL[depth], block=block, seed=seed,
           **_extras(bypassed=depth > 0 and seed == 0, kept=(block, seed) == (0, 0)))
      for block, seed in ((0, 0), (1, 0), (2, 0), (0, 1)) for depth in range(4)),
    # Two draws of the twin, each with first weights and draws of its own, so that what differs between them is all that is
    # left to chance.
    *(run for draw in range(2) for run in _by_depth(f"twin-L{{}}-b{draw}-s{draw}", source="twin", block=draw, blocks=2,
                                                    seed=draw, snapshots=(50, 250, 500, 1000, 2000, 3000))),
    # Controls, on block 0: equal width, which ends with the series of equal size at depth 3; as many blocks without halving;
    # a narrower network and other learning rates; more training where the class is decided.
    *(run for seed in range(2) for run in _by_depth(f"narrow-L{{}}-s{seed}", range(3), channels=NARROW, seed=seed)),
    *_by_depth("flat-L{}", (1, 2, 3), channels=NARROW, halving=False),
    *(run for seed in range(2) for run in _by_depth(f"width-16-L{{}}-s{seed}", (1,), channels=16, seed=seed)),
    *_by_depth("slow-L{}", (0, 3), learning_rate=5e-4), *_by_depth("fast-L{}", (0, 3), learning_rate=2e-3),
    *_by_depth("broad-L{}", (0, 3), levels=(0.0, 1.6)),
    # Other data: 100 images, ten classes. A shallow network that sees the means of the whole image.
    *_by_depth("few-L{}", sizes=(90, 10)), *_by_depth("tail-L{}", source="tail", sizes=TAIL, blocks=2,
                                                          last=replace(_MEASURED, probes=1, linearized=1, settled=4)),
    *(run for seed in range(2) for run in _by_depth(f"context-L{{}}-s{seed}", (0,), channels=56, context=True, seed=seed)),
    # CelebA's blond men, .85 % of the images, at 64 pixels; its men, 41.68 %, and MNIST are other folders and sizes.
    *(_run(f"blond-men-L{depth}", "paper", depth=depth, channels=solve_width(depth, 4_000_000), source="blond-men",
           sizes=(9_915, 85), blocks=2, side=64, snapshots=(50, 1000, 5000, 20_000), sampler=50,
           last=replace(_MEASURED, samples=10_000, linearized=1)) for depth in range(1, 6))]
