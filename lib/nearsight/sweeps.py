"""One function over many configurations, by this process or by any `concurrent.futures.Executor`."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import TypeVar

import torch
from tqdm import tqdm

Config = TypeVar("Config")
Result = TypeVar("Result")


def sweep(function: Callable[[Config], Result], configs: Iterable[Config], executor: Executor | None = None,
          label: str | None = None) -> Iterator[Result]:
    """Yield function(config) for each configuration, in their order; with a label, under a progress bar of that name.

    The executor may be a process pool, a Dask client's `get_executor()`, a Slurm executor; None computes here. The
    function is imported where it runs and takes its randomness from the configuration, so the results do not depend on
    who computes them, to the bit where all use as many threads. An error names the configuration at which it was met.
    """
    configs = list(configs)
    results = map(function, configs) if executor is None else executor.map(function, configs)
    with tqdm(total=len(configs), desc=label, delay=5, disable=None if label else True) as bar:
        for config in configs:
            try:
                result = next(results)
            except Exception as error:
                error.add_note(f"The sweep stopped at {config}.")
                raise
            bar.update()
            yield result


def processes(workers: int) -> ProcessPoolExecutor:
    """Return a pool of fresh processes with one torch thread each.

    They are spawned, not forked: a fork of a process that has used torch's threads may hang.
    """
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,))
