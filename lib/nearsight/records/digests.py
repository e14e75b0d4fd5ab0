"""What a computation means: a digest over its definition and all library definitions that it reaches.

A definition is a function, a class or a constant at the top level of a module. Its digest is taken over its syntax tree
without comments, docstrings and positions, in which each name that it takes from elsewhere is replaced by what the name
stands for: a definition of this library by its number in the order of discovery, anything else by where it is imported
from. So layout, the names of modules and functions, and where they stand do not count; what is computed does. Nothing
is imported or run for it.

Where it cannot tell it counts too much rather than too little: a module that is handed on as a value counts whole, as do
all statements at the top level of a module that bind no name, and all functions that set a name with `global`.
"""

from __future__ import annotations

import ast
import hashlib
import symtable
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path

from nearsight.records import definitions
from nearsight.records.definitions import LOOSE, Address, Definition, Module, definition_of, find, is_text


@dataclass(frozen=True)
class Meaning:
    """The digest of all that a computation reaches, and of each definition by its name, to tell which one changed."""

    digest: str
    definitions: dict[str, str]

    def changes(self, recorded: Meaning) -> tuple[str, ...]:
        """The names of the definitions that are not as recorded; empty where nothing changed."""
        if self.digest == recorded.digest:
            return ()
        old, new = recorded.definitions, self.definitions
        changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
        return tuple(changed) or ("what a name refers to",)


def meaning(computation: Callable, config: object = None) -> Meaning:
    """Return the meaning of a computation with a configuration, whose types count as well.

    Raises TypeError where their source cannot be read, as for a function that was typed into a notebook.
    """
    return _meaning(tuple(definition_of(each) for each in (computation, *_types(config))), _stamps())


def script_digest(path: Path, without: Collection[str] = ()) -> str:
    """Return the digest of a script and of all that it reaches, but for the definitions named in `without`.

    A name is given as in "nearsight.studies.find".
    """
    return _Reach([Definition(Module(path, whole=True), LOOSE)], without).meaning.digest


@cache
def _meaning(roots: tuple[Definition, ...], stamps: tuple[tuple[Path, int], ...]) -> Meaning:
    """The meaning of some roots while the library's files have these `stamps`. The many runs of a study differ in values
    alone and share one, which takes a quarter of a second."""
    return _Reach(list(roots)).meaning


def _stamps() -> tuple[tuple[Path, int], ...]:
    """The library's files, and when each was written."""
    return tuple((path, path.stat().st_mtime_ns) for path in sorted(definitions.FOLDER.rglob("*.py")))


class _Reach:
    """All definitions that some roots reach, numbered in the order in which they are met."""

    def __init__(self, roots: list[Definition], without: Collection[str] = ()):
        self.without = without
        self.numbers: dict[Definition, int] = {}
        for root in roots:
            self.number(root)
        whole, parts = hashlib.sha256(), defaultdict(list)
        for definition in _growing(self.numbers):
            whole.update(_joined(self.pieces(definition, self.number)))
            alone = hashlib.sha256(_joined(self.pieces(definition, lambda other: other.name)))
            parts[definition.name].append(alone.hexdigest()[:16])
        self.meaning = Meaning(whole.hexdigest(), {name: " ".join(sorted(parts[name])) for name in sorted(parts)})

    def number(self, definition: Definition) -> int:
        """The number of a definition, a new one where it is met for the first time."""
        if definition not in self.numbers:
            self.numbers[definition] = len(self.numbers)
            loose = Definition(definition.module, LOOSE)
            if loose.statements and loose not in self.numbers:
                self.numbers[loose] = len(self.numbers)
        return self.numbers[definition]

    def pieces(self, definition: Definition, label: Callable[[Definition], object]) -> Iterator[str]:
        """Yield the statements of a definition as words; `label` names the definitions that they refer to."""
        for statement in definition.statements:
            imports = definition.module.imports | definition.module.imported(statement)
            own = {name: Address("", (name,)) for name in _outer_names(statement) & definition.module.bound.keys()}
            yield from self.words(statement, definition, imports | own, label)

    def words(self, node, definition: Definition, known: dict[str, Address], label) -> Iterator[str]:
        """Yield a node as words; empty fields are left out, since newer versions of Python add some."""
        if isinstance(node, ast.Constant):
            yield f"constant {type(node.value).__name__} {node.value!r}"
        elif isinstance(node, (ast.Name, ast.Attribute)) and (found := self.resolved(node, definition.module, known)):
            targets, rest = found
            yield from (f"#{label(target)}" if isinstance(target, Definition) else target for target in targets)
            yield rest
        elif isinstance(node, (ast.Import, ast.ImportFrom)) and _all_ours(definition.module.imported(node)):
            pass  # it binds names, which are seen where they are used
        elif isinstance(node, ast.AST):
            yield f"({type(node).__name__}"
            for field, value in ast.iter_fields(node):
                if field == "body" and _has_docstring(node):
                    value = value[1:]
                if field == "name" and value == definition.name:
                    value = None  # what a definition is called does not count
                if value is not None and value != []:
                    yield field
                    yield from self.words(value, definition, known, label)
            yield ")"
        elif isinstance(node, list):
            yield "["
            for item in node:
                yield from self.words(item, definition, known, label)
            yield "]"
        else:
            yield repr(node)

    def resolved(self, node: ast.expr, module: Module,
                 known: dict[str, Address]) -> tuple[list[Definition | str], str] | None:
        """What a name with its attributes stands for, and the attributes that are left; None for a local name."""
        attributes = []
        while isinstance(node, ast.Attribute):
            attributes.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in known:
            return None
        origin, first = known[node.id]
        if not origin:
            return [Definition(module, node.id)], ".".join(attributes)
        targets, left = find(Address(origin, (*first, *attributes)), self.without)
        return targets, ".".join(left)


def _types(value: object) -> Iterator[type]:
    """The types of a configuration and of the dataclasses inside it."""
    if is_dataclass(value):
        yield type(value)
        for field in fields(value):
            yield from _types(getattr(value, field.name))
    elif isinstance(value, (tuple, list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _types(item)


def _outer_names(statement: ast.stmt) -> set[str]:
    """The names in a statement that are not local to one of its functions."""
    def outer(table: symtable.SymbolTable) -> Iterator[str]:
        for symbol in table.get_symbols():
            if symbol.is_global() or table.get_type() == "module":
                yield symbol.get_name()
        for child in table.get_children():
            yield from outer(child)

    return set(outer(symtable.symtable(ast.unparse(statement), "<definition>", "exec")))


def _all_ours(imported: dict[str, Address]) -> bool:
    return all(address.is_ours for address in imported.values())


def _has_docstring(node: ast.AST) -> bool:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(node, documented) and bool(node.body) and is_text(node.body[0])


def _growing(numbers: dict[Definition, int]) -> Iterator[Definition]:
    """Yield the keys of a dictionary in their order, also those that come while it is read."""
    done = 0
    while done < len(numbers):
        new = list(numbers)[done:]
        yield from new
        done += len(new)


def _joined(words: Iterator[str]) -> bytes:
    return "\0".join(words).encode()
