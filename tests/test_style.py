"""The rules of style of pyproject.toml hold: ruff, with each rule's reason beside it."""

import subprocess
import sys

from conftest import ROOT


def test_ruff_has_nothing_to_say():
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", ROOT], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
