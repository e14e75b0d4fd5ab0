"""Experiments on networks of study 4 whose weights are recorded: which weights, and the stages of an experiment.

An experiment is a function of its configuration as any computation, so the configuration names the weights by the SHA-256
of the file that holds them. It is read from their manifest when the runs are listed: where other weights have been recorded
since, a record of the experiment has another configuration than its run, and is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from safetensors.torch import load
from torch import Tensor

from nearsight.files import sha256
from nearsight.networks.preconditioned import Preconditioned
from nearsight.records.computing import Results
from nearsight.records.manifests import Manifest, RecordRefused
from nearsight.records.runs import Run, Stage, Work
from nearsight.records.store import ROOT
from nearsight.studies.image_measures import Ground
from nearsight.studies.image_moments import MOMENTS, Moments, image_weights, recorded_network
from nearsight.studies.images import SCALES as NETWORKS
from nearsight.studies.images import ImageNetwork, prepared

BEST, EARLY = 1252, 428  # checkpoints of the networks with classes: that of their least loss on V, and one at a third
Measure = Callable[["Experiment", list[Preconditioned], Ground], dict[str, Tensor]]


@dataclass(frozen=True)
class Weights:
    """The weights of a network at a moment: the run that records them, its configuration, and the SHA-256 of its arrays;
    "" where they are not recorded, None where they are trained anew, which networks of the smoke scale are."""

    run: str
    moments: Moments
    digest: str | None = None


@dataclass(frozen=True)
class Experiment:
    """Networks of disjoint blocks 0, 1, ... at one moment after the other: `weights[moment][block]`.

    images   of each set that is noised, at most the size of a block and 1,024
    samples  drawn of each network, at most 1,024, of which `pictures` are kept
    curve    images of each set on the error curves
    """

    weights: tuple[tuple[Weights, ...], ...]
    images: int = 256
    samples: int = 512
    pictures: int = 16
    curve: int = 64

    @property
    def steps(self) -> int:
        """The number of moments: a stage each."""
        return len(self.weights)

    @property
    def seed(self) -> int:
        """That of the networks."""
        return self.weights[0][0].moments.seed

    @property
    def standing(self) -> int:
        """The first stage stands for the run: all have the same arrays, by the same code."""
        return 1


def each_moment(config: Experiment, work: Work, measure: Measure) -> Iterator[Stage]:
    """Yield at each moment what `measure` finds of the networks there. The ground is that of the first network's design."""
    ground = None
    for step in work.todo(config.steps):
        ground = ground or prepared(config.weights[0][0].moments.network, work.device)[0]
        networks = [network_of(weights).to(work.device) for weights in config.weights[step - 1]]
        with torch.no_grad():
            yield Stage(step, measure(config, networks, ground))


def as_owner(ground: Ground, block: int) -> Ground:
    """The same ground as a network sees it that was trained on another block."""
    return replace(ground, own=block, trained=ground.blocks[block])


def network_of(weights: Weights) -> Preconditioned:
    """The network with these weights, as `image_moments.recorded_network` has it.

    Raises ValueError where they are not recorded, or no longer those of the configuration."""
    if weights.digest is None:
        *_, last = image_weights(weights.moments)
        return recorded_network(weights.moments, Results((last,), 0.0))
    path = ROOT / weights.run / f"results-{weights.digest[:12]}.safetensors"
    content = path.read_bytes() if weights.digest and path.exists() else b""
    if sha256(content) != weights.digest:
        raise ValueError(f"the weights of {weights.run} are not recorded, or others are than were listed; expected those "
                         f"with SHA-256 {weights.digest or '(none yet)'}: `make reproduce RUN={weights.run}` first.")
    arrays = {name.partition("/")[2]: array for name, array in load(content).items()}
    return recorded_network(weights.moments, Results((Stage(weights.moments.steps, arrays),), 0.0))


def stacked(found: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The arrays of all, along a new first axis."""
    return {name: torch.stack([each[name] for each in found]) for name in found[0]}


def recorded(run: Run) -> Weights:
    """The weights that a run of `image_weights` has recorded, with their digest as its manifest has it."""
    try:
        digest, = Manifest.read(ROOT / run.name, run.name).files.values()
    except RecordRefused:
        digest = ""
    return Weights(run.name, run.config, digest)


def pair(moment: int) -> tuple[Run, ...]:
    """The runs that record the networks of blocks 0 and 1, seed 0, n = 512, at a moment."""
    return tuple(Run(f"image-weights-512-b{block}-s0-{moment}-laptop", image_weights,
                     Moments(ImageNetwork(block=block, raw=True), (moment,)), "laptop", on_device=True)
                 for block in range(2))


def told(moment: int) -> tuple[Run, ...]:
    """The runs that record the networks with ten classes of blocks 0, 1 and 2, at a moment."""
    networks = [ImageNetwork(block=block, blocks=3, condition="labels", steps=2800) for block in range(3)]
    return tuple(Run(f"image-weights-labels-b{network.block}-s0-{moment}-laptop", image_weights, Moments(network, (moment,)),
                     "laptop", on_device=True) for network in networks)


def scales(name: str, computation: Callable[..., Iterator[Stage]], **laptop) -> list[Run]:
    """The smoke and the laptop run of an experiment on the networks of blocks 0 and 1, at the three moments."""
    small = next(run.config for run in NETWORKS if run.scale == "smoke")
    smoke = tuple(Weights("", Moments(replace(small, block=block), (20,))) for block in range(2))
    return [Run(f"image-{name}-smoke", computation, Experiment((smoke,), 8, 8, 4, 4), "smoke", on_device=True),
            Run(f"image-{name}-laptop", computation,
                Experiment(tuple(tuple(map(recorded, pair(moment))) for moment in MOMENTS), **laptop), "laptop",
                on_device=True)]


# Of the networks with classes; those of the networks without are listed with their samples. Experiments come later in the
# list of all runs, since they read what these record.
SCALES = [*told(BEST), *told(EARLY)]
