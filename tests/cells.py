"""The code of a chapter as a reader has it: the cells that are shown or folded, and what they lack."""

import ast
import builtins
import io
import symtable
import tokenize
from collections.abc import Iterator
from pathlib import Path

import jupytext

REMOVED = {"remove-input", "remove-cell"}  # not on the page
FOLDED = {"hide-input", "hide-cell"}
GIVEN = {*dir(builtins), "__name__"}
DRAWING = {"subplots", "subfigures", "figure", "gallery"}
COMPREHENSIONS = {"listcomp", "setcomp", "dictcomp", "genexpr"}
LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def code_cells(chapter: Path) -> list:
    """Return a chapter's code cells."""
    return [cell for cell in jupytext.read(chapter, fmt="py:percent").cells if cell.cell_type == "code"]


def has(cell, tags: set[str]) -> bool:
    return bool(tags & set(cell.metadata.get("tags", [])))


def seen(cells: list) -> list[str]:
    """Return the sources of the cells whose code a reader sees or can unfold."""
    return [cell.source for cell in cells if not has(cell, REMOVED)]


def reuse(chapter: Path) -> str:
    """Return the source of the cell under "Reuse this", the first after that heading."""
    cells = jupytext.read(chapter, fmt="py:percent").cells
    heading = next(place for place, cell in enumerate(cells) if "## Reuse this" in cell.source)
    return next(cell.source for cell in cells[heading:] if cell.cell_type == "code")


def undefined(sources: list[str]) -> list[str]:
    """Return the names that cells, run one after the other, load before they are bound, sorted.

    A statement at top level needs its names there and then; the body of a function needs them by the end. In a statement
    with a block (for, with, if, try) a name may be bound within the statement itself.
    """
    bound, missing, later = set(GIVEN), set(), set()
    for source in sources:
        for statement in ast.parse(source).body:
            now, in_functions, binds = _names(statement)
            within = binds if hasattr(statement, "body") else set()
            missing |= now - bound - within
            later |= in_functions
            bound |= binds
    return sorted(missing | (later - bound))


def _names(statement: ast.stmt) -> tuple[set[str], set[str], set[str]]:
    """Return the global names that a statement loads at once, that its functions load when called, and that it binds."""
    top = symtable.symtable(ast.unparse(statement), "cell", "exec")
    now = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    binds = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    later = set()
    for table, is_called_later in _inner(top, False):
        loaded = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced()}
        later |= loaded if is_called_later else set()
        now |= set() if is_called_later else loaded
    if isinstance(statement, ast.AugAssign):
        now |= {node.id for node in ast.walk(statement.target) if isinstance(node, ast.Name)}
    return now, later, binds


def _inner(table: symtable.SymbolTable, later: bool) -> Iterator[tuple[symtable.SymbolTable, bool]]:
    """Yield the scopes within a scope, and whether they run later: functions do, comprehensions and classes do not."""
    for child in table.get_children():
        runs_later = later or (child.get_type() == "function" and child.get_name() not in COMPREHENSIONS)
        yield child, runs_later
        yield from _inner(child, runs_later)



def shows_a_value(source: str) -> bool:
    """Whether a cell shows the value of its last statement: an expression without a semicolon."""
    return isinstance(ast.parse(source).body[-1], ast.Expr) and not source.rstrip().endswith(";")


def lines_of_code(source: str) -> int:
    """Return the number of lines that hold code: not those that are empty or hold a comment alone."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return len({line for token in tokens if token.type not in LAYOUT for line in range(token.start[0], token.end[0] + 1)})


def rebound(sources: list[str]) -> dict[str, list[str]]:
    """Return {name: the statements} of names that two cells bind at top level by `=`, def or class.

    A figure and its axes may have the names of the figure before: all statements that draw count as one cell.
    """
    ways: dict[str, dict[int, str]] = {}
    for place, source in enumerate(sources):
        for statement in ast.parse(source).body:
            names, where = set(), place
            if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                names = {statement.name}
            elif isinstance(statement, ast.Assign):
                names = {node.id for target in statement.targets for node in ast.walk(target)
                         if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
                where = -1 if _draws(statement.value) else place
            for name in names:
                ways.setdefault(name, {}).setdefault(where, ast.unparse(statement).partition("\n")[0])
    return {name: list(found.values()) for name, found in ways.items() if len(found) > 1}


def _draws(value: ast.expr) -> bool:
    """Whether a value is a new figure or new axes."""
    called = getattr(value, "func", None)
    return (getattr(called, "attr", None) or getattr(called, "id", None)) in DRAWING
