"""The digest of meaning: what counts, what does not, and that a library may be rearranged under it."""

import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
from nearsight.records import definitions
from nearsight.records.digests import Meaning, meaning, script_digest
from nearsight.studies import runs


class Library:
    """Texts by file name become the modules of a small library; asks for the meaning of `compute` in study.py."""

    def __init__(self, folder: Path):
        self.folder, self.written = folder, 0

    def __call__(self, **texts: str) -> Meaning:
        for name, text in texts.items():
            self.write(name.replace("__", "/").replace("/init/", "__init__"), text)
        return self.meaning()

    def write(self, name: str, text: str) -> None:
        file = (self.folder / name).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        self.written += 1
        os.utime(file, ns=(self.written, self.written))  # two texts within one tick of the clock are still two

    def meaning(self) -> Meaning:
        scope = {"__name__": "nearsight.study"}
        exec(compile("def compute(): pass", self.folder / "study.py", "exec"), scope)
        return meaning(scope["compute"])


@pytest.fixture
def library(tmp_path, monkeypatch):
    monkeypatch.setattr(definitions, "FOLDER", tmp_path / "nearsight")
    definitions._parsed.cache_clear()
    yield Library(tmp_path / "nearsight")
    definitions._parsed.cache_clear()


PLAIN = """
from nearsight.area import area

def compute(width, height):
    return area(width, height)
"""
AREA = """
def area(width, height):
    return width * height
"""
SAME = [
    '"""A module."""\n' + AREA,
    AREA.replace("    return", "    # of a rectangle\n\n    return"),
    AREA.replace("):\n", '):\n    """Return the area."""\n'),
    AREA.replace("width, height", "width,\n         height,\n"),
    AREA.replace("width * height", "(width * height)"),
    AREA + "\nHEIGHT = 1\n",
    "import math\n" + AREA + "\ndef volume(width, height, depth):\n    return math.fabs(depth) * area(width, height)\n",
]
OTHER = [
    AREA.replace("*", "+"),
    AREA.replace("width * height", "height * width"),
    AREA.replace("width", "side"),
    AREA.replace("height)", "height=1)"),
    AREA.replace("return width * height", "return width * height * 1"),
    AREA.replace("return width", "print('area')\n    return width"),
    AREA + "\nprint('loaded')\n",
    AREA + "\narea.exact = True\n",
    AREA + "\nif True:\n    area = max\n",
    AREA + "\ndef area(width, height):\n    return 0\n",
    AREA + "\ndef change():\n    global area\n    area = max\n",
]


@pytest.mark.parametrize("text", SAME)
def test_layout_comments_docstrings_and_neighbors_do_not_count(library, text):
    assert library(study=PLAIN, area=AREA) == library(area=text)


@pytest.mark.parametrize("text", OTHER)
def test_everything_else_counts(library, text):
    before, after = library(study=PLAIN, area=AREA), library(area=text)
    assert before.digest != after.digest and after.changes(before)


@pytest.mark.parametrize("one, other", [
    ("x = 1", "x = 1.0"), ("x = 0.0", "x = -0.0"), ("x = 1", "x = True"), ("x = 'a'", "x = b'a'"),
    ("x = None", "x = ..."), ("f(a, b)", "f((a, b))"), ("f(a)(b)", "f(a, b)"), ("x = [1, [2]]", "x = [[1], 2]"),
    ("if a:\n    b\nc", "if a:\n    b\n    c"), ("def f():\n    return None", "def f():\n    return"),
])
def test_trees_that_differ_a_little_have_other_digests(library, one, other):
    bodies = ("def compute():\n" + textwrap.indent(text, "    ") for text in (one, other))
    assert len({library(study=body).digest for body in bodies}) == 2


def test_the_digest_is_the_same_for_all_versions_of_python(library):
    assert library(study=PLAIN, area=AREA).digest == "869968c5a41b33391c33ce63d90fb4e7d720bd82812edd0b4b3fa0be70461961"


TOWER = {
    "study": """
        import torch as t
        from nearsight import checks
        from nearsight.middle import Child, scale

        def compute(x):
            return Child(scale(checks.positive(x))).value + t.zeros(1)
        """,
    "middle": """
        from nearsight.base import Parent
        from nearsight.numbers import FACTOR

        class Child(Parent):
            pass

        def scale(x, by=FACTOR):
            return x * by
        """,
    "base": """
        class Parent:
            def __init__(self, value):
                self.value = value
        """,
    "numbers": "FACTOR, OTHER = 2, 3\n",
    "checks": """
        def positive(x):
            return abs(x)

        def negative(x):
            return -abs(x)
        """,
    "__init__": "from nearsight.middle import scale\n",
}


@pytest.fixture
def tower(library):
    for name, text in TOWER.items():
        library.write(name, text)
    return library


def edited(name: str, old: str, new: str) -> dict[str, str]:
    assert TOWER[name].count(old) == 1
    return {name: TOWER[name].replace(old, new)}


@pytest.mark.parametrize("change, changed", [
    (edited("numbers", "2, 3", "4, 3"), "FACTOR"),
    (edited("middle", "by=FACTOR", "by=1"), "scale"),
    (edited("checks", "return abs(x)", "return x"), "positive"),
    (edited("base", "self.value = value", "self.value = -value"), "Parent"),
    (edited("middle", "        pass", "        value = 0"), "Child"),
    (edited("study", "import torch as t", "import numpy as t"), "compute"),
    (edited("study", "checks.positive", "checks.negative"), "compute"),
], ids=["constant", "default", "called function", "base class", "class", "import", "call"])
def test_a_change_two_steps_away_is_seen_and_named(tower, change, changed):
    before = tower.meaning()
    assert changed in tower(**change).changes(before)


def move(library, old: str, new: str) -> None:
    """Move a module, and let all others import it from its new place."""
    (library.folder / old).with_suffix(".py").rename(_made((library.folder / new).with_suffix(".py")))
    for file in library.folder.rglob("*.py"):
        text = file.read_text()
        name = old.replace("/", ".")
        library.write(str(file.relative_to(library.folder)),
                      text.replace(f"nearsight.{name} ", f"nearsight.{new.replace('/', '.')} "))


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_a_moved_a_renamed_and_a_gathering_module_change_nothing(tower):
    before = tower.meaning()
    move(tower, "base", "floors/base")
    assert tower.meaning() == before
    move(tower, "numbers", "constants")
    assert tower.meaning() == before
    tower.write("floors/__init__", "from nearsight.floors.base import Parent\n")
    middle = (tower.folder / "middle.py").read_text()
    assert tower(middle=middle.replace("from nearsight.floors.base import", "from nearsight.floors import")) == before


@pytest.mark.parametrize("change", [
    edited("study", "from nearsight.middle import Child, scale", "from nearsight.middle import Child\n"
           "        from nearsight import scale"),
    edited("study", "from nearsight import checks", "import nearsight.checks as checks"),
    edited("middle", "from nearsight.base import Parent", "from .base import Parent"),
    edited("checks", "        def negative", "        def helper(x):\n            return x\n\n        def negative"),
    edited("checks", "return -abs(x)", "return -x"),
], ids=["through the front door", "by module", "relative", "an added helper", "an edit next door"])
def test_ways_to_say_the_same_are_the_same(tower, change):
    before = tower.meaning()
    assert tower(**change).digest == before.digest


def test_a_renamed_function_is_the_same_and_a_swapped_one_is_not(tower):
    before = tower.meaning()
    renamed = tower(study=TOWER["study"].replace("scale", "times"), middle=TOWER["middle"].replace("scale", "times"))
    assert renamed.digest == before.digest and renamed.definitions.keys() != before.definitions.keys()
    both = tower(numbers="FACTOR, OTHER = 3, 2\n", middle=TOWER["middle"].replace("FACTOR", "OTHER"))
    assert both.digest != before.digest  # another position of the same statement is another name


def test_a_module_that_is_handed_on_counts_whole(tower):
    handed = tower(**edited("study", "checks.positive(x)", "getattr(checks, 'positive')(x)"))
    assert "negative" in handed.definitions
    assert tower(checks=TOWER["checks"].replace("return -abs(x)", "return -x")).changes(handed) == ("negative",)


def test_names_that_are_local_lead_nowhere(tower):
    tower(**edited("study", "def compute(x):", "def compute(x, checks=None):"))
    assert "negative" not in tower.meaning().definitions


def test_imports_inside_functions_are_followed(library):
    before = library(study="def compute():\n    from nearsight.deep import f\n    return f()\n",
                     deep="def f():\n    return 1\n")
    assert library(deep="def f():\n    return 2\n").changes(before) == ("f",)


def test_recursion_ends(library):
    before = library(study="def compute(n):\n    return other(n - 1)\ndef other(n):\n    return compute(n) if n else 0\n")
    assert before.definitions.keys() == {"compute", "other"}


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1


@dataclass(frozen=True)
class Outer:
    inner: object = Inner()
    several: tuple = (Inner(),)


def no_hint(config):
    return config


def test_the_types_of_a_configuration_count_though_nothing_names_them():
    assert meaning(no_hint, Outer()).definitions.keys() == {"no_hint", "Outer", "Inner"}


def test_a_function_without_a_file_is_refused():
    scope = {"__name__": "__main__"}
    exec(compile("def compute(): pass", "<typed>", "exec"), scope)
    with pytest.raises(TypeError, match="move it from the notebook into a file"):
        meaning(scope["compute"])


def test_a_script_has_the_digest_of_what_it_reaches(tower, tmp_path):
    script = tmp_path / "chapter.py"
    script.write_text("# %% [markdown]\n# # A title\n\n# %%\nfrom nearsight.middle import scale\nprint(scale(1))\n")
    before = script_digest(script)
    tower(**edited("base", "self.value = value", "self.value = -value"))
    assert script_digest(script) == before
    tower(**edited("numbers", "2, 3", "4, 3"))
    assert script_digest(script) != before
    assert script_digest(script, without=["nearsight.middle.scale"]) == script_digest(script, ["nearsight.middle.scale"])
    script.write_text(script.read_text().replace("scale(1)", "scale(2)"))
    assert script_digest(script) != before


@pytest.mark.parametrize("run", [run for run in runs() if run.scale == "laptop"], ids=lambda run: run.name)
def test_a_run_reaches_definitions_that_it_loads_and_no_module_is_missed(run):
    reached = meaning(run.computation, run.config).definitions
    assert run.computation.__name__ in reached and type(run.config).__name__ in reached
    assert not {"compute", "load", "main"} & reached.keys()  # what carries a run out is not what it computes


def test_the_digest_needs_no_import_of_what_it_reads():
    script = "import sys; from nearsight.records import digests; print('nearsight.studies' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
