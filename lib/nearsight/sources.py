"""Which sources a computation rests on, and a digest of what they say rather than of how they are laid out.

The digest is taken over syntax trees without comments, docstrings and positions, so formatting does not change it and
any change of meaning does. The modules are those that the computation's own module imports, and those that these
import, as far as they belong to this library. Importing `package.module` does not count `package/__init__.py`, which
only gathers names; taking a name from `package` does, with everything that it imports.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

PACKAGE = __package__
FOLDER = Path(__file__).parent


def source_digests(computation: Callable) -> dict[str, str]:
    """Return {module: SHA-256 of its syntax tree} of the computation's module and all library modules it reaches.

    The computation must be defined in a file: TypeError for one that was typed into a notebook. ValueError where a
    module takes a name from the library's front door, which would make every record rest on every module.
    """
    try:
        start = Path(inspect.getfile(computation))
        text = start.read_text(encoding="utf-8")
    except (TypeError, OSError) as error:
        raise TypeError(f"the source of {computation!r} cannot be read; expected a function that is defined in a "
                        "module: move it from the notebook into a file.") from error
    digests, waiting = {}, [(computation.__module__, start, text)]
    while waiting:
        name, path, text = waiting.pop()
        tree = ast.parse(text)
        digests[name] = tree_digest(tree)
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for imported in _imports(tree, package, name):
            if imported not in digests:
                file = _file(imported)
                waiting.append((imported, file, file.read_text(encoding="utf-8")))
    return dict(sorted(digests.items()))


def combined(digests: dict[str, str]) -> str:
    """Return one digest for all modules together."""
    return hashlib.sha256("\n".join(f"{name} {digests[name]}" for name in sorted(digests)).encode()).hexdigest()


def tree_digest(tree: ast.Module) -> str:
    """Return the SHA-256 of a syntax tree, docstrings and positions aside, the same for all versions of Python."""
    digest = hashlib.sha256()
    for piece in _pieces(tree):
        digest.update(piece.encode() + b"\0")
    return digest.hexdigest()


def _pieces(node) -> Iterator[str]:
    """Yield a node as words; empty fields are left out, since newer versions of Python add some."""
    if isinstance(node, ast.Constant):
        yield f"constant {type(node.value).__name__} {node.value!r}"
    elif isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        for field, value in ast.iter_fields(node):
            if field == "body" and _has_docstring(node):
                value = value[1:]
            if value is not None and value != []:
                yield field
                yield from _pieces(value)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for item in node:
            yield from _pieces(item)
        yield "]"
    else:
        yield repr(node)


def _has_docstring(node: ast.AST) -> bool:
    if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) or not node.body:
        return False
    first = node.body[0]
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


def _imports(tree: ast.Module, package: str, module: str) -> Iterator[str]:
    """Yield the library modules that a module in `package` imports, at whatever depth of its code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parent = ".".join(package.split(".")[:len(package.split(".")) - node.level + 1]) if node.level else ""
            origin = ".".join(filter(None, (parent, node.module)))
            names = [f"{origin}.{alias.name}" for alias in node.names]
            targets = [name if _file(name) else origin for name in names]
        else:
            continue
        for target in targets:
            if target == PACKAGE:
                raise ValueError(f"{module} takes names from `{PACKAGE}` itself (line {node.lineno}), so a record "
                                 "would rest on every module: import from the module that defines them, as in "
                                 f"`from {PACKAGE}.noise import edm_sigmas`.")
            if _file(target):
                yield target


def _file(name: str) -> Path | None:
    """Return the file of a library module, None where the name is no module of this library."""
    package, *parts = name.split(".")
    place = FOLDER.joinpath(*parts)
    candidates = (place / "__init__.py", place.with_suffix(".py")) if package == PACKAGE else ()
    return next((file for file in candidates if file.is_file()), None)
