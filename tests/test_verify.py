"""A copy of the library is edited and asked, in a process of its own, what it thinks of a record made before."""

import ast
import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow


class Copy:
    """A checkout with the library and nothing else, in which `python -m nearsight` is run."""

    def __init__(self, root):
        self.root, self.library = root, root / "lib" / "nearsight"

    def __call__(self, *arguments: str) -> tuple[int, list[str]]:
        """Exit status and what was said, but for the progress."""
        environment = os.environ | {"PYTHONPATH": str(self.root / "lib"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, "-m", "nearsight", *arguments], cwd=self.root, env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.returncode, [line for line in done.stdout.splitlines() if not re.search(r": step \d+ of \d+$", line)]

    def state(self) -> str:
        """The state of the record of miniature-smoke."""
        return next(line.split()[-1] for line in self("runs")[1] if line.startswith("miniature-smoke"))

    def edit(self, module: str, old: str, new: str) -> None:
        """Replace a text that must occur once."""
        path = self.library / module
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))

    def move(self, old: str, new: str) -> None:
        """Move a module and let all others import it from its new place."""
        (self.library / new).parent.mkdir(exist_ok=True)
        (self.library / f"{old}.py").rename(self.library / f"{new}.py")
        before, after = (f"nearsight.{name.replace('/', '.')}" for name in (old, new))
        for path in self.library.rglob("*.py"):
            text = re.sub(rf"\b{re.escape(before)}\b", after, path.read_text())
            package, _, name = before.rpartition(".")
            new_package, _, new_name = after.rpartition(".")
            path.write_text(re.sub(rf"from {re.escape(package)} import {name}\b",
                                   f"from {new_package} import {new_name} as {name}", text))


@pytest.fixture(scope="module")
def recorded_copy(tmp_path_factory):
    copy = Copy(tmp_path_factory.mktemp("recorded"))
    shutil.copytree(ROOT / "lib" / "nearsight", copy.library, ignore=shutil.ignore_patterns("data", "__pycache__"))
    (copy.root / "book").mkdir()
    shutil.copy(ROOT / "pyproject.toml", copy.root)
    assert copy("reproduce", "miniature-smoke") == (0, ["miniature-smoke was missing and is now recorded."])
    return copy


@pytest.fixture
def copy(recorded_copy, tmp_path):
    """A copy of the recorded copy, to be edited."""
    shutil.copytree(recorded_copy.root, tmp_path, dirs_exist_ok=True)
    return Copy(tmp_path)


def rename_a_local(path, function: str, old: str, new: str) -> None:
    """Rename a local variable of a function; comments and layout of the module are lost, which must not matter."""
    tree = ast.parse(path.read_text())
    [inside] = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == function)
    names = [node for node in ast.walk(inside) if isinstance(node, ast.Name) and node.id == old]
    assert any(isinstance(node.ctx, ast.Store) for node in names)
    for node in names:
        node.id = new
    path.write_text(ast.unparse(tree))


def test_moved_and_renamed_modules_and_an_added_helper_leave_it_fresh(copy):
    copy.move("noise", "ground/levels")
    copy.move("training/recipe", "training/plan")
    copy.move("networks/preconditioned", "layers/conditioned")
    copy.edit("sampling.py", "SOLVERS = ", "def unused():\n    return 1\n\n\nSOLVERS = ")
    assert copy.state() == "fresh"


@pytest.mark.parametrize("module, old, new, named", [
    ("training/objectives.py", "mean: float = -1.0", "mean: float = -1.1", "LogNormal"),
    ("sampling.py", 'SOLVERS = ("euler", "heun", "ancestral")', 'SOLVERS = ("euler", "heun")', "SOLVERS"),
    ("networks/blocks.py", "angles.cos(), angles.sin()", "angles.sin(), angles.cos()", "fourier"),
], ids=["default", "constant", "called function"])
def test_a_change_two_steps_away_makes_it_stale_and_is_named(copy, module, old, new, named):
    copy.edit(module, old, new)
    assert copy.state() == "stale"
    script = ("from nearsight.records import load; from nearsight.studies import find; "
              "print(load(find('miniature-smoke')).changed)")
    said = subprocess.run([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": str(copy.root / "lib")},
                          capture_output=True, text=True, check=True).stdout
    assert ast.literal_eval(said) == (named,)


def test_a_renamed_local_makes_a_record_stale_and_verify_renews_it(copy):
    rename_a_local(copy.library / "training" / "loop.py", "_advance", "sigma", "noise_levels")
    assert copy("verify") == (0, ["miniature-smoke: 6 arrays up to step 20 agree: equal bits on this machine: renewed."])
    assert copy.state() == "fresh"


def test_a_changed_learning_rate_in_the_library_is_refused(copy):
    copy.edit("training/loop.py", '["lr"] = config.learning_rate', '["lr"] = 1.01 * config.learning_rate')
    code, [said] = copy("verify", "miniature-smoke")
    assert code == 1 and "NOT renewed" in said
    assert "miniature-smoke: step 10: " in said and "of its largest entry" in said


def test_a_changed_learning_rate_in_the_configuration_is_refused(copy):
    copy.edit("studies/miniature.py", "learning_rate: float = 1e-3", "learning_rate: float = 2e-3")
    code, [said] = copy("verify")
    assert code == 1 and "learning_rate was 0.001, is 0.002" in said and "make reproduce RUN=miniature-smoke" in said


def test_a_swapped_noise_order_is_refused(copy):
    path = copy.library / "training" / "recipe.py"
    lines = path.read_text().splitlines(keepends=True)
    [first] = (i for i, line in enumerate(lines) if "sigma = config.levels.draw" in line)
    assert "eps = torch.randn" in lines[first + 1]
    lines[first:first + 2] = lines[first + 1], lines[first]
    path.write_text("".join(lines))
    code, [said] = copy("verify")
    assert code == 1 and "expected equal bits: NOT renewed" in said
    assert "miniature-smoke: step 10: " in said


def test_reproduce_prints_recorded_and_new_side_by_side(copy):
    code, [head, *rows, verdict] = copy("reproduce", "miniature-smoke")
    assert code == 0
    assert head.split() == ["array", "step", "recorded", "again", "largest", "difference"]
    assert [row.split()[0] for row in rows] == ["error", "loss", "samples"]
    assert all(row.split()[1] == "40" and row.split()[2] == row.split()[3] and row.split()[4] == "0" for row in rows)
    assert verdict == "9 arrays up to step 40 agree: equal bits on this machine"


def test_reproduce_replaces_a_corrupt_record(copy):
    results = next((copy.root / "book" / "recorded" / "miniature-smoke").glob("results-*"))
    results.write_bytes(results.read_bytes()[:-1])
    assert copy("reproduce", "miniature-smoke") == (0, ["miniature-smoke was corrupt and is now recorded."])
