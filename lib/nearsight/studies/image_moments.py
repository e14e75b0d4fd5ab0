"""Networks of study 4 at named moments of their training: more samples than are taken at every checkpoint, and weights.

A moment is one of the network's own checkpoints, found in its record: where its preference begins, where its held-out loss
is least, where it ends. The network is trained again up to there, on the same machine to the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from nearsight.networks.preconditioned import Preconditioned
from nearsight.randomness import stream
from nearsight.records.computing import Results
from nearsight.records.runs import Run, Stage, Work
from nearsight.sampling import sample
from nearsight.studies.image_measures import GRID, STUDY, Ground, in_batches
from nearsight.studies.images import EVERY, ImageNetwork, prepared, untrained
from nearsight.studies.images import SCALES as NETWORKS
from nearsight.training.loop import Snapshot, train

MOMENTS = (510, 1432, 2400)
WEIGHT = "weight/"


@dataclass(frozen=True)
class Moments:
    """Of which network, at which of its checkpoints, and how many samples: at most 2,048, the images of V and H."""

    network: ImageNetwork
    moments: tuple[int, ...] = MOMENTS
    samples: int = 2048

    def __post_init__(self):
        if unknown := set(self.moments) - set(self.network.recipe.snapshots):
            raise ValueError(f"moments are {self.moments}; expected checkpoints of the network, without {sorted(unknown)}: "
                             f"{self.network.recipe.snapshots}.")

    @property
    def steps(self) -> int:
        """The last moment."""
        return self.moments[-1]

    @property
    def seed(self) -> int:
        """That of the network."""
        return self.network.seed

    @property
    def standing(self) -> int:
        """The network's first checkpoint stands for the run."""
        return 1


def image_samples(config: Moments, work: Work = Work()) -> Iterator[Stage]:
    """Train the network again; yield at each moment its `samples` [m, H, W], uint8 as an image file has them.

    The first 1,024 are those that the network's record counts. At the first checkpoint `loss`, the mean training loss until
    there, stands for the run. Cost on one core at laptop scale: .3 s a step, and 90 s a moment.
    """
    ground, snapshots = _trained(config, work)
    for step, losses, _, average in snapshots:
        arrays = {}
        if step in config.moments and step > work.after:
            drawn = draw(average, ground, config.samples)
            arrays["samples"] = (255 * ground.scaling.pixels(drawn[:, 0])).round().byte()
        if step == config.network.first and step > work.after:
            arrays["loss"] = losses.mean()
        yield Stage(step, arrays)


def image_weights(config: Moments, work: Work = Work()) -> Iterator[Stage]:
    """Train the network again; yield its averaged weights, float16, at the last moment, and `loss` at the first checkpoint
    as `image_samples` does. `recorded_network` makes a denoiser of them. Cost on one core at laptop scale: .3 s a step."""
    _, snapshots = _trained(config, work)
    for step, losses, _, average in snapshots:
        arrays = {}
        if step == config.network.first and step > work.after:
            arrays["loss"] = losses.mean()
        if step == config.steps:
            arrays |= {WEIGHT + name: weight.half() for name, weight in average.state_dict().items()}
        yield Stage(step, arrays)


def recorded_network(config: Moments, results: Results) -> Preconditioned:
    """The denoiser whose weights an `image_weights` run has recorded, in float32, evaluation mode, without gradients."""
    network = untrained(config.network)
    network.load_state_dict({name.removeprefix(WEIGHT): weight.float() for name, weight in results.final.items()
                             if name.startswith(WEIGHT)})
    return network.requires_grad_(False).eval()


@torch.no_grad()
def draw(network: nn.Module, ground: Ground, count: int) -> Tensor:
    """Samples [count, 1, H, W] from the latents that all networks share, the first of which `image_measures.draw` takes;
    with classes, the i-th has the label of the i-th image of V, then of H."""
    shape = (count, *ground.stopping.shape[1:])
    latents = GRID[0].float() * torch.randn(shape, generator=stream(STUDY, 0))
    labels = None if ground.labels is None else torch.cat([ground.labels["stopping"], ground.labels["report"]])[:count]
    return sample(in_batches(network, labels), latents.to(ground.stopping.device), GRID)


def _trained(config: Moments, work: Work) -> tuple[Ground, Iterator[Snapshot]]:
    """What the network is measured on, and its training up to the last moment."""
    network = config.network
    ground, labels = prepared(network, work.device)
    snapshots = train(network.recipe, partial(untrained, network), ground.trained, labels, work.folder, EVERY, work.device)

    def until_the_last() -> Iterator[Snapshot]:
        for snapshot in snapshots:
            yield snapshot
            if snapshot.step >= config.steps:
                return

    return ground, until_the_last()


def _label(network: ImageNetwork) -> str:
    return f"{network.size}-b{network.block}-s{network.seed}"


_SMOKE = next(run.config for run in NETWORKS if run.scale == "smoke")
_CROSSED = [ImageNetwork(block=block, seed=seed, raw=block < 2) for block in range(4) for seed in range(2)]
SCALES = [
    Run("image-samples-smoke", image_samples, Moments(_SMOKE, (60,), 64), "smoke", on_device=True),
    Run("image-weights-smoke", image_weights, Moments(_SMOKE, (60,)), "smoke", on_device=True),
    *(Run(f"image-samples-{_label(network)}-laptop", image_samples, Moments(network), "laptop", on_device=True)
      for network in _CROSSED),
    *(Run(f"image-weights-{_label(network)}-{moment}-laptop", image_weights, Moments(network, (moment,)), "laptop",
          on_device=True)
      for network in _CROSSED if network.seed == 0 and network.block < 2 for moment in MOMENTS)]
