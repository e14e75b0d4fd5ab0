"""What every page keeps to: code that can be copied as it is seen, and as much text as one sitting takes."""

import re
from collections import Counter

import pytest
from book_reading import FIGURES_A_MINUTE, WORDS_A_MINUTE, captions, prose, reading, words
from cells import FOLDED, REMOVED, code_cells, has, lines_of_code, rebound, reuse, seen, shows_a_value, undefined
from conftest import ROOT
from executed import chapters

PAGES = [pytest.param(path, id=path.stem) for path in chapters()]
SPINE = [pytest.param(path, id=path.stem) for path in chapters() if re.match(r"\d\d_", path.name)]
LONGEST_CELL, LONGEST_CAPTION, LONGEST_CHAPTER, MOST_NUMBERS = 15, 45, 2500, 4


@pytest.mark.parametrize("path", PAGES)
def test_what_is_seen_of_a_page_runs(path):
    assert undefined(seen(code_cells(path))) == []


@pytest.mark.parametrize("path", PAGES)
def test_the_cell_to_reuse_stands_alone(path):
    assert undefined([reuse(path)]) == []


@pytest.mark.parametrize("path", PAGES)
def test_a_name_keeps_its_meaning(path):
    again = reuse(path)  # it stands alone, and names things anew
    assert rebound([source for source in seen(code_cells(path)) if source != again]) == {}


@pytest.mark.parametrize("path", PAGES)
def test_a_long_cell_is_folded(path):
    visible = (cell.source for cell in code_cells(path) if not has(cell, REMOVED | FOLDED))
    long = {source.partition("\n")[0]: lines_of_code(source) for source in visible}
    assert {first: lines for first, lines in long.items() if lines > LONGEST_CELL} == {}


@pytest.mark.parametrize("path", PAGES)
def test_a_figure_is_all_that_its_cell_shows(path):
    figures = [cell for cell in code_cells(path) if "figure" in cell.metadata.get("mystnb", {})]
    also = [cell.metadata["mystnb"]["figure"]["name"] for cell in figures if shows_a_value(cell.source)]
    assert also == [], "a value beside the figure would be a second figure of that name: end the cell with a semicolon"


@pytest.mark.parametrize("path", PAGES)
def test_captions_are_short(path):
    assert {name: count for name, count in reading(path).captions.items() if count >= LONGEST_CAPTION} == {}


@pytest.mark.parametrize("path", PAGES)
def test_no_line_of_prose_is_a_comment(path):
    lost = [line for text in prose(path) for line in text.splitlines() if line.startswith("%")]
    assert lost == [], "a line that begins with a percent sign is left out of the page: break it elsewhere"


def test_no_two_figures_of_the_book_share_a_name():
    names = Counter(name for path in chapters() for name in captions(path))
    assert {name: count for name, count in names.items() if count > 1} == {}


@pytest.mark.parametrize("path", PAGES)
def test_a_paragraph_has_few_numbers(path):
    paragraphs = [each for text in prose(path) for each in re.split(r"\n\s*\n|\n(?=\s*(?:- |\d+\. |\|))", text)]
    many = [each for each in paragraphs if each.count("{glue:text}") > MOST_NUMBERS]
    assert many == [], "put them into a small table or into the figure"


@pytest.mark.parametrize("path", SPINE)
def test_a_chapter_is_read_in_one_sitting(path):
    assert reading(path).words < LONGEST_CHAPTER


@pytest.mark.parametrize("text, count", [
    ("Two words.", 2), ("# A heading\n\nand a line", 5), ("error $E(\\sigma) = 1$ here", 3),
    ("before\n\n$$\nx = y\n$$ (eq-x)\n\nafter", 2), ("is {glue:text}`a:.2f` % of {cite:p}`one,two`.", 4),
    ("[two words](https://example.org/a/b)", 2), ("```bash\nmake runs\n```\n", 0),
    ("```{prf:theorem} A title\n:label: thm-a\nThree words here.\n```", 3), ("- an item\n- *another*", 3),
    ("| a | b |\n| --- | --- |\n| 1 | two |", 4), ("```{raw} html\n<p>no word</p>\n```", 0), ("one – two", 2),
])
def test_words_are_counted_as_a_reader_would(text, count):
    assert words(text) == count


def test_minutes_are_of_words_and_figures(tmp_path):
    figure = 'mystnb={"figure": {"caption": "So it is.", "name": "fig-a"}}'
    script = f"# %% [markdown]\n# {'word ' * 476}\n\n# %% {figure}\n1\n"
    (tmp_path / "page.py").write_text(script)
    held = reading(tmp_path / "page.py")
    assert (held.words, held.captions, held.minutes) == (476, {"fig-a": 3}, 2)
    assert captions(tmp_path / "page.py") == {"fig-a": "So it is."}


def test_the_landing_page_types_no_minutes_and_names_the_rule():
    page = " ".join((ROOT / "book" / "index.md").read_text("utf8").split())
    assert page.count("{minutes}`") == len(SPINE)
    assert not re.search(r"\b(\d+|ten|twelve|fifteen|twenty) minutes", page)
    assert f"{WORDS_A_MINUTE} words a minute" in page and f"{FIGURES_A_MINUTE} figures a minute" in page
