"""Recomputing a recorded run: from nothing, to see it again, or its opening stages, to trust it after a tidy-up."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from nearsight.computing import Results, compute
from nearsight.files import sha256
from nearsight.manifests import RecordRefused, address, commit, machine, today
from nearsight.recorded import ROOT, Record, load, state, store
from nearsight.scales import Run
from nearsight.sources import combined, source_digests

_ABSENT = torch.empty(0)


@dataclass(frozen=True, eq=False)
class Difference:
    """An array of one stage, recorded and computed again.

    `largest` is the largest difference of an entry as a share of the largest recorded entry: 0 for equal bits, inf for
    another shape or dtype, for infinite or NaN in other places, and where one of the two is absent.
    """

    step: int
    name: str
    recorded: Tensor
    again: Tensor
    largest: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Recorded and recomputed stages side by side; `tolerance` is 0, equal bits, on the machine that recorded them."""

    differences: tuple[Difference, ...]
    tolerance: float

    @property
    def worst(self) -> Difference | None:
        """The largest difference at the first step that exceeds the tolerance; None where all agree."""
        failing = [each for each in self.differences if each.largest > self.tolerance]
        first = [each for each in failing if each.step == failing[0].step]
        return max(first, key=lambda each: each.largest, default=None)

    def __str__(self) -> str:
        if self.worst:
            return (f"step {self.worst.step}: {self.worst.name} differs by {self.worst.largest:.3g} of its largest "
                    f"entry; expected {self._allowed}")
        return f"{len(self.differences)} arrays up to step {self.differences[-1].step} agree: {self._allowed}"

    @property
    def _allowed(self) -> str:
        return f"at most {self.tolerance:g} on another machine" if self.tolerance else "equal bits on this machine"


def compare(run: Run, record: Record, again: Results, device: str = "cpu") -> Comparison:
    """Compare results that were just computed with the record, up to the last step that was computed."""
    here = record.manifest.machine == machine(device)
    old, new = ({(step, name): array for step, arrays in results.stages for name, array in arrays.items()
                 if step <= again.steps[-1]} for results in (record.results, again))
    pairs = [(key, old.get(key, _ABSENT), new.get(key, _ABSENT)) for key in sorted(old.keys() | new.keys())]
    differences = tuple(Difference(*key, *pair, largest_difference(*pair)) for key, *pair in pairs)
    return Comparison(differences, 0.0 if here else run.tolerance)


def largest_difference(recorded: Tensor, again: Tensor) -> float:
    """Return max |again - recorded| / max |recorded|, 0 only for equal bits."""
    if recorded.shape != again.shape or recorded.dtype != again.dtype or (recorded is _ABSENT) != (again is _ABSENT):
        return float("inf")
    if torch.equal(recorded.reshape(-1).view(torch.uint8), again.reshape(-1).view(torch.uint8)):
        return 0.0
    old, new = recorded.double(), again.double()
    if not all(torch.equal(kind(old), kind(new)) for kind in (torch.isnan, torch.isposinf, torch.isneginf)):
        return float("inf")
    gap = torch.where(old.isfinite(), new - old, 0.0).abs().max()
    # Other bits with equal values, as in -0.0, are still no equal bits: the least that a difference can be.
    return float(gap / torch.where(old.isfinite(), old, 0.0).abs().max()) if gap else torch.finfo(torch.float64).tiny


def reproduce(run: Run, executor: Executor | None = None, device: str = "cpu", root: Path = ROOT) -> Comparison | None:
    """Compute a run from nothing and return it beside its record; None where there is none to compare with.

    A fresh record stays as it is. A missing, corrupt or stale one is replaced. A process that was killed goes on where
    it stopped; of two processes at once the second one waits, and where the first has written the record, is done.
    """
    before = state(run, root)
    with only_writer(run, root):
        if before != "fresh" and state(run, root) == "fresh":
            return None
        # Taken before the work: what is on disk hours later may not be what was computed with.
        sources = source_digests(run.computation)
        unfinished = _unfinished(run, sources, device, root)
        results = compute(run, folder=unfinished, executor=executor, device=device)
        try:
            comparison = compare(run, load(run, root), results, device)
        except RecordRefused:
            comparison = None
        if before != "fresh":
            store(run, results, sources, device, root)
        shutil.rmtree(unfinished.parent)
    return comparison


def verify(run: Run, stages: int = 2, device: str = "cpu", root: Path = ROOT) -> Comparison:
    """Compute the opening stages of a run again and, if they agree, renew its manifest.

    The renewed manifest carries today's digests, and the former ones in its history. Where a stage differs nothing is
    written: the comparison says at which step and by how much. Raises RecordRefused where there is no record to verify.
    """
    with only_writer(run, root):
        record = load(run, root)
        sources = source_digests(run.computation)
        comparison = compare(run, record, compute(run, stages, device=device), device)
        if record.changed and not comparison.worst:
            kept = record.manifest
            former = {"digest": kept.digest, "sources": kept.sources, "commit": kept.commit, "replaced": today(),
                      "because": str(comparison)}
            replace(kept, sources=sources, digest=combined(sources), commit=commit(),
                    history=[*kept.history, former]).write(root / run.name)
    return comparison


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


def _unfinished(run: Run, sources: dict[str, str], device: str, root: Path) -> Path:
    """Return the folder of unfinished work: another one for another configuration, other sources or another machine."""
    key = " ".join((address(run), combined(sources), *machine(device).values()))
    return _workshop(root) / run.name / sha256(key.encode())[:12]


def _workshop(root: Path) -> Path:
    """Locks and unfinished work are kept beside the book, in the checkout's .nearsight, not in it."""
    return root.parents[1] / ".nearsight"
