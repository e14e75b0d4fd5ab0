"""The recipe of a training: a frozen configuration, and the random numbers that it names for each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearsight import checks
from nearsight.randomness import stream
from nearsight.training.objectives import LOSSES, LogNormal, VpClock


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a network is trained, in steps of AdamW without weight decay.

    snapshots      the steps after which the network is shown, rising; the last one ends the run, 0 is the untrained one
    batch          events a step, drawn with replacement
    learning_rate  of AdamW; `decay` "constant", or "cosine": times (1 + cos(pi k / steps)) / 2 at step k
    loss, levels   error and law of noise levels, see `objectives`; sigma_data is that of the "edm" weight
    classes        how many there are, for data with labels; label_dropout: share of labels replaced by that of none
    ema            averaged weights are e <- r e + (1 - r) w with r = min(ema, (k + 1) / (k + 10)) after step k;
                   buffers, such as the running means of a normalization, are those of the network
    clip           largest norm of the gradient; None: any
    bf16           whether the forward pass of a step runs under bfloat16 autocast; weights and averages stay float32
    seed           names batches, noise levels, noise and dropout; initial_seed the first weights (None: the seed too)
    """

    snapshots: tuple[int, ...]
    batch: int = 64
    learning_rate: float = 1e-3
    decay: str = "constant"
    loss: str = "edm"
    levels: LogNormal | VpClock = LogNormal()
    sigma_data: float = 0.5
    classes: int = 0
    label_dropout: float = 0.0
    ema: float = 0.999
    clip: float | None = None
    bf16: bool = False
    seed: int = 0
    initial_seed: int | None = None

    def __post_init__(self):
        checks.choice(self.decay, "decay", ("constant", "cosine"))
        checks.choice(self.loss, "loss", LOSSES)
        checks.positive(self.learning_rate, "learning_rate")
        checks.positive(self.sigma_data, "sigma_data")
        checks.counts(self.snapshots, "snapshots", at_least=0)
        checks.instance(self.levels, "levels", (LogNormal, VpClock), "LogNormal or VpClock")
        checks.count(self.batch, "batch")
        checks.count(self.classes, "classes", at_least=0)
        checks.share(self.label_dropout, "label_dropout")
        checks.share(self.ema, "ema")
        checks.whole(self.seed, "seed")
        if self.clip is not None:
            checks.positive(self.clip, "clip")
        if self.initial_seed is not None:
            checks.whole(self.initial_seed, "initial_seed")
        if any(a >= b for a, b in zip((-1, *self.snapshots), self.snapshots)):
            raise ValueError(f"snapshots are {self.snapshots}; expected rising steps >= 0: try log_steps(1, 1000, 10).")
        if self.label_dropout and not self.classes:
            raise ValueError(f"label_dropout is {self.label_dropout:g} with {self.classes} classes; expected 0 without "
                             "classes.")

    @property
    def steps(self) -> int:
        """The number of steps of the run."""
        return self.snapshots[-1]


class Draw(NamedTuple):
    """The random numbers of a step: indices [B] of the events, noise levels [B], noise [B, *event], whether the label
    of each [B] is dropped."""

    indices: Tensor
    sigma: Tensor
    eps: Tensor
    dropped: Tensor


def log_steps(first: int, last: int, count: int) -> tuple[int, ...]:
    """At most `count` whole steps from first >= 1 to last with equal ratios; those that round to one step are one."""
    first, last, count = checks.count(first, "first"), checks.count(last, "last"), checks.count(count, "count", at_least=2)
    if first > last:
        raise ValueError(f"log_steps({first}, {last}, {count}) came; expected 1 <= first <= last and a count >= 2.")
    return tuple(int(step) for step in np.unique(np.geomspace(first, last, count).round()))


def draw(config: Training, step: int, shape: torch.Size, device: torch.device | str = "cpu") -> Draw:
    """The random numbers of a step on data of `shape` [N, *event]: a function of config.seed and the step."""
    generator = stream(config.seed, step, device=device)
    indices = torch.randint(shape[0], (config.batch,), generator=generator, device=device)
    sigma = config.levels.draw(config.batch, generator)
    eps = torch.randn(config.batch, *shape[1:], generator=generator, device=device)
    dropped = torch.rand(config.batch, generator=generator, device=device) < config.label_dropout
    return Draw(indices, sigma, eps, dropped)
