"""The house: each floor of the library imports only from those below it, and the README says which floors there are."""

import ast
import re
from pathlib import Path

import nearsight
import pytest
from conftest import ROOT

LIBRARY = Path(nearsight.__file__).parent
GROUND = ("checks", "files", "noise", "randomness", "quadrature")
FLOORS = (GROUND, ("denoisers",), ("gaussian", "tree", "networks", "datasets"), ("sampling", "training"), ("measures",),
          ("flow", "shares", "auditing"), ("studies",))
BESIDE = ("records", "page")  # beside the tower, on the ground floor alone; studies are written for records
LEVEL = {name: level for level, floor in enumerate(FLOORS) for name in floor}
FILES = [path for path in LIBRARY.rglob("*.py") if path.relative_to(LIBRARY).parts[0] not in ("__init__.py", "__main__.py")]


def home(path: Path) -> str:
    """The module or package of the ground floor of the house that a file belongs to."""
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def allowed(name: str) -> set[str]:
    """What a module or package may import from the library: itself, and all floors below."""
    if name in GROUND or name in BESIDE:
        return {name, *GROUND}
    return {name} | {other for other in LEVEL if LEVEL[other] < LEVEL[name]} | ({"records"} if name == "studies" else set())


def imported(path: Path) -> set[str]:
    """The modules and packages of the ground floor of the house that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "nearsight":
            found |= {node.module.split(".")[1]} if "." in node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("nearsight.")}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(LIBRARY).as_posix())
def test_a_module_imports_from_its_floor_and_those_below(path):
    assert imported(path) <= allowed(home(path))


def test_the_ground_floor_has_fewer_than_twenty_names_and_all_are_on_the_plan():
    plan = {*LEVEL, *BESIDE}
    assert {home(path) for path in FILES} <= plan and len(plan) < 20


def test_the_readme_shows_the_floors_as_they_are():
    layout = (ROOT / "README.md").read_text(encoding="utf-8").split("## The layout")[1].split("    tests/")[0]
    shown = [tuple(line.split()) for line in re.findall(r"^ {23}(\S.*?) {3,}", layout, re.MULTILINE)]
    there = {home(path) for path in FILES}
    assert shown == [tuple(name for name in floor if name in there) for floor in (*FLOORS, BESIDE)]


@pytest.mark.parametrize("name", ["gaussian", "tree", "shares", "datasets", "networks", "training", "measures"])
def test_what_others_write_against_is_importable(name):
    assert getattr(__import__(f"nearsight.{name}"), name)
    assert all(getattr(nearsight, public) for public in nearsight.__all__)
