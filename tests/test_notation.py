"""One meaning a symbol: all mathematics of the chapters, captions and labels is on the notation page or declared."""

import ast
import re
from collections import Counter

import pytest
from book_reading import captions, prose
from cells import code_cells
from conftest import ROOT
from executed import chapters

NOTATION = ROOT / "book" / "notation.md"
GREEK = {"alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu",
         "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "varphi", "chi", "psi", "omega", "ell", "Gamma", "Delta",
         "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega"}
WORDS = re.compile(r"\\(?:text|mathrm|operatorname|begin|end)\*?\{[^}]*\}|\\[,;:! ]")
INDEX = re.compile(r"_(?:\\text)?(?:\{(?:[^{}]|\{[^{}]*\})*\}|\\[A-Za-z]+|[A-Za-z0-9])")
SYMBOL = re.compile(r"\\(?:mathcal|mathbb)\s*\{?[A-Z]\}?|\\[A-Za-z]+|[A-Za-z]")


def formulas(text: str) -> list[str]:
    """Return the formulas of a text, displayed and within lines."""
    without_code = re.sub(r"```(?:bash|python)\n.*?```|`[^`\n]+`", "", text, flags=re.DOTALL)
    return [shown or inline for shown, inline in re.findall(r"\$\$(.+?)\$\$|(?<!\\)\$([^$]+?)\$", without_code, re.DOTALL)]


def symbols(formula: str) -> set[str]:
    """Return the letters of a formula, Latin, Greek and those of a special alphabet: not words, functions and indices."""
    found = SYMBOL.findall(INDEX.sub(" ", WORDS.sub(" ", formula)))
    plain = {re.sub(r"[\s{}]", "", each) for each in found}
    return {each for each in plain if len(each) == 1 or each[1:] in GREEK or each.startswith((r"\mathcal", r"\mathbb"))}


def entries(page: str) -> list[str]:
    """Return the formulas of the first column of the tables of a page."""
    rows = (line.split("|")[1] for line in page.splitlines() if line.startswith("|"))
    return [formula for cell in rows for formula in formulas(cell)]


def declared(texts: list[str]) -> set[str]:
    """Return the symbols that stand alone in the paragraphs of a page that begin with "On this page"."""
    paragraphs = (each for text in texts for each in re.split(r"\n\s*\n", text) if each.startswith("On this page"))
    shown = [formula for paragraph in paragraphs for formula in formulas(paragraph)]
    alone = [formula for formula in shown if re.fullmatch(r"\\?[A-Za-z]+", INDEX.sub("", formula))]
    return {symbol for formula in alone for symbol in symbols(formula)}


def drawn(chapter) -> list[str]:
    """Return the texts with formulas that a chapter's code holds: the labels in its figures."""
    texts = []
    for cell in code_cells(chapter):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.JoinedStr):  # what is computed is taken for a number
                texts.append("".join(part.value if isinstance(part, ast.Constant) else "0" for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return [text for text in texts if text.count("$") > 1]


PAGE = NOTATION.read_text("utf8")
KNOWN = {symbol for formula in entries(PAGE) for symbol in symbols(formula)}


@pytest.mark.parametrize("path", [*chapters(), NOTATION], ids=lambda path: path.stem)
def test_every_symbol_is_on_the_notation_page_or_declared(path):
    texts, own = prose(path), declared(prose(path))
    if path != NOTATION:
        texts = [*texts, *captions(path).values(), *drawn(path)]
    assert not own & KNOWN, "declared on this page, and with another meaning on the notation page"
    used = {symbol: formula for text in texts for formula in formulas(text) for symbol in symbols(formula)}
    assert {symbol: used[symbol] for symbol in used.keys() - KNOWN - own} == {}


def test_the_notation_page_gives_a_symbol_one_meaning():
    assert [symbol for symbol, count in Counter(entries(PAGE)).items() if count > 1] == []


@pytest.mark.parametrize("formula, expected", [
    (r"x = y + \sigma \varepsilon, \qquad \varepsilon \sim \mathcal N(0, I)",
     {"x", "y", r"\sigma", r"\varepsilon", r"\mathcalN", "I"}),
    (r"\frac{E_\text{holdout}(\sigma)}{E_{train, k}}", {"E", r"\sigma"}),
    (r"\mathrm{KL}(Q \,\|\, P)", {"Q", "P"}), (r"\sum_{i=1}^{n} e^{-a^2/2}", {"n", "e", "a"}),
    (r"\mathbb E[y \mid x] + \operatorname{tr} S", {r"\mathbbE", "y", "x", "S"}), (r"10^{-4}", set()),
    (r"W_2^2/d", {"W", "d"}), (r"\sigma_\text{max}", {r"\sigma"}),
])
def test_symbols_of_a_formula(formula, expected):
    assert symbols(formula) == expected


def test_what_a_page_declares():
    paragraph = "On this page, $\\chi$ is a share and $\\ell_0$ a length; $x = 3$ and $a + b$ are not declared."
    assert declared([f"Text $v$.\n\n{paragraph}"]) == {r"\chi", r"\ell"}
    assert formulas("`code $x$` and $a$\n\n$$\nb = c\n$$ (eq-b)") == ["a", "\nb = c\n"]
