"""How much there is to read: words, figures and captions of each page, and the minutes that the landing page names.

    python book/_ext/book_reading.py      # a line a page

Words are those of the prose with its tables: a formula within a line is one word, a cited work and a computed number as
well; code, displayed formulas and captions do not count. A reader of non-fiction takes 238 words a minute (Brysbaert 2019,
Journal of Memory and Language 109, 104047); for a figure with its caption half a minute is allowed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import jupytext
from docutils import nodes
from sphinx_external_toc.parsing import parse_toc_yaml

ROOT = Path(__file__).resolve().parents[2]
WORDS_A_MINUTE, FIGURES_A_MINUTE = 238, 2
UNREAD = [  # in this order: what is no prose, and what stands for one word or for its own text
    (r"^---\n.*?\n---\n", ""),
    (r"```\{raw\}.*?```|```(?:bash|python)\n.*?```", ""),
    (r"\$\$.*?\$\$(?: *\(eq-[\w-]+\))?", ""),
    (r"^ *:{3,}.*$|^ *`{3,}.*$|^ *:[\w-]+:.*$|^\|[ |:-]+\|$", ""),
    (r"\{cite:\w+\}`[^`]*`", "(work)"),
    (r"\{[\w:-]+\}`[^`]*`", "number"),
    (r"(?<!\\)\$[^$]+\$", "formula"),
    (r"\[([^\]]*)\]\([^)]*\)", r"\1"),
    (r"<[^>]+>", ""),
]


@dataclass(frozen=True)
class Reading:
    """What a page holds: words of prose, and {name of a figure: words of its caption}."""

    words: int
    captions: dict[str, int]

    @property
    def minutes(self) -> int:
        """Whole minutes that reading it takes, without the code."""
        return max(1, round(self.words / WORDS_A_MINUTE + len(self.captions) / FIGURES_A_MINUTE))


def words(text: str) -> int:
    """Return the number of words of a text in MyST markdown: what has a letter or a digit in it."""
    for pattern, instead in UNREAD:
        text = re.sub(pattern, instead, text, flags=re.MULTILINE | re.DOTALL if ".*?" in pattern else re.MULTILINE)
    return sum(bool(re.search(r"\w", word)) for word in text.split())


def prose(page: Path) -> list[str]:
    """Return the prose of a page: the text of a markdown file, the markdown cells of a chapter."""
    if page.suffix == ".md":
        return [page.read_text("utf8")]
    return [cell.source for cell in jupytext.read(page, fmt="py:percent").cells if cell.cell_type == "markdown"]


def captions(page: Path) -> dict[str, str]:
    """Return {name: caption} of the figures of a chapter."""
    if page.suffix == ".md":
        return {}
    figures = (cell.metadata.get("mystnb", {}).get("figure", {}) for cell in jupytext.read(page, fmt="py:percent").cells)
    return {figure["name"]: figure["caption"] for figure in figures if "caption" in figure}


def reading(page: Path) -> Reading:
    """Return what a page holds."""
    return Reading(sum(map(words, prose(page))), {name: words(text) for name, text in captions(page).items()})


def minutes(name, rawtext, text, lineno, inliner, options=None, content=None):
    """The role {minutes}`/notebooks/01_denoisers.py`: how long it takes to read a page, as "9 minutes"."""
    page = ROOT / text.lstrip("/")
    if not page.is_file():
        return [], [inliner.reporter.error(f"no page is named {text!r}", line=lineno)]
    inliner.document.settings.env.note_dependency(str(page))
    count = reading(page).minutes
    return [nodes.Text(f"{count} minute{'s' * (count > 1)}")], []


def setup(app):
    app.add_role("minutes", minutes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    print(f"{'page':40} {'words':>6} {'figures':>7} {'minutes':>7}   longest captions")
    for file in (ROOT / name for name in parse_toc_yaml(ROOT / "_toc.yml")):
        page = file if file.suffix else file.with_suffix(".md")
        held = reading(page)
        longest = sorted(held.captions.items(), key=lambda item: -item[1])[:3]
        print(f"{page.relative_to(ROOT).as_posix():40} {held.words:6} {len(held.captions):7} {held.minutes:7}   "
              + ", ".join(f"{name} {count}" for name, count in longest))
