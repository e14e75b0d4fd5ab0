"""The rules of style of pyproject.toml and notebooks/ruff.toml hold: ruff, with each rule's reason beside it."""

import subprocess
import sys

import pytest
from conftest import ROOT

RUFF = [sys.executable, "-m", "ruff", "check", "--no-cache"]


def test_ruff_has_nothing_to_say():
    done = subprocess.run([*RUFF, ROOT], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("chapter, faults", [
    ('# %% mystnb={"figure": {"caption": "' + "A header may be as long as its caption. " * 9 + '"}}\nx = 1\nx;\nx\n', []),
    ("# %%\n# " + "a" * 86 + "\nx = 1  # " + "a" * 79 + "\n", []),
    ("# %%\n# " + "a b " * 22 + "c\n", ["E501"]),
    ("# %%\nx = [" + "1, " * 30 + "1]\n", ["E501"]),
    ("# %% [markdown]\n# | " + "a | " * 30 + "b |\n", []),
    ("# %%\nimport torch\nimport math\n\nprint(math, torch)\n", ["I001"]),
    ("# %%\nprint(unknown)\n", ["F821"]),
    ("# %%\nimport math\n\nprint(math)\n\n# %%\nimport math\n\nprint(math)\n", []),
])
def test_the_rules_of_chapters(chapter, faults):
    command = [*RUFF, "--output-format", "concise", "--stdin-filename", ROOT / "notebooks" / "planted.py", "-"]
    said = subprocess.run(command, input=chapter, capture_output=True, text=True).stdout.splitlines()
    assert [line.split()[1] for line in said if "planted.py:" in line] == faults
