"""The definitions of this library: what each name at the top level of a module is bound to, and where a name leads.

Modules are parsed, never imported or run.
"""

from __future__ import annotations

import ast
import inspect
from collections import defaultdict
from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = __package__.partition(".")[0]
FOLDER = Path(__file__).parents[1]
LOOSE = "(statements)"  # in place of a name: the statements of a module that bind none


class Address(NamedTuple):
    """A module, by its dotted name, and the attributes that lead from it to what is meant."""

    module: str
    attributes: tuple[str, ...] = ()

    @property
    def is_ours(self) -> bool:
        return self.module.partition(".")[0] == PACKAGE

    def __str__(self) -> str:
        return ".".join([self.module, *self.attributes])


class Module:
    """A parsed module: the statements that bind each of its names, the imports that do, and the loose statements."""

    def __init__(self, path: Path, name: str = "", whole: bool = False):
        self.name, self.package = name, name if path.name == "__init__.py" else name.rpartition(".")[0]
        self.bound, self.imports = defaultdict(list), {}
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(statement, (ast.Import, ast.ImportFrom)) and not is_text(statement):
                names = _bound_names(statement)
                for bound in [LOOSE] if whole or not names else names:
                    self.bound[bound].append(statement)
                # A function that sets a global belongs to whatever that name means.
                for node in ast.walk(statement):
                    for changed in node.names if isinstance(node, ast.Global) else ():
                        self.bound[changed].append(statement)
            if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                self.imports |= self.imported(statement)

    def imported(self, statement: ast.stmt) -> dict[str, Address]:
        """What each name stands for that a statement imports, at whatever depth."""
        found = {}
        for node in ast.walk(statement):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.partition(".")[0]
                    found[alias.asname or first] = Address(alias.name if alias.asname else first)
            elif isinstance(node, ast.ImportFrom):
                package = self.package.split(".")
                above = package[:len(package) - node.level + 1] if node.level else []
                origin = ".".join([*above, *filter(None, [node.module])])
                found |= {alias.asname or alias.name: Address(origin, (alias.name,)) for alias in node.names}
        return found


class Definition(NamedTuple):
    """A name at the top level of a module; LOOSE stands for all statements that bind none."""

    module: Module
    name: str

    @property
    def statements(self) -> list[ast.stmt]:
        return self.module.bound.get(self.name, [])


def find(address: Address, without: Collection[str]) -> tuple[list[Definition | str], tuple[str, ...]]:
    """The definitions at an address, or the address itself where it is not of this library, and what is left of it."""
    module = _library(address.module)
    if module is None:
        return [str(address)], ()
    for index, part in enumerate(address.attributes):
        rest = address.attributes[index + 1:]
        if f"{module.name}.{part}" in without:
            return [f"{module.name}.{part}"], rest
        if part in module.bound:
            return [Definition(module, part)], rest
        submodule = _library(f"{module.name}.{part}")
        # A package that imports its own module by name binds what is there anyway.
        if part in module.imports and (submodule is None or module.imports[part] != (module.name, (part,))):
            origin, first = module.imports[part]
            return find(Address(origin, (*first, *rest)), without)
        if submodule is None:
            break
        module = submodule
    # The module itself is used as a value, or a name that it gets in a way that is not seen: all of it counts.
    inside = [target for each in module.imports.values() if each.is_ours for target in find(each, without)[0]]
    return [*(Definition(module, name) for name in module.bound), *inside], ()


@cache
def _parsed(path: Path, name: str, changed: int) -> Module:
    """The module in a file, read once as long as the file does not change."""
    return Module(path, name)


def _library(name: str) -> Module | None:
    """The module of this library with that name, None where there is none."""
    package, *parts = name.split(".")
    place = FOLDER.joinpath(*parts)
    for path in (place / "__init__.py", place.with_suffix(".py")) if package == PACKAGE else ():
        if path.is_file():
            return _parsed(path, name, path.stat().st_mtime_ns)
    return None


def definition_of(thing: Callable) -> Definition:
    """The definition of a function or class at the top level of a module, or of what it stands in."""
    try:
        path = Path(inspect.getfile(thing))
        module = _library(thing.__module__) or _parsed(path, thing.__module__, path.stat().st_mtime_ns)
    except (TypeError, OSError) as error:
        raise TypeError(f"the source of {thing!r} cannot be read; expected a function that is defined in a module: move "
                        "it from the notebook into a file.") from error
    return Definition(module, thing.__qualname__.partition(".")[0])


def _bound_names(statement: ast.stmt) -> list[str]:
    """The names that a definition or a plain assignment binds; none for any other statement."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else (
        [statement.target] if isinstance(statement, ast.AnnAssign) else [])
    names = [name for target in targets for name in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [name.id for name in names] if all(isinstance(name, ast.Name) for name in names) else []


def is_text(statement: ast.stmt) -> bool:
    """Whether a statement is a text alone, such as a docstring."""
    return (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            and isinstance(statement.value.value, str))
