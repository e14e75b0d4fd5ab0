"""The built book as a reader meets it: opened page by page in a real browser, from the files alone."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from bs4 import BeautifulSoup
from check_book import pages
from conftest import ROOT

pytestmark = pytest.mark.slow
PAGES = pages()
CHAPTERS = [page for page in PAGES if page.startswith("notebooks/")]
EXTRA = ["search.html", "genindex.html"]
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 800}


@dataclass
class Visit:
    page: object
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


def visit(browser, file: Path) -> Visit:
    seen = Visit(browser.new_page(viewport=DESKTOP))

    def decide(route):
        if route.request.url.startswith(("file:", "data:", "blob:")):
            route.continue_()
        else:
            seen.foreign.append(route.request.url)
            route.abort()

    seen.page.route("**/*", decide)
    seen.page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("requestfailed", lambda request: seen.errors.append(f"not loaded: {request.url}"))
    seen.page.goto(file.as_uri(), wait_until="load")
    seen.page.evaluate("() => window.MathJax?.startup?.promise.then(() => document.fonts.ready).then(() => null)")
    return seen


@pytest.fixture(scope="module", params=PAGES + EXTRA)
def seen(request, book, browser):
    result = visit(browser, book / request.param)
    yield result
    result.page.close()


def test_a_page_logs_no_error(seen):
    assert seen.errors == []


def test_a_page_asks_no_other_host(seen):
    assert seen.foreign == []


def test_mathematics_is_rendered(seen):
    raw = "() => [...document.querySelectorAll('.math')].filter(e => !e.querySelector('mjx-container')).length"
    assert seen.page.evaluate(raw) == 0
    wrong = "mjx-merror, [data-mjx-error], mjx-mtext[style*='red']"  # red: an unknown macro
    assert seen.page.evaluate(f"() => [...document.querySelectorAll(`{wrong}`)].map(e => e.outerHTML)") == []


def test_every_image_has_loaded_and_its_alt_text_is_a_sentence(seen):
    images = seen.page.evaluate("""async () => {
        for (const image of document.images) { image.loading = "eager"; await image.decode().catch(() => null); }
        return [...document.images].map(image => ({source: image.src, width: image.naturalWidth, alt: image.alt}));
    }""")
    for image in images:
        assert image["width"] > 0, image
        assert len(image["alt"].split()) >= 5 and image["alt"].endswith("."), image
        assert not re.search(r"\.(png|svg|jpe?g)\b|\w{2,}/\w", image["alt"]), image  # a path, though n/d may stand there


@pytest.mark.parametrize("width", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_page_does_not_scroll_sideways(seen, width):
    seen.page.set_viewport_size(width)
    assert seen.page.evaluate("() => document.documentElement.scrollWidth") <= width["width"]


def test_no_code_and_nothing_printed_has_to_be_scrolled(seen):
    seen.page.set_viewport_size(DESKTOP)
    boxes = seen.page.evaluate("""() => {
        document.querySelectorAll("details").forEach(folded => { folded.open = true; });
        return [...document.querySelectorAll("div.cell_input pre, div.cell_output pre")].map(
            box => ({first: box.innerText.split("\\n")[0], width: box.clientWidth, needed: box.scrollWidth}));
    }""")
    assert [box for box in boxes if box["width"] == 0 or box["needed"] > box["width"]] == []


@pytest.fixture(scope="module")
def documents(book):
    return {file.relative_to(book).as_posix(): BeautifulSoup(file.read_text("utf8"), "html.parser")
            for file in book.rglob("*.html") if "_static" not in file.parts}


def test_every_internal_link_and_anchor_resolves(book, documents):
    broken = []
    anchors = {name: {tag["id"] for tag in page.find_all(id=True)} for name, page in documents.items()}
    for name, page in documents.items():
        for tag in page.find_all(["a", "link", "script", "img"]):
            address = tag.get("href") or tag.get("src") or ""
            path, anchor = urldefrag(unquote(address).split("?")[0])
            if re.match(r"[a-z]+:", address) or not (path or anchor):
                continue
            file = (book / name).parent / path if path else book / name
            target = file.resolve().relative_to(book).as_posix() if file.is_relative_to(book) else path
            if not file.is_file() or (anchor and target in anchors and anchor not in anchors[target]):
                broken.append(f"{name}: {address}")
    assert broken == []


def test_nothing_on_a_page_names_a_file_of_another_host(documents):
    for name, page in documents.items():
        for tag in page.find_all(["link", "script", "img", "iframe", "source"]):
            assert not re.match(r"(https?:)?//", tag.get("href") or tag.get("src") or ""), (name, tag)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_offers_its_script_and_its_executed_notebook(book, documents, chapter):
    name = chapter.removesuffix(".html")
    offered = {unquote(tag["href"]) for tag in documents[chapter].find_all("a", href=True)}
    assert {f"../_sources/{name}.py", f"../_sources/{name}.ipynb"} <= offered
    assert (book / f"_sources/{name}.py").read_text("utf8") == (ROOT / f"{name}.py").read_text("utf8")
    notebook = json.loads((book / f"_sources/{name}.ipynb").read_text("utf8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code)
    assert any("image/png" in output.get("data", {}) for cell in code for output in cell["outputs"])


def test_no_page_tells_where_it_was_built(book):
    for file in [*book.rglob("*.html"), *(book / "_sources").rglob("*.*")]:
        assert str(ROOT) not in file.read_text("utf8"), file
