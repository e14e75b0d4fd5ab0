"""What is computed, and at which size: smoke (seconds, for tests), laptop (what the book shows), paper (as published).

A long computation is a generator of stages, a function of a frozen configuration and nothing else:

    @dataclass(frozen=True)
    class Pair:
        learning_rate: float = 1e-3
        steps: int = 1000               # the step of the last stage
        seed: int = 0

    def train_pair(config: Pair, work: Work = Work()) -> Iterator[Stage]:
        ...
        yield Stage(step, {"loss": loss})

    SCALES = [Scales("pair", train_pair, smoke=Pair(steps=20), laptop=Pair(), paper=Pair(steps=10**6))]

written in a module of `nearsight.studies`, whose list SCALES is the one place where its sizes are chosen. Where one scale
takes many runs, such as a network each, the list holds them one by one. The rules:

- Steps rise strictly and end at `config.steps`. What a stage holds is recorded; a stage without arrays only moves the
  progress bar. Yield the first arrays early: a stale record is verified by computing some stages again.
- Those are the first two, or the steps that a property `standing` of the configuration names: together they should meet
  every width, size and branch of the computation.
- The same configuration gives the same bits on the same machine. `work` says where and with whose help the work is
  done, never what comes out: randomness comes from `config.seed`.
- A run that was killed is called again with the same `work.folder` and with `work.after`, the last step whose arrays
  are stored. All stages behind it must come; those up to it need not be measured again. `nearsight.training` shows its
  earlier snapshots once more and goes on from the newest checkpoint in the folder; stages that are independent of each
  other go through `nearsight.records.sweeps.stages`, which takes only those that are asked for.
- What is recorded is determined: other kernels, which take sums in another order, change it by rounding alone. That is
  measured in those stages when a run is recorded (`nearsight.records.tolerances`), and an array that fails is refused. An
  array that none of them has is not measured: weights that are kept to be used, and what is sampled with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Stage(NamedTuple):
    """A step of a computation and the arrays that are known from there on."""

    step: int
    arrays: Mapping[str, Tensor] = MappingProxyType({})


@dataclass(frozen=True)
class Work:
    """How a computation is carried out: folder for its checkpoints (None: keep none), last step already stored, the
    only steps that are asked for (None: all), who computes independent parts (None: this process), the torch device."""

    folder: Path | None = None
    after: int = 0
    only: tuple[int, ...] | None = None
    executor: Executor | None = None
    device: str = "cpu"

    def todo(self, steps: int) -> list[int]:
        """Those of the steps 1 .. steps that are asked for."""
        return [step for step in range(self.after + 1, steps + 1) if self.only is None or step in self.only]


@dataclass(frozen=True)
class Run:
    """One computation with one configuration: `threads` that torch may use, and whether it computes on `work.device`."""

    name: str
    computation: Callable[..., Iterator[Stage]]
    config: Any
    scale: str = "own"
    threads: int = 1
    on_device: bool = False

    def __post_init__(self):
        if not is_dataclass(self.config) or not type(self.config).__dataclass_params__.frozen:
            raise TypeError(f"the configuration of {self.name} is a {type(self.config).__name__}; expected an instance "
                            "of a frozen dataclass: try @dataclass(frozen=True).")
        for field in ("steps", "seed"):
            if not isinstance(getattr(self.config, field, None), int):
                raise TypeError(f"the configuration of {self.name} has no whole number {field!r}; expected `steps`, "
                                "the step of the last stage, and `seed`.")

    @property
    def runs(self) -> list[Run]:
        """This run: one that is listed by itself."""
        return [self]

    @property
    def standing(self) -> int | tuple[int, ...]:
        """The stages that stand for the run: how many of the first, or the steps that the configuration names."""
        return getattr(self.config, "standing", 2)

    def check_device(self, device: str) -> None:
        """Raise ValueError where the run would not compute on that device."""
        if torch.device(device).type != "cpu" and not self.on_device:
            raise ValueError(f"{self.name} computes on the CPU whatever the device, and {device!r} was asked for: "
                             "leave the device out.")


@dataclass(frozen=True)
class Scales:
    """One computation at its three sizes; its runs are called name-smoke, name-laptop and name-paper."""

    name: str
    computation: Callable[..., Iterator[Stage]]
    smoke: Any
    laptop: Any
    paper: Any
    threads: int = 1
    on_device: bool = False

    @property
    def runs(self) -> list[Run]:
        return [Run(f"{self.name}-{scale}", self.computation, getattr(self, scale), scale, self.threads, self.on_device)
                for scale in ("smoke", "laptop", "paper")]
