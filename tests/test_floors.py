"""The house: each floor of the library imports only from those below it, and is found where the design says."""

import ast
from pathlib import Path

import nearsight
import pytest

LIBRARY = Path(nearsight.__file__).parent
GROUND = ("checks", "files", "noise", "randomness", "quadrature")
FLOORS = (GROUND, ("denoisers",), ("gaussian", "tree", "networks", "datasets"), ("sampling", "training"), ("measures",),
          ("flow", "shares", "auditing"), ("studies",))
BESIDE = ("records", "page")  # beside the tower, on the ground floor alone; the studies are written for records
LEVEL = {name: level for level, floor in enumerate(FLOORS) for name in floor}
MODULES = sorted(path for path in LIBRARY.rglob("*.py") if (path.name != "__main__.py" and path.parent != LIBRARY)
                 or path.stem in LEVEL)


def below(name: str) -> set[str]:
    """What a module or package of the ground floor of the house may import, itself included."""
    if name in BESIDE:
        return {name, *GROUND}
    allowed = {other for other, level in LEVEL.items() if level < LEVEL[name]} | {name}
    same = {"sampling", "training", "flow", "shares", "auditing"} & set(FLOORS[LEVEL[name]])
    return allowed | same | ({"records"} if name == "studies" else set()) | (set(GROUND) if name in GROUND else set())


def imported(path: Path) -> set[str]:
    """The modules and packages of the ground floor of the house that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "nearsight":
            inside = node.module.split(".")[1:]
            found |= {inside[0]} if inside else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("nearsight.")}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(LIBRARY).as_posix())
def test_a_module_imports_from_its_floor_and_those_below(path):
    name = path.relative_to(LIBRARY).parts[0].removesuffix(".py")
    assert imported(path) <= below(name)


def test_the_ground_floor_has_fewer_than_twenty_names_and_all_are_on_the_plan():
    names = {path.stem for path in LIBRARY.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert names - {"__init__", "__main__"} <= set(LEVEL) | set(BESIDE)
    assert len(set(LEVEL) | set(BESIDE)) < 20


@pytest.mark.parametrize("name", ["gaussian", "shares", "datasets", "networks", "training", "measures"])
def test_what_others_write_against_is_importable(name):
    assert getattr(__import__(f"nearsight.{name}"), name)
    assert all(getattr(nearsight, public) for public in nearsight.__all__)
