"""Building a book: what is executed again after which change, and what a build that fails says last."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from conftest import ROOT, make_book, plain_make

pytestmark = pytest.mark.slow
CHAPTER = """# %% [markdown]
# # Chapter {name}

# %%
from pathlib import Path

from myst_nb import glue
{code}
"""


@pytest.fixture
def small(tmp_path):
    """A folder with all that builds the book and none of its pages; `write` gives it some, `build` builds them."""
    return SmallBook(tmp_path)


class SmallBook:
    def __init__(self, root: Path):
        self.root = root
        for name in ("Makefile", "_config.yml", "requirements.lock", "tools", "book/_ext", "book/_static"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
            (root / name).parent.mkdir(exist_ok=True)
            copy(ROOT / name, root / name)
        (root / "book/references.bib").write_text("")
        (root / "lib/nearsight").mkdir(parents=True)
        (root / "notebooks").mkdir()

    def write(self, prose: str = "Nothing.", **codes: str) -> None:
        for name, code in codes.items():
            (self.root / f"notebooks/{name}.py").write_text(CHAPTER.format(name=name, code=code))
        chapters = json.dumps([{"file": f"notebooks/{name}.py"} for name in codes])
        (self.root / "_toc.yml").write_text(f"format: jb-book\nroot: book/index\nchapters: {chapters}\n")
        (self.root / "book/index.md").write_text(f"# A book\n\n{prose}\n")

    def build(self, **environment: str) -> set[str]:
        """Build it; return the names of the chapters that were executed."""
        said = make_book(self.root, environment=environment)
        assert "Executing notebook" not in said  # by the builder, that is, one after the other
        return {Path(line.split(":")[0]).stem for line in said.splitlines() if ": executed in" in line}

    def fail(self) -> list[str]:
        """Build it, which must fail; return the lines that were printed."""
        command = ["make", "book", f"BIN={Path(sys.executable).parent}"]
        done = subprocess.run(command, cwd=self.root, env=plain_make(), text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        assert done.returncode
        return done.stdout.splitlines()

    def numbers(self) -> list[str]:
        page = BeautifulSoup((self.root / "_build/html/book/index.html").read_text("utf8"), "html.parser")
        return [each.text for each in page.find_all(class_="pasted-text")]


def test_a_page_shows_no_output_of_older_sources(small):
    code = 'glue("answer", int(Path("../lib/nearsight/answer.txt").read_text()) + {offset})'
    answer, prose = small.root / "lib/nearsight/answer.txt", "It is {glue:text}`/notebooks/a.py::answer:d`."

    def built(number: int, offset: int):
        answer.write_text(f"{number}")
        small.write(prose, a=code.format(offset=offset))
        return small.build(), small.numbers()

    assert built(40, 0) == ({"a"}, ["40"])
    assert built(40, 0) == (set(), ["40"])
    assert built(41, 0) == ({"a"}, ["41"])
    assert built(41, 1) == ({"a"}, ["42"])
    assert small.build(OMP_NUM_THREADS="2") == {"a"}


def test_a_chapter_is_executed_again_when_something_that_it_reaches_has_changed_and_no_other(small):
    library = small.root / "lib"
    shutil.copytree(ROOT / "lib/nearsight", library / "nearsight", dirs_exist_ok=True)
    here = {"PYTHONPATH": f"{library}"}

    def edit(name: str, old: str, new: str) -> None:
        file = library / "nearsight" / name
        before = file.read_text("utf8")
        assert before.count(old) == 1
        file.write_text(before.replace(old, new), "utf8")

    small.write("{glue:text}`/notebooks/a.py::top:.0f` and {glue:text}`/notebooks/b.py::nodes:d`.",
                a='from nearsight.noise import edm_sigmas\n\nglue("top", edm_sigmas(8)[0].item())',
                b='from nearsight.quadrature import polar\n\nglue("nodes", len(polar(2, 3)[0]))')
    assert small.build(**here) == {"a", "b"} and small.numbers() == ["80", "6"]
    with (library / "nearsight/noise.py").open("a") as file:
        file.write("\n\ndef helper():\n    return 3\n")
    assert small.build(**here) == set()
    edit("noise.py", "sigma_max: float = 80.0", "sigma_max: float = 40.0")
    assert small.build(**here) == {"a"} and small.numbers() == ["40", "6"]
    assert small.build(**here) == set()
    folders = [path for path in (small.root / "_build/executed").glob("*/*") if path.name != "lock"]
    assert len(folders) == 2  # what is outdated is dropped


def test_the_minutes_of_a_chapter_are_those_of_its_present_text(small):
    def minutes(count: int) -> str:
        small.write("It takes {minutes}`/notebooks/a.py`.", a="# %% [markdown]\n# " + "word " * count)
        small.build()
        page = BeautifulSoup((small.root / "_build/html/book/index.html").read_text("utf8"), "html.parser")
        return page.select_one("article p").text

    assert minutes(240) == "It takes 1 minute." and minutes(960) == "It takes 4 minutes."


def test_a_record_counts_where_it_is_named(small):
    record = small.root / "book/recorded/one-laptop/manifest.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    small.write(a='name = "one-laptop"', b="pass", c="def runs():\n    pass\n\n\nruns()", d="recorded = str\nrecorded(512)")
    assert small.build() == {"a", "b", "c", "d"}
    record.write_text("{ }")
    assert small.build() == {"a", "c", "d"}


def test_a_chapter_that_fails_is_named_with_its_cell_and_the_error_last(small):
    small.write(a="pass", b='print("so far so good")\n\n# %%\nnumber = 3\nassert number == 4, \\\n    "it is not four"\n')
    *_, sentence, advice, _ = small.fail()
    assert sentence == ('nearsight: notebooks/b.py, line 12 (code cell 2: assert number == 4, \\): '
                        'AssertionError: it is not four')
    assert advice.startswith("nearsight: the book was not built")


def test_a_page_that_fails_is_named_last_without_a_traceback(small):
    small.write("See [nothing](nowhere.md).", a="pass")
    said = small.fail()
    assert not any("Traceback" in line for line in said)
    *_, sentence, advice, _ = said
    assert "book/index.md" in sentence and "nowhere.md" in sentence
    assert advice.startswith("nearsight: the book was not built")
