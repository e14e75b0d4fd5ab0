"""The words of the book do not depend on the processor: built under plain kernels, it says the same."""

import math
import re
from itertools import zip_longest

import pytest
from bs4 import BeautifulSoup
from check_book import pages

pytestmark = pytest.mark.slow
NUMBER = re.compile(r"([-−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)")


def words(page) -> list[str]:
    """Return the words of a built page's article, but for what it says of the machine at hand."""
    article = BeautifulSoup(page.read_text("utf8"), "html.parser").select_one("article.bd-article")
    for own in article.select(".of-this-machine"):
        own.decompose()
    return article.get_text(" ").split()


def alike(first: str, second: str) -> bool:
    """Whether two words are equal, but for the last digit of the numbers with decimals in them.

    That digit may differ by one. Of a number with more than six significant digits, printed raw, the fifth is the last:
    what stands behind it was not written for a reader. A whole number is a count, and must be equal.
    """
    split, other = NUMBER.split(first), NUMBER.split(second)
    return split[::2] == other[::2] and all(map(close, split[1::2], other[1::2]))


def close(first: str, second: str) -> bool:
    if first == second:
        return True
    if not all("." in text or "e" in text for text in (first, second)):
        return False
    values = [float(text.replace(",", "").replace("−", "-")) for text in (first, second)]
    return abs(values[0] - values[1]) <= 1.000001 * max(map(unit, (first, second), values))


def unit(text: str, value: float) -> float:
    """Return the value of the last digit of a number as it is printed, the fifth where more than six are."""
    mantissa, _, exponent = text.replace(",", "").partition("e")
    last = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    significant = len(re.sub(r"\D", "", mantissa).lstrip("0"))
    return last if significant <= 6 else 10.0 ** (math.floor(math.log10(abs(value))) - 4)


@pytest.mark.parametrize("first, second, same", [
    ("0.66", "0.67", True), ("0.66", "0.68", False), ("(0.123456789,", "(0.123461,", True),
    ("1.23456789", "1.23476789", False),
    ("10", "11", False), ("2e-07", "3e-07", True), ("2e-07", "2e-06", False), ("-0.00", "0.00", True),
    ("57.1%", "57.2", False),
    ("1,234.5", "1,234.6", True), ("islands", "region", False), ("x1.0y2.5", "x1.1y2.4", True),
    ("0.99999999", "1.0000001", True),
])
def test_the_rule(first, second, same):
    assert alike(first, second) == same == alike(second, first)


@pytest.mark.parametrize("page", pages())
def test_a_page_says_the_same_under_plain_kernels(book, plain_book, page):
    pairs = enumerate(zip_longest(words(book / page), words(plain_book / page), fillvalue=""))
    places = [f"word {at}: {here!r}, under plain kernels {plain!r}" for at, (here, plain) in pairs if not alike(here, plain)]
    assert places == [], f"{page} says other words under plain kernels ({len(places)} places); mend what is not " \
                         "determined, or give a machine's own number the class `of-this-machine`:\n" + "\n".join(places[:20])
