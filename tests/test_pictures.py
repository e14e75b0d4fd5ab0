"""Pictures that chapters draw and other files show: each is still what its chapter draws."""

import io

import pytest
from conftest import ROOT
from executed import cache_folder, chapters, executed
from pictures import LIMIT, STATIC, distance, drawn
from PIL import Image, ImageDraw

CONTENT = {file.name: file.read_bytes() for file in STATIC.glob("*.png")}


@pytest.fixture(scope="module")
def pictures(book):
    """{file name: png}, as the executed chapters draw them."""
    notebooks = [executed(chapter, cache_folder(chapter, book.parent))[0] for chapter in chapters()]
    return {name: content for notebook in notebooks for name, content in drawn(notebook).items()}


@pytest.mark.slow
def test_every_picture_is_what_a_chapter_draws(pictures):
    assert pictures.keys() == CONTENT.keys()
    apart = {name: round(distance(CONTENT[name], pictures[name]), 2) for name in pictures}
    assert max(apart.values()) <= LIMIT, f"{apart} grey levels from what the chapters draw; `make pictures` renews them"


def png(picture) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "png")
    return stream.getvalue()


def test_the_distance_is_of_grey_levels_and_sees_a_small_fault():
    picture = Image.open(io.BytesIO(CONTENT["copies.png"])).convert("L").point(lambda level: min(level, 200))
    assert distance(png(picture), png(picture)) == 0
    assert distance(png(picture), png(picture.point(lambda level: level + 3))) == pytest.approx(3)
    assert LIMIT < distance(png(picture), png(picture.resize((picture.width // 2, picture.height // 2)))) < 255
    assert distance(png(picture), png(picture.resize((picture.width, picture.height // 2)))) == 255
    wrong = picture.copy()
    ImageDraw.Draw(wrong).rectangle((150, 10, 160, 20), fill=128)  # a corner of one of the forty images
    assert distance(png(picture), png(wrong)) > LIMIT


def test_readers_find_them_in_their_proportions():
    html = (STATIC / "flow-field.html").read_text("utf8")
    width, height = Image.open(io.BytesIO(CONTENT["flow-field.png"])).size
    assert f'src="flow-field.png" width="{width}" height="{height}"' in html
    assert "book/_static/copies.png" in (ROOT / "README.md").read_text("utf8")
