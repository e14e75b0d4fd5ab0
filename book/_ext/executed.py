"""Executed chapters: what an output depends on, where it is kept, and how all chapters are executed side by side.

Jupyter's execution cache knows a notebook's cells and not the library they call. So each chapter has a cache of its own,
in a folder named by a digest of everything else that its outputs depend on: the definitions it reaches, the records it
names, the data that ship with the library, the pinned versions, and the variables that choose the kernels. A chapter is
executed again when one of these has changed, and no page shows an output of an older library.

    python book/_ext/executed.py _build                       # every chapter whose outputs are missing
    python book/_ext/executed.py _build notebooks/01_denoisers.py
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded: chapters share the cores by running side by side

import hashlib
import re
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jupytext
from filelock import FileLock
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nearsight.records.digests import meaning, script_digest
from nearsight.records.kernels import PLAIN
from nearsight.studies import runs

ROOT = Path(__file__).resolve().parents[2]
LIBRARY, RECORDED, LOCK = (ROOT / name for name in ("lib/nearsight", "book/recorded", "requirements.lock"))
WATCH = LIBRARY / "page" / "legibility.py"  # leaves what cannot be read of a figure in the metadata of its output
TIMEOUT = 900  # seconds, for each cell
BY_NAME = ("nearsight.studies.find", "nearsight.studies.runs")  # they reach every study: those named count instead


def chapters() -> list[Path]:
    """Return the scripts of all chapters, the longest first: it tends to take longest."""
    return sorted((ROOT / "notebooks").glob("*.py"), key=lambda path: -path.stat().st_size)


def key(chapter: Path) -> str:
    """Return a digest of what a chapter's outputs depend on beside the text of its cells."""
    total, named = hashlib.sha256(script_digest(chapter, BY_NAME).encode()), named_in(chapter)
    for run in runs():
        if named(run.name):
            total.update(f"{run.name} {meaning(run.computation, run.config).digest} {run.config}\n".encode())
    data = (path for path in LIBRARY.rglob("*") if path.suffix != ".py" and "__pycache__" not in path.parts)
    records = (path for path in RECORDED.glob("*/*") if named(path.parent.name))
    for file in sorted(path for path in (LOCK, WATCH, *data, *records) if path.is_file()):
        content = file.read_bytes()
        total.update(f"{file.relative_to(ROOT).as_posix()}\0{len(content)}\0".encode() + content)
    total.update(repr([os.environ.get(name) for name in sorted(PLAIN)]).encode())
    return total.hexdigest()[:16]


def named_in(chapter: Path) -> Callable[[str], bool]:
    """Return whether a chapter names a run; it names all of them where it lists them or computes a name."""
    text = chapter.read_text("utf8")
    every = re.search(r"\b(runs|recorded)\(|\bfind\((?![\"'])", text)
    return lambda name: bool(every) or name in text


def cache_folder(chapter: Path, build: Path) -> Path:
    """Return the folder of the execution cache that belongs to a chapter and its sources as they are now."""
    return build / "executed" / chapter.stem / key(chapter)


def executed(chapter: Path, folder: Path):
    """Return (notebook with its outputs, seconds that it took, whether it was executed just now).

    `folder` is the chapter's `cache_folder`; what lies beside it is outdated and dropped. Processes that ask for the same
    chapter wait for the first one. Raises RuntimeError, with the chapter, the line and the error's own words, where a cell
    fails.
    """
    notebook = jupytext.read(chapter, fmt="py:percent")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / "lock"):
        for left in set(folder.parent.iterdir()) - {folder, folder.parent / "lock"}:
            shutil.rmtree(left)
        cache, anew = get_cache(folder), False
        try:
            record = cache.match_cache_notebook(notebook)
        except KeyError:
            data, anew = {"execution_seconds": execute(notebook, chapter)}, True
            record = cache.cache_notebook_bundle(CacheBundleIn(notebook, str(chapter), data=data),
                                                 check_validity=False, overwrite=True)
        _, whole = cache.merge_match_into_notebook(notebook)
    return whole, record.data["execution_seconds"], anew


def execute(notebook, chapter: Path) -> float:
    """Execute a chapter's cells in place, in the folder of its script; return the seconds that they took."""
    begun = []
    client = NotebookClient(notebook, timeout=TIMEOUT, resources={"metadata": {"path": chapter.parent}},
                            extra_arguments=[f"--IPKernelApp.extensions=nearsight.page.{WATCH.stem}"], record_timing=False,
                            on_cell_execute=lambda cell, cell_index: begun.append(cell))
    start = time.perf_counter()
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise RuntimeError(failure(error, begun, chapter)) from error
    return time.perf_counter() - start


def failure(error: Exception, begun: list, chapter: Path) -> str:
    """Say in one sentence where a chapter failed and how: its file and line, the cell, the error's own words."""
    line = chapter.read_text("utf8").partition(begun[-1].source)[0].count("\n") + 1
    words, code = f"{error}", begun[-1].source.partition("\n")[0]
    if isinstance(error, CellExecutionError):
        words = f"{error.ename}: {error.evalue}" if error.evalue else error.ename
        trace = "\n".join(frame for output in begun[-1].outputs for frame in output.get("traceback", []))
        # The frame of the cell comes first.
        arrow = re.search(r"^-+> ?(\d+) (.*)$", re.sub(r"\x1b\[[\d;]*m", "", trace), re.MULTILINE)
        if arrow:
            line, code = line + int(arrow[1]) - 1, arrow[2]
    words = " ".join(words.split())
    return f"{chapter.relative_to(ROOT).as_posix()}, line {line} (code cell {len(begun)}: {code.strip()}): {words[:600]}"


def main(build: str, *names: str) -> int:
    """Execute the chapters whose outputs are missing, as many at once as their threads leave cores for."""
    wanted = [Path(name).resolve() for name in names] or chapters()
    folders = [cache_folder(chapter, Path(build).resolve()) for chapter in wanted]
    for left in Path(build, "executed").glob("*"):
        if left.name not in {chapter.stem for chapter in chapters()}:
            shutil.rmtree(left)

    def one(chapter: Path, folder: Path) -> str | None:
        try:
            _, seconds, anew = executed(chapter, folder)
        except RuntimeError as error:
            return f"{error}"
        if anew:  # in one write, the line's end with it: other threads print, too
            print(f"{chapter.relative_to(ROOT).as_posix()}: executed in {seconds:.0f} s\n", end="", flush=True)
        return None

    with ThreadPoolExecutor(max(1, os.cpu_count() // int(os.environ["OMP_NUM_THREADS"]))) as pool:
        failures = [sentence for sentence in pool.map(one, wanted, folders) if sentence]
    for sentence in failures:
        print(f"nearsight: {sentence}", file=sys.stderr)
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
