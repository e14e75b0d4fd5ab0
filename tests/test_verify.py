"""A copy of the library is edited and asked, in a process of its own, what it thinks of a record made before."""

import ast
import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT


class Copy:
    """A checkout with the library and nothing else, in which `python -m nearsight` is run."""

    def __init__(self, root):
        self.root, self.library = root, root / "lib" / "nearsight"
        shutil.copytree(ROOT / "lib" / "nearsight", self.library, ignore=shutil.ignore_patterns("data", "__pycache__"))

    def __call__(self, *arguments: str) -> tuple[int, str]:
        """Exit status and what was said."""
        environment = os.environ | {"PYTHONPATH": str(self.root / "lib"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, "-m", "nearsight", *arguments], cwd=self.root, env=environment,
                              capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def edit(self, module: str, old: str, new: str) -> None:
        """Replace a text that must occur once."""
        path = self.library / module
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def recorded_copy(tmp_path_factory):
    copy = Copy(tmp_path_factory.mktemp("recorded"))
    code, said = copy("reproduce", "miniature-smoke")
    assert (code, said) == (0, "miniature-smoke was missing and is now recorded.\n")
    return copy


@pytest.fixture
def copy(recorded_copy, tmp_path):
    """A copy of the recorded copy, to be edited."""
    shutil.copytree(recorded_copy.root, tmp_path, dirs_exist_ok=True)
    copy = Copy.__new__(Copy)
    copy.root, copy.library = tmp_path, tmp_path / "lib" / "nearsight"
    return copy


def rename_a_local(path, function: str, old: str, new: str) -> None:
    """Rename a local variable of a function; comments and layout of the module are lost, which must not matter."""
    tree = ast.parse(path.read_text())
    inside, = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == function)
    names = [node for node in ast.walk(inside) if isinstance(node, ast.Name) and node.id == old]
    assert any(isinstance(node.ctx, ast.Store) for node in names)
    for node in names:
        node.id = new
    path.write_text(ast.unparse(tree))


def test_a_renamed_local_makes_a_record_stale_and_verify_renews_it(copy):
    rename_a_local(copy.library / "training.py", "_advance", "sigma", "noise_levels")
    said = "miniature-smoke: 6 arrays up to step 20 agree: equal bits on this machine: renewed.\n"
    assert copy("verify") == (0, said)
    lines = [line.split() for line in copy("runs")[1].splitlines()]
    assert [line[-1] for line in lines if line[0].startswith("miniature-")] == ["fresh", "missing", "missing"]


def test_a_changed_learning_rate_in_the_library_is_refused(copy):
    copy.edit("training.py", '["lr"] = config.learning_rate', '["lr"] = 1.01 * config.learning_rate')
    code, said = copy("verify", "miniature-smoke")
    assert code == 1 and "NOT renewed" in said
    assert "miniature-smoke: step 10: " in said and "of its largest entry" in said


def test_a_changed_learning_rate_in_the_configuration_is_refused(copy):
    copy.edit("studies/miniature.py", "learning_rate: float = 1e-3", "learning_rate: float = 2e-3")
    code, said = copy("verify")
    assert code == 1 and "learning_rate was 0.001, is 0.002" in said and "make reproduce RUN=miniature-smoke" in said


def test_a_swapped_noise_order_is_refused(copy):
    path = copy.library / "recipes.py"
    lines = path.read_text().splitlines(keepends=True)
    first, = (i for i, line in enumerate(lines) if "sigma = config.levels.draw" in line)
    assert "eps = torch.randn" in lines[first + 1]
    lines[first:first + 2] = lines[first + 1], lines[first]
    path.write_text("".join(lines))
    code, said = copy("verify")
    assert code == 1 and "expected equal bits on this machine: NOT renewed" in said
    assert "miniature-smoke: step 10: " in said


def test_reproduce_prints_recorded_and_new_side_by_side(copy):
    code, said = copy("reproduce", "miniature-smoke")
    assert code == 0
    head, *rows, verdict = said.splitlines()
    assert head.split() == ["array", "step", "recorded", "again", "largest", "difference"]
    assert [row.split()[0] for row in rows] == ["error", "loss", "samples"]
    assert all(row.split()[1] == "40" and row.split()[2] == row.split()[3] and row.split()[4] == "0" for row in rows)
    assert verdict == "9 arrays up to step 40 agree: equal bits on this machine"


def test_reproduce_replaces_a_corrupt_record(copy):
    results = next((copy.root / "book" / "recorded" / "miniature-smoke").glob("results-*"))
    results.write_bytes(results.read_bytes()[:-1])
    assert copy("reproduce", "miniature-smoke") == (0, "miniature-smoke was corrupt and is now recorded.\n")
