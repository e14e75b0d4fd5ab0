"""The explorable figure of study 2 in a real browser: from its files alone, and within the built chapter."""

import re
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from conftest import ROOT
from nearsight.datasets import ring
from nearsight.denoisers import EmpiricalDenoiser, RingDenoiser
from nearsight.flow import excess_risk, gap_map, place_gap
from nearsight.measures.gaps import denoising_error
from nearsight.quadrature import polar

pytestmark = pytest.mark.slow
STATIC = ROOT / "book" / "_static"
NOISE, WEIGHTS = polar(8, 12, 5.0)
RULE = {"noise": NOISE[:, None], "weights": WEIGHTS}


@dataclass
class Figure:
    page: object
    frame: object
    requests: list
    messages: list

    def call(self, name, *arguments):
        """A pure function of the page, with lists for tensors and infinities as the string JSON has none for."""
        return self.frame.evaluate("([name, given]) => window.nearsightFlow[name](...given)", [name, list(arguments)])

    def fragment(self):
        given = dict(pair.split("=") for pair in self.frame.evaluate("location.hash")[1:].split("&"))

        def places(text):
            return torch.tensor([[float(value) for value in pair.split(",")] for pair in text.split(";")],
                                dtype=torch.float64)

        return float(given["s"]), float(given["d"]), places(given["q"]), places(given["p"])

    def after(self, action):
        """Wait until the fragment, which is written once things rest, tells the effect of an action."""
        old = self.frame.evaluate("location.hash")
        action()
        self.frame.wait_for_function("old => location.hash !== old", arg=old)
        self.frame.wait_for_timeout(700)
        return self.fragment()

    def reads(self, name):
        return self.frame.locator(f"#{name}").inner_text()

    def number(self, name):
        return float(self.reads(name).replace("−", "-"))

    def check_against_the_library(self):
        """Every read-out, and the gap at 20 random places, is the library's for the points, sigma and delta at hand."""
        sigma, delta, probe, points = self.fragment()
        denoiser = EmpiricalDenoiser(points, delta)
        found = gap_map(denoiser, points, sigma, NOISE, WEIGHTS, pixels=61).islands()
        assert self.reads("islands") == ("1 region" if found == 1 else f"{found} islands" if found else "no region")
        assert abs(self.number("gap") - place_gap(denoiser, points, probe, sigma, NOISE, WEIGHTS)) <= 5.01e-4
        assert abs(self.number("train") - denoising_error(denoiser, points, [sigma], "norm", **RULE)) <= 5.01e-4
        risk = excess_risk(denoiser, RingDenoiser(10.0), ring(120), [sigma], **RULE)
        assert abs(self.number("risk") - risk) <= 5.01e-4
        places = 15 * (2 * torch.rand(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(7)) - 1)
        expected = place_gap(denoiser, points, places, sigma, NOISE, WEIGHTS)
        computed = [self.call("gap", *place, points.tolist(), sigma, delta) for place in places.tolist()]
        torch.testing.assert_close(torch.tensor(computed, dtype=torch.float64), expected, atol=1e-6, rtol=0)


def watched(page, file, requests, messages):
    page.on("request", lambda request: requests.append(request.url))
    # The theme of the book logs as well; what the figure logs names its own file.
    page.on("console", lambda message: messages.append(message.text)
            if message.type in ("error", "warning") or "flow-field" in message.location["url"] else None)
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(file.as_uri())
    if file.parent == STATIC:
        return page.main_frame
    # Typesetting moves what is below it.
    page.evaluate("() => window.MathJax?.startup?.promise.then(() => null)")
    frame = page.locator("iframe[title]")
    frame.scroll_into_view_if_needed()  # out of sight it is not drawn, and does not wait to be
    return frame.element_handle().content_frame()


@pytest.fixture(scope="module", params=["file", "chapter"])
def place(request):
    """The figure's own file, or the chapter of the built book that holds it."""
    if request.param == "file":
        return STATIC / "flow-field.html"
    return request.getfixturevalue("book") / "notebooks" / "03_flow_field.html"


def opened(browser, place):
    requests, messages = [], []
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    frame = watched(page, place, requests, messages)
    frame.wait_for_function("location.hash !== ''")
    frame.locator("#explorer").scroll_into_view_if_needed()
    return Figure(page, frame, requests, messages)


@pytest.fixture
def figure(place, browser):
    figure = opened(browser, place)
    yield figure
    figure.page.close()


@pytest.fixture(scope="module")
def alone(browser):
    figure = opened(browser, STATIC / "flow-field.html")
    yield figure
    figure.page.close()


def test_both_files_are_small():
    assert sum((STATIC / f"flow-field.{kind}").stat().st_size for kind in ("html", "js")) < 40_000


def configurations(count, seed):
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape):
        return torch.rand(*shape, dtype=torch.float64, generator=generator)

    for index in range(count):
        points = 15 * (2 * uniform(1 + index % 24, 2) - 1)
        sigma, delta = 0.05 * 800 ** float(uniform(1)), 3.5 * float(uniform(1)) * (index % 5 > 0)
        yield points, sigma, delta, 15 * (2 * uniform(3, 2) - 1)


class TestArithmetic:
    def test_the_rule_is_the_librarys(self, alone):
        rule = alone.frame.evaluate("window.nearsightFlow.rule")
        torch.testing.assert_close(torch.tensor(rule["noise"], dtype=torch.float64), NOISE, atol=1e-14, rtol=0)
        torch.testing.assert_close(torch.tensor(rule["weights"], dtype=torch.float64), WEIGHTS, atol=1e-14, rtol=0)

    def test_predictions_errors_and_gaps_agree(self, alone):
        for points, sigma, delta, places in configurations(200, seed=0):
            denoiser = EmpiricalDenoiser(points, delta)
            mine = torch.tensor([alone.call("denoise", *place, points.tolist(), sigma, delta)
                                 for place in places.tolist()], dtype=torch.float64)
            torch.testing.assert_close(mine, denoiser(places, sigma), atol=1e-10, rtol=0)
            train = denoising_error(denoiser, points, [sigma], "norm", **RULE)
            assert abs(alone.call("trainError", points.tolist(), sigma, delta) - train) < 1e-10
            # A gap is a ratio: its error is that of the errors over the training error.
            if train > 1e-3:
                gap = place_gap(denoiser, points, places[:1], sigma, NOISE, WEIGHTS)
                found = alone.call("gap", *places[0].tolist(), points.tolist(), sigma, delta)
                assert abs(found - gap) < 1e-10 / min(1, float(train))

    def test_maps_and_islands_agree(self, alone):
        for points, sigma, delta, _ in configurations(40, seed=1):
            train = denoising_error(EmpiricalDenoiser(points, delta), points, [sigma], "norm", **RULE)
            if train < 1e-3:
                continue
            expected = gap_map(EmpiricalDenoiser(points, delta), points, sigma, NOISE, WEIGHTS, pixels=61)
            assert alone.call("islands", points.tolist(), sigma, delta, 0.5) == expected.islands()

    def test_the_excess_risk_agrees(self, alone):
        truth = RingDenoiser(10.0)
        for points, sigma, delta, _ in configurations(30, seed=2):
            risk = excess_risk(EmpiricalDenoiser(points, delta), truth, ring(120), [sigma], **RULE)
            assert abs(alone.call("excessRisk", points.tolist(), sigma, delta) - risk) < 1e-9

    def test_the_bessel_ratio_agrees_on_both_branches(self, alone):
        kappa = torch.cat([torch.zeros(1), torch.logspace(-6, 6, 200)]).double()
        expected = torch.special.i1e(kappa) / torch.special.i0e(kappa)
        found = torch.tensor([alone.call("besselRatio", value) for value in kappa.tolist()], dtype=torch.float64)
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


class TestKeyboard:
    def focus(self, figure, name):
        figure.frame.locator("#plane button").first.focus()
        for _ in range(40):
            if re.match(name, figure.frame.evaluate("document.activeElement.getAttribute('aria-label') ?? ''")):
                return
            figure.page.keyboard.press("Tab")
        pytest.fail(f"Tab never reached {name!r}.")

    def test_arrows_move_a_point(self, figure):
        *_, before = figure.fragment()
        self.focus(figure, "training point 3 of 10")

        def moves():
            for key in ("ArrowRight", "ArrowRight", "Shift+ArrowDown"):
                figure.page.keyboard.press(key)

        *_, after = figure.after(moves)
        expected = before.clone()
        expected[2] += torch.tensor([0.2, -1.0], dtype=torch.float64)
        torch.testing.assert_close(after, expected, atol=1e-9, rtol=0)
        label = figure.frame.evaluate("document.activeElement.getAttribute('aria-label')")
        x, y = (f"{value:.1f}".replace("-", "−") for value in expected[2].tolist())
        assert label == f"training point 3 of 10, x {x}, y {y}"
        figure.check_against_the_library()
        torch.testing.assert_close(figure.after(lambda: figure.page.keyboard.press("Escape"))[3], before)

    def test_points_can_be_removed_added_and_restored(self, figure):
        *_, before = figure.fragment()
        self.focus(figure, "training point 4 of 10")
        *_, fewer = figure.after(lambda: figure.page.keyboard.press("Delete"))
        assert torch.equal(fewer, torch.cat([before[:3], before[4:]]))
        label = figure.frame.evaluate("document.activeElement.getAttribute('aria-label')")
        assert label.startswith("training point 4 of 9")
        figure.check_against_the_library()
        *_, restored = figure.after(lambda: figure.page.keyboard.press("Escape"))
        assert torch.equal(restored, before)
        figure.frame.locator("#add").focus()
        *_, more = figure.after(lambda: figure.page.keyboard.press("Enter"))
        assert len(more) == 11 and torch.equal(more[:10], before)
        figure.check_against_the_library()

    @pytest.mark.parametrize("name", ["sigma", "delta"])
    def test_a_slider_says_its_value(self, figure, name):
        slider = figure.frame.locator(f"#{name}")
        slider.focus()

        def presses():
            for _ in range(4):
                figure.page.keyboard.press("PageDown")

        state = figure.after(presses)
        value = state[0] if name == "sigma" else state[1]
        assert value < (1.07 if name == "sigma" else 1.2)
        assert slider.get_attribute("aria-valuetext") == f"{name} {value:g}"
        assert figure.reads(f"{name}-value") == f"{value:g}"
        figure.check_against_the_library()


class TestDragging:
    def drag(self, figure, index, by):
        figure.frame.locator("#plane").scroll_into_view_if_needed()
        box = figure.frame.locator("#plane button").nth(index).bounding_box()
        start = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        yield start
        for step in (0.3, 0.7, 1.0):
            yield start[0] + step * by[0], start[1] + step * by[1]

    def test_by_mouse_with_both_sliders(self, figure):
        *_, before = figure.fragment()

        def drags():
            path = self.drag(figure, 2, (-40, 25))
            figure.page.mouse.move(*next(path))
            figure.page.mouse.down()
            for place in path:
                figure.page.mouse.move(*place)
            figure.page.mouse.up()

        *_, after = figure.after(drags)
        scale = 30 / figure.frame.locator("#field").bounding_box()["width"]
        moved = after[1] - before[1]
        torch.testing.assert_close(moved, torch.tensor([-40.0, -25.0]).double() * scale, atol=0.05, rtol=0)
        for name, share in (("sigma", 0.55), ("delta", 0.42)):
            box = figure.frame.locator(f"#{name}").bounding_box()
            figure.after(lambda: figure.page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2))
        figure.check_against_the_library()

    def test_by_touch_without_scrolling(self, place, browser):
        context = browser.new_context(viewport={"width": 320, "height": 640}, has_touch=True, is_mobile=True)
        page = context.new_page()
        figure = Figure(page, watched(page, place, [], []), [], [])
        figure.frame.wait_for_function("location.hash !== ''")
        figure.frame.locator("#plane").scroll_into_view_if_needed()
        *_, before = figure.fragment()
        scrolled = page.evaluate("scrollY")
        session = context.new_cdp_session(page)

        def touches():
            path = list(self.drag(figure, 3, (6, 70)))
            for kind, (x, y) in zip(["touchStart", *["touchMove"] * 3], path):
                session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
            session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

        *_, after = figure.after(touches)
        assert (after - before).norm(dim=1).gt(1).tolist() == [False, False, True, *[False] * 7]
        assert page.evaluate("scrollY") == scrolled and figure.frame.evaluate("scrollY") == 0
        figure.check_against_the_library()
        context.close()


class TestPresets:
    @pytest.mark.parametrize(("delta", "expected"), [("2.0", "1 region"), ("1.6", "1 region"), ("1.2", "10 islands")])
    def test_the_map_falls_apart(self, figure, delta, expected):
        if delta == "1.2":
            figure.after(lambda: figure.frame.get_by_role("button", name="delta 1.6").click())
        figure.after(lambda: figure.frame.get_by_role("button", name=f"delta {delta}").click())
        assert figure.reads("islands") == expected
        assert expected in figure.frame.locator("#live").inner_text()
        assert expected in figure.frame.locator("#field").get_attribute("aria-label")
        figure.check_against_the_library()

    def test_each_draws_something_else(self, figure):
        pictures = []
        for preset in range(6):
            button = figure.frame.locator(f"[data-preset='{preset}']")
            button.click()
            figure.frame.wait_for_timeout(700)
            assert button.get_attribute("aria-pressed") == "true"
            pictures.append(figure.frame.evaluate("document.getElementById('field').toDataURL()"))
        assert len(set(pictures)) == 6
        colors = figure.frame.evaluate("""() => {
            const canvas = document.getElementById("field");
            const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            return new Set(new Uint32Array(data.buffer)).size;
        }""")
        assert colors > 50

    def test_random_points_and_the_lattice(self, figure):
        *_, before = figure.fragment()
        *_, drawn = figure.after(lambda: figure.frame.locator("#random").click())
        assert (drawn.norm(dim=1) - 10).abs().max() < 1e-4 and not torch.equal(drawn, before)
        figure.check_against_the_library()
        assert torch.equal(figure.after(lambda: figure.frame.locator("#lattice").click())[3], before)

    def test_points_kept_on_the_ring(self, figure):
        figure.frame.locator("#ring").click()
        figure.frame.locator("#plane button").nth(4).focus()
        *_, points = figure.after(lambda: figure.page.keyboard.press("Shift+ArrowUp"))
        assert (points.norm(dim=1) - 10).abs().max() < 1e-4

    def test_the_fragment_holds_the_view(self, figure):
        figure.after(lambda: figure.frame.locator("#random").click())
        view = figure.frame.evaluate("location.hash"), figure.reads("gap"), figure.reads("risk")
        figure.frame.goto(f"{figure.frame.url.split('#')[0]}#s=2&d=0.5&n=12")
        figure.frame.wait_for_function("location.hash.includes('&p=')")
        sigma, delta, _, points = figure.fragment()
        assert (sigma, delta, len(points)) == (2, 0.5, 12)
        figure.frame.evaluate("hash => { location.hash = hash; }", view[0])
        figure.frame.wait_for_timeout(700)
        assert (figure.frame.evaluate("location.hash"), figure.reads("gap"), figure.reads("risk")) == view


def test_nothing_leaves_the_page_and_nothing_is_logged(figure):
    figure.after(lambda: figure.frame.locator("#random").click())
    assert all(re.match(r"file:|data:", address) for address in figure.requests)
    assert figure.messages == []


def test_without_javascript_the_still_is_there(place, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    frame = watched(page, place, [], [])
    still = frame.locator("noscript img")
    assert still.is_visible() and still.bounding_box()["width"] > 200
    alt = still.get_attribute("alt")
    assert "ten islands" in alt and "1.6" in alt and "annulus" in alt and alt.endswith(".")
    assert not frame.locator("#explorer").is_visible()
    context.close()


def luminance(color):
    channels = [int(value) / 255 for value in re.findall(r"\d+", color)[:3]]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear))


class TestAccessibility:
    def test_everything_that_acts_has_a_name_and_stands_in_order(self, figure):
        controls = figure.frame.evaluate("""() => {
            const name = each => each.getAttribute("aria-label") || each.textContent || each.labels[0].textContent;
            return [...document.querySelectorAll("button, input, a[href], [tabindex]")].map(
                each => ({tab: each.tabIndex, height: each.getBoundingClientRect().height, name: name(each)}));
        }""")
        assert len(controls) == 11 + 2 + 6 + 4
        assert all(control["name"].strip() and control["tab"] == 0 and control["height"] >= 24 for control in controls)
        names = [control["name"] for control in controls]
        assert len(set(names)) == len(names)
        assert names[0].startswith("probe") and names[1].startswith("training point 1 of 10")
        assert names[11:13] == ["noise level σ", "model error δ"]

    def test_roles_and_the_live_region(self, figure):
        tree = figure.frame.locator("main").aria_snapshot()
        for role in ('heading "The flow field', 'img "Field lines', 'slider "noise level σ"', 'slider "model error δ"',
                     'group "Points"', 'button "keep on the ring"', "status"):
            assert role in tree, (role, tree)
        assert figure.frame.evaluate("document.documentElement.lang") == "en"
        assert figure.frame.evaluate("document.title")
        assert figure.frame.locator("#live").get_attribute("aria-live") == "polite"

    def test_focus_is_visible(self, figure):
        figure.frame.locator("#sigma").focus()
        figure.page.keyboard.press("Tab")
        assert figure.frame.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_contrast(self, figure, scheme):
        figure.page.emulate_media(color_scheme=scheme)
        for pressed in ("[data-preset='5']", "body", "label", "dt", "dd", "small", "legend", "#add"):
            text, back, page = figure.frame.evaluate("""selector => {
                const style = getComputedStyle(document.querySelector(selector));
                return [style.color, style.backgroundColor, getComputedStyle(document.body).backgroundColor];
            }""", pressed)
            back = page if back == "rgba(0, 0, 0, 0)" else back
            low, high = sorted((luminance(text), luminance(back)))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (pressed, text, back)
        variables = figure.frame.evaluate("""() => ["back", "region", "contour", "dot", "text"].map(
            name => getComputedStyle(document.body).getPropertyValue("--" + name))""")
        back, region, *inks = (luminance(str([int(value[i:i + 2], 16) for i in (1, 3, 5)])) for value in variables)
        for ink in inks:
            for ground in (back, region):
                low, high = sorted((ink, ground))
                assert (high + 0.05) / (low + 0.05) >= 4.5

    @pytest.mark.parametrize("width", [320, 640])
    def test_narrow_and_zoomed_pages_do_not_scroll_sideways(self, browser, width):
        page = browser.new_page(viewport={"width": width, "height": 480})
        page.goto((STATIC / "flow-field.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        boxes = page.evaluate("""() => [...document.querySelectorAll("fieldset button, input")].map(control => {
            const box = control.getBoundingClientRect();
            return [box.left, box.right, box.top];
        })""")
        assert all(left >= 0 and right <= width for left, right, _ in boxes)
        assert all(first <= second for (*_, first), (*_, second) in pairwise(boxes))
        page.close()
