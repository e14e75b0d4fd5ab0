"""One function over many configurations, by this process or by any `concurrent.futures.Executor`."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from nearsight.records.runs import Stage, Work

Config = TypeVar("Config")
Result = TypeVar("Result")


def sweep(function: Callable[[Config], Result], configs: Iterable[Config], executor: Executor | None = None
          ) -> Iterator[Result]:
    """Yield function(config) for each configuration, in their order.

    The executor may be a process pool, a Dask client's `get_executor()`, a Slurm executor; None computes here. The
    function is imported where it runs and takes its randomness from the configuration, so the results do not depend on
    who computes them, to the bit where all use as many threads. An error names the configuration at which it was met.
    """
    configs = list(configs)
    results = map(function, configs) if executor is None else executor.map(function, configs)
    for config in configs:
        try:
            result = next(results)
        except Exception as error:
            error.add_note(f"The sweep stopped at {config}.")
            raise
        yield result


def stages(function: Callable[[Config], dict[str, Tensor]], configs: Sequence[Config], work: Work) -> Iterator[Stage]:
    """Yield the stages of a computation that are independent of each other, those that are asked for.

    The arrays of the stage at step s are function(configs[s - 1]), computed by `work.executor`.
    """
    todo = work.todo(len(configs))
    for step, arrays in zip(todo, sweep(function, [configs[step - 1] for step in todo], work.executor), strict=True):
        yield Stage(step, arrays)


def processes(workers: int, threads: int = 1) -> ProcessPoolExecutor:
    """Return a pool of fresh processes with so many torch threads each.

    They are spawned, not forked: a fork of a process that has used torch's threads may hang.
    """
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), torch.set_num_threads, (threads,))
