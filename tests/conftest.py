"""What several test modules share: the order in which the cores take the tests, the built books, and a real browser."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from executed import chapters
from filelock import FileLock
from hypothesis import settings
from nearsight.records.kernels import PLAIN

# The tests work on small arrays, where a second thread mostly waits for the first.
torch.set_num_threads(1)
# Time is no test, and what fails here should fail again there: no deadline, the same examples in every run.
settings.register_profile("nearsight", deadline=None, derandomize=True)
settings.load_profile("nearsight")

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
# Each chapter is executed, and the book built, under two kinds of kernels: {kind: (environment, folder of _build)}.
KERNELS = {"native": ({}, ROOT), "plain": (PLAIN, ROOT / "_build" / "plain")}


CHAPTERS = [f"{path.stem}-{kernels}" for path in chapters() for kernels in reversed(KERNELS)]


def unit(nodeid: str) -> str:
    """Return what one process takes in one piece: a module of tests, or a chapter under one kind of kernels."""
    module, _, case = nodeid.partition("::")
    case = case.partition("[")[2].removesuffix("]")
    return case if case in CHAPTERS else module


def pytest_collection_modifyitems(items):
    """Put the chapters first, the longest at the head: whoever needs a built book then finds them executed."""
    units = {item: unit(item.nodeid) for item in items}
    items.sort(key=lambda item: CHAPTERS.index(units[item]) if units[item] in CHAPTERS else len(CHAPTERS))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Deal the units out in their order. (xdist_group marks would say the same, but xdist 3.8 loses them on pytest 9.)"""
    from xdist.scheduler import LoadScopeScheduling

    class Units(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return unit(nodeid)

    return Units(config, log)


def plain_make() -> dict[str, str]:
    """The environment without what `make test` tells the makes below it, which would have them say more."""
    return {name: value for name, value in os.environ.items() if name not in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS")}


def make_book(root: Path, output: Path | None = None, environment: dict[str, str] | None = None) -> str:
    """Run `make book` at `root` with this environment's programs; return what it printed."""
    command = ["make", "book", f"BIN={Path(sys.executable).parent}", f"OUTPUT={output or '.'}"]
    done = subprocess.run(command, cwd=root, env=plain_make() | (environment or {}), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        pytest.fail(f"`make book` failed:\n{done.stdout[-6000:]}", pytrace=False)
    return done.stdout


def built(kernels: str, shared: Path) -> Path:
    """Build the book under one kind of kernels, once in a session; return the folder of its pages."""
    environment, output = KERNELS[kernels]
    with FileLock(shared / f"{kernels}.lock"):
        if not (shared / kernels).exists():
            make_book(ROOT, output, environment)
            (shared / kernels).touch()
    return output / "_build" / "html"


@pytest.fixture(scope="session")
def shared(tmp_path_factory, worker_id) -> Path:
    """A folder that all processes of a session share."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.fixture(scope="session")
def book(shared) -> Path:
    """The folder of the built book; every test of a session reads the same one."""
    return built("native", shared)


@pytest.fixture(scope="session")
def plain_book(shared) -> Path:
    """The book as a processor would build it that has nothing but plain kernels, and three threads."""
    return built("plain", shared)


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium of the system; a module each, so that playwright's event loop ends with the module."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        pytest.fail("The tests of the built book need Chromium, and none is installed: "
                    "try `sudo apt-get install chromium`.", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield browser
        browser.close()
