"""Each chapter, alone and under both kinds of kernels: it executes, says something, warns of nothing, and pairs."""

import jupytext
import nbformat
import pytest
from bs4 import BeautifulSoup
from check_book import pages
from conftest import KERNELS
from executed import cache_folder, chapters, executed
from jupytext.config import load_jupytext_config
from nearsight.page import DIFFERS

CHAPTERS = chapters()
EXECUTIONS = [pytest.param((kernels, path), id=f"{path.stem}-{kernels}", marks=pytest.mark.slow)
              for path in CHAPTERS for kernels in KERNELS]


@pytest.fixture(scope="module", params=EXECUTIONS)
def chapter(request):
    """(code cells, seconds) of a chapter: out of a book's cache, or executed here and left there for the book."""
    kernels, path = request.param
    environment, output = KERNELS[kernels]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)  # the notebook's process starts with it
        notebook, seconds, _ = executed(path, cache_folder(path, output / "_build"))
    return [cell for cell in notebook.cells if cell.cell_type == "code"], seconds


def test_the_table_of_contents_names_every_chapter():
    built = {page for page in pages() if page.startswith("notebooks/")}
    assert built == {f"notebooks/{path.stem}.html" for path in CHAPTERS}


def test_a_chapter_executes_and_shows_figures_and_numbers(chapter):
    cells, seconds = chapter
    kinds = {kind for cell in cells for output in cell.outputs for kind in output.get("data", {})}
    assert all(cell.execution_count for cell in cells)
    assert seconds > 0.5, "a chapter that computes cannot be over in no time"
    assert "image/png" in kinds or "image/svg+xml" in kinds
    assert any("scrapbook" in output.get("metadata", {}) for cell in cells for output in cell.outputs)


def test_a_chapter_warns_of_nothing(chapter):
    cells, _ = chapter
    assert [output.text for cell in cells for output in cell.outputs if output.get("name") == "stderr"] == []


def test_every_figure_of_a_chapter_can_be_read(chapter):
    cells, _ = chapter
    names = {cell.id: cell.metadata.get("mystnb", {}).get("figure", {}).get("name", cell.source[:60]) for cell in cells}
    assert [f"{names[cell.id]}: {fault}" for cell in cells for output in cell.outputs
            for fault in output.get("metadata", {}).get("image/png", {}).get("illegible", [])] == []


def test_what_a_chapter_computes_again_is_as_recorded(chapter):
    cells, _ = chapter
    pages = [output.get("data", {}).get("text/html", "") for cell in cells for output in cell.outputs]
    notices = [BeautifulSoup(page, "html.parser").get_text(" ") for page in pages if DIFFERS in page]
    if notices:
        pytest.fail(f"A live miniature differs from its record. {' '.join(' '.join(notices).split())}", pytrace=False)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_survives_being_saved_from_jupyterlab(path):
    config = load_jupytext_config(str(path))
    assert config.default_formats(str(path)) == "ipynb,py:percent"
    chapter = jupytext.read(path, config=config)
    opened = nbformat.reads(jupytext.writes(chapter, "ipynb", config=config), as_version=4)
    saved = jupytext.reads(jupytext.writes(opened, "py:percent", config=config), "py:percent", config=config)
    assert [(cell.source, cell.metadata) for cell in saved.cells] == [(c.source, c.metadata) for c in chapter.cells]
    assert saved.metadata.kernelspec == chapter.metadata.kernelspec
