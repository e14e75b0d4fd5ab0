"""Carrying out a run: stage by stage, on as many threads as it names, going on where a killed process stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch
from safetensors import safe_open
from safetensors.torch import save
from threadpoolctl import threadpool_limits
from torch import Tensor

from nearsight.files import write_whole
from nearsight.records.runs import Run, Stage, Work

LARGEST = 3_000_000  # bytes of a record: small enough for a repository


@dataclass(frozen=True, eq=False)
class Results:
    """The stages of a run that hold arrays, and the seconds that they took."""

    stages: tuple[Stage, ...]
    seconds: float

    @property
    def steps(self) -> list[int]:
        """The steps of the stages."""
        return [stage.step for stage in self.stages]

    @property
    def arrays(self) -> dict[tuple[int, str], Tensor]:
        """All arrays, by step and name."""
        return {(step, name): array for step, arrays in self.stages for name, array in arrays.items()}

    @property
    def final(self) -> dict[str, Tensor]:
        """Each array as it was last seen."""
        return {name: array for (_, name), array in self.arrays.items()}

    def curve(self, name: str) -> tuple[Tensor, Tensor]:
        """Return the steps [S] at which an array was recorded and its values there [S, ...]."""
        found = [(stage.step, stage.arrays[name]) for stage in self.stages if name in stage.arrays]
        if not found:
            raise KeyError(f"no array {name!r} here; there are {', '.join(sorted(self.final))}.")
        return torch.tensor([step for step, _ in found]), torch.stack([array for _, array in found])

    def __repr__(self) -> str:
        return f"Results({len(self.stages)} stages of {', '.join(sorted(self.final))}, {self.seconds:,.1f} s)"


def compute(run: Run, stages: int | tuple[int, ...] | None = None, folder: Path | None = None,
            executor: Executor | None = None, device: str = "cpu",
            progress: Callable[[int], None] = lambda step: None) -> Results:
    """Carry out a run, or a part of it.

    stages     how many of the first stages that hold arrays, or the steps of some; None: all
    folder     where every stage is stored when it is done; a second call goes on behind the last one
    progress   called with each step that is reached

    Raises ValueError for a device that the run does not use, and RuntimeError where the computation breaks the rules of
    `nearsight.records.runs`: steps that do not rise or do not end at `config.steps`, values that are no tensors, or more
    than 3 MB.
    """
    run.check_device(device)
    only = stages if isinstance(stages, tuple) else None
    last, most = (max(only), len(only)) if only else (run.config.steps, stages)
    done, seconds = _stored(folder)
    after = done[-1].step if done else 0
    work = Work(folder / "checkpoints" if folder else None, after, only, executor, device)
    progress(after)
    with own_settings(run.threads):
        clock = perf_counter()
        for step, arrays in run.computation(run.config, work) if after < last else ():
            progress(step)
            if not arrays or step <= after or (only and step not in only):
                continue
            stage = _checked(run, Stage(step, arrays), done)
            now = perf_counter()
            if folder:
                _store(folder, stage, now - clock)
            done, seconds, clock = [*done, stage], seconds + now - clock, now
            if len(done) == most:
                return Results(tuple(done), seconds)
    if not done or done[-1].step != last:
        raise RuntimeError(f"{run.name} ended at step {done[-1].step if done else 0}; expected its last arrays at "
                           f"{'the stage asked for' if only else 'config.steps'} = {last}.")
    return Results(tuple(done), seconds)


@contextmanager
def own_settings(threads: int) -> Iterator[None]:
    """Let a run not depend on what its caller has set: torch and numpy use so many threads (with one, sums are taken in
    one order on any number of cores), torch makes float32 where no dtype is named, and on a GPU rounds no factor to TF32."""
    precisions = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)
    before = torch.get_num_threads(), torch.get_default_dtype(), [each.fp32_precision for each in precisions]
    _set(threads, torch.float32, zip(precisions, ("ieee", "ieee")))
    try:
        with threadpool_limits(threads):
            yield
    finally:
        _set(*before[:2], zip(precisions, before[2]))


def _set(threads: int, dtype: torch.dtype, precisions: Iterable[tuple]) -> None:
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)
    for backend, precision in precisions:
        backend.fp32_precision = precision


def _checked(run: Run, stage: Stage, done: list[Stage]) -> Stage:
    """Return the stage with arrays that own their memory, after checking the rules."""
    if done and stage.step <= done[-1].step:
        raise RuntimeError(f"{run.name} yielded step {stage.step} after step {done[-1].step}; expected rising steps.")
    for name, array in stage.arrays.items():
        if not isinstance(array, Tensor):
            raise RuntimeError(f"{run.name} yielded a {type(array).__name__} as {name!r}; expected a tensor: try "
                               "torch.as_tensor, with dtype=torch.float64 for a Python number.")
    # A copy: a network's weights, say, are changed in place by the next step.
    copied = Stage(stage.step, {name: array.detach().cpu().clone(memory_format=torch.contiguous_format)
                                for name, array in stage.arrays.items()})
    size = sum(array.nbytes for each in (*done, copied) for array in each.arrays.values())
    if size > LARGEST:
        raise RuntimeError(f"{run.name} has yielded {size:,} bytes up to step {stage.step}; expected at most "
                           f"{LARGEST:,} in all: record fewer samples, or weights in half precision.")
    return copied


def _store(folder: Path, stage: Stage, seconds: float) -> None:
    write_whole(folder / f"stage-{stage.step:012d}.safetensors", save(stage.arrays, {"seconds": repr(seconds)}))


def _stored(folder: Path | None) -> tuple[list[Stage], float]:
    """Return the stages that an earlier process left in the folder, and the seconds that they took."""
    stages, seconds = [], 0.0
    for path in sorted(folder.glob("stage-*.safetensors")) if folder else ():
        with safe_open(path, framework="pt") as file:
            step = int(path.stem.removeprefix("stage-"))
            names = file.keys()  # of what is no dict
            stages.append(Stage(step, {name: file.get_tensor(name) for name in names}))
            seconds += float(file.metadata()["seconds"])
    return stages, seconds
