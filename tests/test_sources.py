import ast
import subprocess
import sys
from pathlib import Path

import pytest

from nearsight import sources
from nearsight.reproduction import reproduce
from nearsight.sources import combined, source_digests, tree_digest

PLAIN = '''
def area(width, height):
    return width * height
'''
SAME = [
    '"""A module."""\n' + PLAIN,
    PLAIN.replace("    return", "    # of a rectangle\n\n    return"),
    PLAIN.replace("):\n", '):\n    """Return the area."""\n'),
    PLAIN.replace("width, height", "width,\n         height,\n"),
    PLAIN.replace("width * height", "(width * height)"),
]
OTHER = [
    PLAIN.replace("*", "+"),
    PLAIN.replace("width * height", "height * width"),
    PLAIN.replace("width", "side"),
    PLAIN.replace("height)", "height=1)"),
    PLAIN.replace("return width * height", "return width * height * 1"),
    PLAIN.replace("return width", "print('area')\n    return width"),
    PLAIN + "\nHEIGHT = 1\n",
]


def digest(text: str) -> str:
    return tree_digest(ast.parse(text))


@pytest.mark.parametrize("text", SAME)
def test_layout_comments_and_docstrings_do_not_count(text):
    assert digest(text) == digest(PLAIN)


@pytest.mark.parametrize("text", OTHER)
def test_everything_else_counts(text):
    assert digest(text) != digest(PLAIN)


@pytest.mark.parametrize("one, other", [
    ("x = 1", "x = 1.0"), ("x = 0.0", "x = -0.0"), ("x = 1", "x = True"), ("x = 'a'", "x = b'a'"),
    ("x = None", "x = ..."), ("f(a, b)", "f((a, b))"), ("f(a)(b)", "f(a, b)"), ("x = [1, [2]]", "x = [[1], 2]"),
    ("if a:\n    b\nc", "if a:\n    b\n    c"), ("def f():\n    return None", "def f():\n    return"),
])
def test_trees_that_differ_a_little_have_other_digests(one, other):
    assert digest(one) != digest(other)


def test_the_digest_is_the_same_for_all_versions_of_python():
    assert digest(PLAIN) == "fb0169aafffce9b49448f72eca3db0587497419d7c0382d06915056f98875e1c"


def function_of(file: Path, module: str):
    scope = {"__name__": module}
    exec(compile("def compute(): pass", file, "exec"), scope)
    return scope["compute"]


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Texts by file name become the modules of a small library; returns the digests of its study."""
    folder = tmp_path / "nearsight"
    monkeypatch.setattr(sources, "FOLDER", folder)

    def write(texts: dict[str, str]) -> dict[str, str]:
        for name, text in texts.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).with_suffix(".py").write_text(text)
        return source_digests(function_of(folder / "study.py", "study"))

    return write


def test_modules_are_followed_through_every_form_of_import(library):
    digests = library({
        "study": "from nearsight.one import f\nimport nearsight.two as two\nfrom nearsight import three\nimport torch\n"
                 "def compute():\n    from nearsight.pack.four import g\n",
        "one": "from . import five\nfrom .six import h", "two": "x = 2", "three": "import math", "five": "",
        "six": "from nearsight import one", "seven": "never = 'imported'", "eight": "",
        "pack/__init__": "from nearsight.seven import never", "pack/four": "from ..eight import i"})
    assert set(digests) == {"study", "nearsight.one", "nearsight.two", "nearsight.three", "nearsight.five",
                            "nearsight.six", "nearsight.pack.four", "nearsight.eight"}


def test_a_name_taken_from_a_package_counts_all_that_the_package_gathers(library):
    digests = library({"study": "from nearsight.pack import g", "pack/four": "", "pack/five": "import nearsight.six",
                       "pack/__init__": "from .four import g\nfrom .five import h", "six": ""})
    assert set(digests) == {"study", "nearsight.pack", "nearsight.pack.four", "nearsight.pack.five", "nearsight.six"}


@pytest.mark.parametrize("text", ["import nearsight", "from nearsight import sample", "import nearsight as ns"])
def test_the_front_door_is_refused(library, text):
    with pytest.raises(ValueError, match="line 2.* import from the module that defines them"):
        library({"study": "\n" + text, "__init__": "from nearsight.sampling import sample", "sampling": ""})


def test_a_change_in_a_module_far_below_changes_its_digest_alone(library):
    before = library({"study": "import nearsight.one", "one": "import nearsight.two", "two": "x = 1"})
    after = library({"two": "x = 2"})
    assert [name for name in before if before[name] != after[name]] == ["nearsight.two"]
    assert combined(before) != combined(after)


def test_a_function_without_a_file_is_refused():
    with pytest.raises(TypeError, match="move it from the notebook into a file"):
        source_digests(function_of("<typed>", "__main__"))


def test_the_modules_found_are_those_that_python_loads():
    script = """
import sys, types
package = sys.modules["nearsight"] = types.ModuleType("nearsight")  # without the imports of its __init__
package.__path__ = [sys.argv[1]]
import nearsight.reproduction
print(*(name for name in sys.modules if name.startswith("nearsight.")))
"""
    loaded = subprocess.run([sys.executable, "-c", script, sources.FOLDER], capture_output=True, text=True, check=True)
    assert set(source_digests(reproduce)) == set(loaded.stdout.split())
