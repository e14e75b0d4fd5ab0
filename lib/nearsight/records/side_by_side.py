"""Many runs at once, each in a process of its own: one that fails or is killed leaves the others alone.

A process is the command line itself, `python -m nearsight reproduce NAME`, so that a run computed among others is a run
computed alone. It tells its progress by lines of text.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from tqdm import tqdm

from nearsight.files import write_whole
from nearsight.records.manifests import Manifest
from nearsight.records.runs import Run
from nearsight.records.store import ROOT, state

PROGRESS = re.compile(r"^(\S+): step (\d+) of (\d+)$")


@dataclass(frozen=True)
class Outcome:
    """What became of a run: the exit status of its process, what it said last, and the files of its record."""

    run: str
    status: int
    said: str
    files: dict[str, bytes] = field(repr=False)


def progress_line(run: str, step: int, steps: int) -> str:
    """Return the line by which a process tells how far it is."""
    return f"{run}: step {step} of {steps}"


def reproduce_alone(run: str, device: str, heard: Callable[[str], None] = lambda line: None) -> Outcome:
    """Reproduce a run in a process of its own, here, and return what became of it; `heard` is called with each line."""
    command = [sys.executable, "-m", "nearsight", "reproduce", run, "--device", device]
    said = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in map(str.rstrip, process.stdout):
            heard(line)
            said = said if PROGRESS.match(line) else [*said, line][-20:]
    ended = f"its process was ended by signal {-process.returncode}" if process.returncode < 0 else ""
    folder = ROOT / run
    files = {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}
    return Outcome(run, process.returncode, ended or (said[-1] if said else "it said nothing"), files)


def reproduce_many(runs: list[Run], workers: int, device: str, scheduler: str | None = None) -> Iterator[Outcome]:
    """Yield what became of each run, as they end; `workers` at once here, or on the Dask cluster at `scheduler`.

    Here each run that is under way has a line with its progress; where there is no terminal, it tells each step in a line
    of its own. A record that was computed on another machine is brought here where there is no fresh one.
    """
    if scheduler is None:
        places = SimpleQueue()
        for place in range(workers):
            places.put(place)
        with ThreadPoolExecutor(workers) as executor:
            yield from _ended(runs, executor, partial(_reproduce_watched, device=device, places=places))
    else:
        from distributed import Client  # a test and a cluster need it, and no reader

        with Client(scheduler) as client:
            yield from _ended(runs, client.get_executor(), partial(reproduce_alone, device=device))


def _reproduce_watched(run: str, device: str, places: SimpleQueue) -> Outcome:
    """`reproduce_alone` with a line of progress, at a place of the terminal that is free."""
    place = places.get()
    with tqdm(desc=run, unit=" steps", position=place, leave=False, disable=None) as bar:
        def heard(line: str) -> None:
            found = PROGRESS.match(line)
            if bar.disable:
                print(line, flush=True)
            elif found:
                bar.total = int(found[3])
                bar.update(int(found[2]) - bar.n)

        outcome = reproduce_alone(run, device, heard)
    places.put(place)
    return outcome


def _ended(runs: list[Run], executor: Executor, carry_out: Callable[[str], Outcome]) -> Iterator[Outcome]:
    started = {executor.submit(carry_out, run.name): run for run in runs}
    for future in as_completed(started):
        outcome = _outcome(future, started[future].name)
        if outcome.status == 0 and state(started[future]) != "fresh":
            _bring_here(ROOT / outcome.run, outcome.files)
        yield outcome


def _outcome(future: Future, run: str) -> Outcome:
    """The outcome of a run; one that never got a process, as on a cluster that lost its worker, has failed."""
    try:
        return future.result()
    except Exception as error:
        return Outcome(run, 1, f"{type(error).__name__}: {error}", {})


def _bring_here(folder: Path, files: dict[str, bytes]) -> None:
    """Write the files of a record, its manifest last; then remove what it replaces."""
    for name in sorted(files, key=lambda name: name == Manifest.NAME):
        write_whole(folder / name, files[name])
    for left in {path.name for path in folder.iterdir()} - files.keys():
        (folder / left).unlink()

