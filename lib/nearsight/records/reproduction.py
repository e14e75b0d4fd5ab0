"""Recomputing a recorded run: from nothing, to see it again, or some of its stages, to trust it after a tidy-up."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout
from torch import Tensor

from nearsight.files import sha256
from nearsight.records.computing import Results, compute
from nearsight.records.digests import Meaning, meaning
from nearsight.records.kernels import compute_plainly
from nearsight.records.manifests import RecordRefused, commit, machine, plain_config, seal, today
from nearsight.records.runs import Run
from nearsight.records.store import ROOT, Record, load, state, store
from nearsight.records.sweeps import processes
from nearsight.records.tolerances import ABSENT, largest_difference, measured


@dataclass(frozen=True, eq=False)
class Difference:
    """An array of one stage, recorded and computed again: their `largest_difference`, and the tolerance for it, which is
    infinite for what is kept but not determined."""

    step: int
    name: str
    recorded: Tensor
    again: Tensor
    largest: float
    tolerance: float

    def __str__(self) -> str:
        allowed = f"at most {self.tolerance:.2g}" if self.tolerance else "equal bits"
        return f"step {self.step}: {self.name} differs by {self.largest:.3g} of its largest entry; expected {allowed}"


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Recorded and recomputed stages of a run side by side, and the machines on which both were computed."""

    run: str
    differences: tuple[Difference, ...]
    recorded_on: str
    computed_on: str

    @property
    def worst(self) -> Difference | None:
        """The largest difference, in units of its tolerance, at the first step where one exceeds it; None: all agree."""
        failing = [each for each in self.differences if each.largest > each.tolerance or each.largest == math.inf]
        first = [each for each in failing if each.step == failing[0].step]
        return max(first, key=lambda each: each.largest / min(each.tolerance or 1e-300, 1), default=None)

    def __str__(self) -> str:
        if self.worst:
            return str(self.worst)
        to_the_bit = not any(each.tolerance for each in self.differences)
        how = "equal bits on this machine" if to_the_bit else "each within its measured tolerance"
        if kept := sum(each.tolerance == math.inf for each in self.differences):
            how += f", where it has one: {kept} are kept without"
        return f"{len(self.differences)} arrays up to step {self.differences[-1].step} agree: {how}"

    __repr__ = __str__


def compare(record: Record, again: Results, device: str = "cpu", tolerances: dict[str, float] | None = None) -> Comparison:
    """Compare results that were just computed with the record, at the steps that were computed.

    Each array is held to its tolerance, those of the manifest where none are given. One that no standing stage has, such as
    the weights at the end of a long training, has none: it must be there, in its shape. With {} all are held to equal bits.
    """
    kept = record.manifest
    tolerances = kept.tolerances if tolerances is None else tolerances
    old = {key: array for key, array in record.results.arrays.items() if key[0] in again.steps}
    new = again.arrays
    pairs = {key: (old.get(key, ABSENT), new.get(key, ABSENT)) for key in sorted(old.keys() | new.keys())}
    differences = tuple(Difference(step, name, *pair, largest_difference(*pair),
                                   tolerances.get(name, math.inf) if tolerances else 0.0)
                        for (step, name), pair in pairs.items())
    return Comparison(kept.run, differences, *(", ".join(where[part] for part in ("processor", "capability"))
                                               for where in (kept.machine, machine(device))))


def reproduce(run: Run, executor: Executor | None = None, device: str = "cpu", root: Path = ROOT,
              progress: Callable[[int], None] = lambda step: None) -> Comparison | None:
    """Compute a run from nothing and return it beside its record; None where there is none to compare with.

    A fresh record stays as it is. A missing, corrupt or stale one is replaced, once the stages that stand for the run
    were computed by other kernels too, which gives each array its tolerance. A process that was killed goes on where it
    stopped; of two processes at once the second one waits, and where the first has written the record, is done. Raises
    ValueError, and keeps what was computed, where an array is not determined.
    """
    run.check_device(device)
    before = state(run, root)
    with only_writer(run, root):
        if before != "fresh" and state(run, root) == "fresh":
            return None
        # Taken before the work: what is on disk hours later may not be what was computed with.
        today_means = meaning(run.computation, run.config)
        unfinished = _unfinished(run, today_means, device, root)
        results = compute(run, folder=unfinished, executor=executor, device=device, progress=progress)
        try:
            record = load(run, root)
            comparison = compare(record, results, device, {} if _is_here(record, run, device) else None)
        except RecordRefused:
            comparison = None
        if before != "fresh":
            tolerances = measured(run.name, _standing(run, results), compute_plainly(run, run.standing))
            store(run, results, {"meaning": today_means, "device": device, "tolerances": tolerances}, root)
        shutil.rmtree(unfinished.parent)
    return comparison


def verify(run: Run, device: str = "cpu", workers: int = 1, formerly: str | None = None, root: Path = ROOT) -> Comparison:
    """Compute the stages that stand for a run again and, if they agree, renew its manifest.

    On the machine that recorded it they must agree to the bit, elsewhere within the measured tolerances. The renewed
    manifest carries today's digests, and the former one in its history; tolerances that it lacks are measured. Where a
    stage differs nothing is written: the comparison says at which step and by how much. `formerly` names the record of
    a run that was renamed; it takes the new name. Raises RecordRefused where there is no record to verify, and
    ValueError where an array is not determined.
    """
    run.check_device(device)
    source = replace(run, name=formerly or run.name)
    with only_writer(source, root):
        record = load(source, root)
        kept = record.manifest
        with processes(workers, run.threads) as executor:
            again = compute(run, run.standing, executor=executor if workers > 1 else None, device=device)
        tolerances = kept.tolerances
        if unmeasured := {name for _, name in again.arrays} - tolerances.keys():
            found = measured(run.name, again, compute_plainly(run, run.standing, workers))
            tolerances = kept.tolerances | {name: found[name] for name in unmeasured}
        comparison = compare(record, again, device, {} if _is_here(record, run, device) else tolerances)
        if (record.changed or unmeasured or formerly) and not comparison.worst:
            now = meaning(run.computation, run.config)
            former = {"digest": kept.digest, "commit": kept.commit, "replaced": today(), "because": str(comparison)}
            if formerly:
                (root / formerly).rename(root / run.name)
            replace(kept, run=run.name, computation=run.computation.__qualname__, config=plain_config(run),
                    command=f"make reproduce RUN={run.name}", digest=now.digest, definitions=now.definitions,
                    commit=commit(), tolerances=tolerances,
                    history=[*kept.history, former] if record.changed else kept.history).write(root / run.name)
    return comparison


def _is_here(record: Record, run: Run, device: str) -> bool:
    """Whether this machine and number of threads are those of the record, so that equal bits can be asked for."""
    return (record.manifest.machine, record.manifest.threads) == (machine(device), run.threads)


def _standing(run: Run, results: Results) -> Results:
    """The stages of the results that stand for the run."""
    chosen = run.standing if isinstance(run.standing, tuple) else results.steps[:run.standing]
    return replace(results, stages=tuple(stage for stage in results.stages if stage.step in chosen))


@contextmanager
def only_writer(run: Run, root: Path) -> Iterator[None]:
    """Wait until no other process works on this run. The system drops the lock of a process that dies."""
    path = _workshop(root) / f"{run.name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{run.name}: another process is working on this run; waiting for it.", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _unfinished(run: Run, means: Meaning, device: str, root: Path) -> Path:
    """Return the folder of unfinished work: another one for another configuration, meaning, machine or thread count."""
    key = seal({"config": plain_config(run), "meaning": means.digest, "machine": machine(device), "threads": run.threads})
    return _workshop(root) / run.name / sha256(key.encode())[:12]


def _workshop(root: Path) -> Path:
    """Locks and unfinished work are kept beside the records, not among them."""
    return root.parent / ".nearsight"
