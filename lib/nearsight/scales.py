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

written in a module of `nearsight.studies`, whose list SCALES is the one place where its sizes are chosen. The rules:

- Steps rise strictly and end at `config.steps`. What a stage holds is recorded; a stage without arrays only moves the
  progress bar. Yield the first arrays early: a stale record is verified by computing its opening stages again.
- The same configuration gives the same bits on the same machine. `work` says where and with whose help the work is
  done, never what comes out: randomness comes from `config.seed`.
- A run that was killed is called again with the same `work.folder` and with `work.after`, the last step whose arrays
  are stored. All stages behind it must come; those up to it need not be measured again. `nearsight.training` shows its
  earlier snapshots once more and goes on from the newest checkpoint in the folder; a sweep begins behind `work.after`.
- One thread a process. Independent parts go through `nearsight.sweeps.sweep(..., executor=work.executor)`.
- Import from the module that defines a thing, not from `nearsight` itself: the imports say on which sources a record
  rests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import Tensor


class Stage(NamedTuple):
    """A step of a computation and the arrays that are known from there on."""

    step: int
    arrays: Mapping[str, Tensor] = MappingProxyType({})


@dataclass(frozen=True)
class Work:
    """How a computation is carried out: folder for its checkpoints (None: keep none), last step already stored, who
    computes independent parts (None: this process), and the torch device."""

    folder: Path | None = None
    after: int = 0
    executor: Executor | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class Run:
    """One computation with one configuration.

    `tolerance` bounds, on machines other than the recording one, the largest difference of an array from its recorded
    twin as a share of the twin's largest entry.
    """

    name: str
    computation: Callable[..., Iterator[Stage]]
    config: Any
    scale: str = "own"
    tolerance: float = 1e-3

    def __post_init__(self):
        if not is_dataclass(self.config) or not type(self.config).__dataclass_params__.frozen:
            raise TypeError(f"the configuration of {self.name} is a {type(self.config).__name__}; expected an instance "
                            "of a frozen dataclass: try @dataclass(frozen=True).")
        for field in ("steps", "seed"):
            if not isinstance(getattr(self.config, field, None), int):
                raise TypeError(f"the configuration of {self.name} has no whole number {field!r}; expected `steps`, "
                                "the step of the last stage, and `seed`.")


@dataclass(frozen=True)
class Scales:
    """One computation at its three sizes; its runs are called name-smoke, name-laptop and name-paper."""

    name: str
    computation: Callable[..., Iterator[Stage]]
    smoke: Any
    laptop: Any
    paper: Any
    tolerance: float = 1e-3

    @property
    def runs(self) -> list[Run]:
        return [Run(f"{self.name}-{scale}", self.computation, getattr(self, scale), scale, self.tolerance)
                for scale in ("smoke", "laptop", "paper")]


def runs() -> list[Run]:
    """Return the runs of all studies, in the order of their modules."""
    # Found by name and not imported above: a study imports this module, not the other way round.
    studies = import_module("nearsight.studies")
    modules = [import_module(f"nearsight.studies.{found.name}") for found in iter_modules(studies.__path__)]
    return [run for module in modules for scales in getattr(module, "SCALES", []) for run in scales.runs]


def find(name: str) -> Run:
    """Return the run of that name."""
    known = {run.name: run for run in runs()}
    if name not in known:
        raise ValueError(f"there is no run {name!r}; expected one of {', '.join(known)}.")
    return known[name]
