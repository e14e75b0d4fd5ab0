"""What several test modules share: the built book, and a real browser to open it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# The tests work on small arrays, where a second thread mostly waits for the first.
torch.set_num_threads(1)
# Time is no test, and what fails here should fail again there: no deadline, the same examples in every run.
settings.register_profile("nearsight", deadline=None, derandomize=True)
settings.load_profile("nearsight")

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]


def make_book(root: Path) -> str:
    """Run `make book` at `root` with this environment's programs; return what it printed."""
    command = ["make", "book", f"BIN={Path(sys.executable).parent}"]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        pytest.fail(f"`make book` failed:\n{done.stdout[-6000:]}", pytrace=False)
    return done.stdout


@pytest.fixture(scope="session")
def book() -> Path:
    """The folder of the built book; every test of a session reads the same one."""
    make_book(ROOT)
    return ROOT / "_build" / "html"


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
