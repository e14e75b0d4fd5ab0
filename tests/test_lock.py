"""The lock: exact, whole, in step with pyproject.toml, and what is installed here."""

import tomllib
from importlib.metadata import distribution, version
from itertools import chain

from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LINES = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and not line.startswith("#")]
LOCKED = {canonicalize_name(name): pin for name, pin in (line.split("==") for line in LINES)}


def wanted() -> list[tuple[str, Requirement]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    named = [*project["build-system"]["requires"], *project["project"]["dependencies"], *chain(*extras.values())]
    return [("pyproject.toml", Requirement(line)) for line in named]


def test_every_line_pins_one_version_and_they_are_sorted():
    assert sorted(LINES) == LINES
    assert len(LOCKED) == len(LINES)


def test_the_lock_holds_all_that_is_needed_and_nothing_else():
    seen, todo = set(), wanted()
    while todo:
        source, need = todo.pop()
        name = canonicalize_name(need.name)
        assert name in LOCKED, f"{source} needs {need}, which the lock lacks"
        assert need.specifier.contains(LOCKED[name]), f"{source} needs {need}, and the lock has {LOCKED[name]}"
        for extra in {"", *need.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                deeper = map(Requirement, distribution(name).requires or [])
                todo += [(name, need) for need in deeper if not need.marker or need.marker.evaluate({"extra": extra})]
    assert set(LOCKED) == {name for name, _ in seen}


def test_what_is_installed_is_what_is_locked():
    assert {name: version(name).split("+")[0] for name in LOCKED} == LOCKED
