"""Other kernels: the same computation on a processor as plain as this one can pretend to be.

Sums are taken in another order, by other instructions and by another number of threads, as they are on a reader's
machine. What changes with them is not a result. The field calls this stochastic arithmetic: Sohier et al. 2021, ACM
Trans. Math. Softw. 47, 10.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace

from nearsight.records.computing import Results, compute
from nearsight.records.runs import Run
from nearsight.records.sweeps import processes

THREADS = 3
PLAIN = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41",
         "OPENBLAS_CORETYPE": "Nehalem", "OMP_NUM_THREADS": str(THREADS)}
"""The environment of a process that computes plainly; the libraries read it once, when they are loaded."""


def compute_plainly(run: Run, stages: int | tuple[int, ...] | None = None, workers: int = 1) -> Results:
    """Carry out a run, or some of its stages, under PLAIN, on the CPU, in a fresh process with other threads."""
    other = replace(run, threads=THREADS if run.threads != THREADS else 1)
    with _environment(PLAIN), ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(_compute, other, stages, workers).result()


def _compute(run: Run, stages: int | tuple[int, ...] | None, workers: int) -> Results:
    with processes(workers, run.threads) if workers > 1 else nullcontext() as executor:
        return compute(run, stages, executor=executor)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables of the environment, for the processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
