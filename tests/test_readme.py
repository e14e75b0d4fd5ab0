"""The README is true: its cell is the chapter's, its commands, files and folders exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_cell_is_the_reuse_cell_of_chapter_1():
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1).strip()
    assert code in (ROOT / "notebooks" / "01_denoisers.py").read_text(encoding="utf-8")


def test_its_commands_are_targets_of_the_makefile():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"^ {4}make ([a-z]+)|`make ([a-z]+)", README, re.MULTILINE))
    assert {first or second for first, second in named} <= targets and len(named) >= 5


def test_its_links_and_its_folders_exist():
    links = re.findall(r"\]\(([^)]+)\)", README)
    layout = README.split("## The layout")[1].split("To work on")[0]
    folders = re.findall(r"\b([a-z]+/(?:[a-z]+/)?)", layout)
    assert len(links) >= 4 and len(folders) >= 6
    assert [path for path in links + folders if not (ROOT / path).exists()] == []
