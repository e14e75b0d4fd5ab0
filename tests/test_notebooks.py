"""Each chapter, alone: it executes, says something, warns of nothing, and pairs with a notebook."""

import time

import jupytext
import nbformat
import pytest
from book_execution import cache_folder
from check_book import pages
from conftest import ROOT
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupytext.config import load_jupytext_config
from nbclient import NotebookClient

CHAPTERS = sorted((ROOT / "notebooks").glob("*.py"))


@pytest.fixture(scope="module", params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request):
    """(code cells, seconds) of a chapter: out of the book's cache, or executed here and left there for the book."""
    notebook, cache = jupytext.read(request.param, fmt="py:percent"), get_cache(cache_folder(ROOT))
    try:
        record = cache.match_cache_notebook(notebook)
    except KeyError:
        start = time.perf_counter()
        NotebookClient(notebook, timeout=900, resources={"metadata": {"path": request.param.parent}}).execute()
        data = {"execution_seconds": time.perf_counter() - start}
        record = cache.cache_notebook_bundle(CacheBundleIn(notebook, str(request.param), data=data),
                                             check_validity=False, overwrite=True)
    _, whole = cache.merge_match_into_notebook(notebook)
    return [cell for cell in whole.cells if cell.cell_type == "code"], record.data["execution_seconds"]


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


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_survives_being_saved_from_jupyterlab(path):
    config = load_jupytext_config(str(path))
    assert config.default_formats(str(path)) == "ipynb,py:percent"
    chapter = jupytext.read(path, config=config)
    opened = nbformat.reads(jupytext.writes(chapter, "ipynb", config=config), as_version=4)
    saved = jupytext.reads(jupytext.writes(opened, "py:percent", config=config), "py:percent", config=config)
    assert [(cell.source, cell.metadata) for cell in saved.cells] == [(c.source, c.metadata) for c in chapter.cells]
    assert saved.metadata.kernelspec == chapter.metadata.kernelspec
