"""The page of an audit in a real browser, from the file system and without a network: on a desk, on a phone, in the dark."""

import re
import socket

import numpy as np
import pytest
import torch
from nearsight import EmpiricalDenoiser, audit
from nearsight.auditing.page import LIMITS
from sklearn.datasets import load_digits

FORBIDDEN = re.compile(r"\b(safe|private|clean)\b", re.IGNORECASE)


def reports():
    """A report of every kind, on digits, in gray, in color and as points."""
    digits = torch.from_numpy(load_digits().images / 8 - 1).float()
    train, holdout, samples = digits[:100], digits[100:200], digits[200:320]
    planted = samples.clone()
    planted[:20] = train[:20] + 0.02
    title = 'A <script>alert("title")</script> & more'
    color = train[:, None].repeat(1, 3, 1, 1) * torch.tensor([1.0, 0.9, 0.8])[:, None, None]
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(3, 100, 2, generator=generator)
    common = dict(permutations=99, title=title)
    return {
        "copies": audit(train, holdout, samples=planted, **common),
        "copying": audit(train, holdout, denoiser=EmpiricalDenoiser(train), sample_count=100, **common),
        "closer": audit(train, holdout, denoiser=EmpiricalDenoiser(train, 0.25), sample_count=100, **common),
        "no null": audit(train, None, samples=planted, **common),
        "swapped": audit(holdout, train, samples=train + 0.02, permutations=999, title=title),
        "network alone": audit(train, holdout, denoiser=EmpiricalDenoiser(train, 0.4), sample_count=0, **common),
        "color": audit(color.movedim(1, -1), holdout[..., None].repeat(1, 1, 1, 3), samples=planted[..., None].repeat(
            1, 1, 1, 3), check_ranges=False, **common),
        "points": audit(points[0], points[1], samples=points[2], **common),
    }


REPORTS = reports()
assert not REPORTS["swapped"].verdict["reliable"] and REPORTS["copies"].verdict["reliable"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for name, report in REPORTS.items():
        report.save(folder / f"{name}.html")
    return folder


def opened(browser, path, width, dark=False):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light",
                                  java_script_enabled=True, offline=True)
    page, requests, messages = context.new_page(), [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(path.as_uri())
    return page, requests, messages


@pytest.mark.parametrize("name", REPORTS)
def test_it_opens_alone_says_its_verdict_and_fits(browser, files, name):
    report, path = REPORTS[name], files / f"{name}.html"
    assert path.stat().st_size < 1_500_000
    for width, dark in ((1280, False), (390, True)):
        page, requests, messages = opened(browser, path, width, dark)
        asked = [url for url in requests if not url.startswith("data:image/png")]
        assert asked == [path.as_uri()] and messages == []
        assert page.locator("script").count() == 0 and page.title() == report.title
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("h1").inner_text() == report.title
        assert page.locator(".verdict").inner_text().startswith(
            f"{report.verdict['code']}. {report.verdict['sentence']}")
        text = page.locator("main").inner_text()
        assert text.index("training") < text.index(report.verdict["sentence"]) < text.index("What it does not show")
        assert page.locator(".doubt").count() == (not report.verdict["reliable"])
        for sentence in (*report.inputs["compared"], *report.verdict["does_not_show"], *LIMITS):
            assert sentence in text
        assert not FORBIDDEN.search(text) and "None" not in text.split("Inputs")[0] and "nan" not in text.split()
        page.context.close()


@pytest.mark.parametrize("name", REPORTS)
def test_every_drawing_says_its_finding(browser, files, name):
    page, *_ = opened(browser, files / f"{name}.html", 800)
    figures = page.locator("figure")
    assert figures.count() == {"points": 2, "no null": 1, "network alone": 2, "copying": 4, "closer": 5}.get(name, 3)
    for svg in page.locator("svg").all():
        finding = svg.get_attribute("aria-label")
        assert len(finding.split()) > 12 and re.search(r"\d", finding) and finding.endswith(".")
        assert finding in svg.locator("xpath=..").locator("figcaption").inner_text()
    pictures = page.locator("img")
    assert pictures.count() == {"points": 0, "no null": 24, "network alone": 0}.get(name, 36)
    for picture in pictures.all():
        assert re.fullmatch(r"(sample|nearest (training|held-out) image) \d(, at distance [\d.e-]+)?",
                            picture.get_attribute("alt"))
        assert picture.evaluate("image => image.naturalWidth") == 8
    page.context.close()


def luminance(color):
    red, green, blue = (value / 255 / 12.92 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("dark", [False, True])
def test_words_stand_out_in_daylight_and_in_the_dark_and_can_be_read_on_a_phone(browser, files, dark):
    page, *_ = opened(browser, files / "closer.html", 390, dark)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    paper = luminance(map(int, re.findall(r"\d+", paper)[:3]))
    assert (paper < 0.1) == dark
    seen = page.evaluate("""() => [...document.querySelectorAll("p, li, th, td, figcaption, svg text, span")].map(each =>
        [getComputedStyle(each)[each.ownerSVGElement ? "fill" : "color"],
         parseFloat(getComputedStyle(each).fontSize) * (each.ownerSVGElement ?
            each.ownerSVGElement.getBoundingClientRect().width / each.ownerSVGElement.viewBox.baseVal.width : 1)])""")
    for color, size in seen:
        ink = luminance(map(int, re.findall(r"\d+", color)[:3]))
        contrast = (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)
        assert contrast >= 4.5 and size >= 10, (color, size)
    page.context.close()


def test_it_shows_in_a_notebook_as_the_page_itself(browser):
    page = browser.new_page()
    page.set_content(REPORTS["copies"]._repr_html_())
    assert REPORTS["copies"].verdict["sentence"] in page.frames[1].locator("main").inner_text()
    page.close()


def test_saving_asks_for_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *given: pytest.fail("a connection"))
    REPORTS["copies"].save(tmp_path / "audit.html")
    REPORTS["copies"].save(tmp_path / "audit.json")


def test_large_pictures_keep_the_page_small(tmp_path):
    rng = np.random.default_rng(0)
    sets = [rng.uniform(-1, 1, (24, 3, 200, 200)).astype(np.float32) for _ in range(3)]
    audit(*sets[:2], samples=sets[2], permutations=99).save(tmp_path / "audit.html")
    assert (tmp_path / "audit.html").stat().st_size < 1_500_000
