"""Inserts lines into a Python file, a block of statements or decorators, and makes the unified diff for that.

Pure. Line ends are those of the file; apart from its statements, its content is not looked at.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TypeAlias

from pytest_procpar.core.record import record

__all__ = [
    "Insertion", "applied", "decorations", "free_name", "imported_by", "insertion_into", "unified_diff",
]  # fmt: skip

_Definition: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef"

#: How many lines of the file are shown around the new ones.
_CONTEXT = 3
_NO_NEWLINE = "\\ No newline at end of file\n"


@record
class Insertion:
    """New lines of a file, and after how many of its lines they go; they end like the file's own lines."""

    after: int
    lines: tuple[str, ...]

    def applied(self, source: str) -> str:
        """The file with these lines inserted."""
        return applied(source, self)


def applied(source: str, *insertions: Insertion) -> str:
    """A file with all these insertions."""
    lines, result, at = _lines_of(source), [], 0
    for insertion in sorted(insertions, key=_place):
        result += [*map(_ended, lines[at : insertion.after]), *insertion.lines]
        at = insertion.after
    return "".join([*result, *lines[at:]])


def _place(insertion: Insertion) -> int:
    return insertion.after


def insertion_into(source: str, block: str) -> Insertion | None:
    """How to insert a block of top-level statements into a file: below its imports, or else at its end.

    ``import pytest`` goes before the block if the file has not imported pytest by then. None if the file is
    not Python, or cannot be divided by lines.
    """
    body = _body_of(source)
    if body is None:
        return None
    end = _end_of(source)
    count = len(_lines_of(source))
    below = _below_imports(body)
    for after in (below, count) if below else (count,):
        imports = (
            []
            if "pytest" in _imported(node for node in body if node.lineno <= after)
            else ["import pytest", "", ""]
        )
        gap = [] if not after or (imports and after < count) else ["", ""]
        lines = [*gap, *imports, *block.rstrip("\n").split("\n")]
        if after < count and _lines_of(source)[after].strip():
            lines += ["", ""]
        found = Insertion(after, tuple(line + end for line in lines))
        if _compiles(found.applied(source)):
            return found
    return None


def decorations(source: str, names: Iterable[str], decorator: str) -> tuple[Insertion, ...] | None:
    """How to put a decorator that begins with ``pytest`` on functions and classes; None if one is not there.

    :param names: their names, each preceded by those of its classes, separated by dots.
    """
    body = _body_of(source)
    nodes = [None if body is None else _definition(body, name.split(".")) for name in names]
    if body is None:
        return None
    imports: dict[Insertion, None] = {}
    marks = []
    for node in nodes:
        if node is None:
            return None
        first = min([node.lineno, *(each.lineno for each in node.decorator_list)]) - 1
        line = _lines_of(source)[first]
        indent = line[: len(line) - len(line.lstrip(" \t"))]
        marks.append(Insertion(first, (f"{indent}@{decorator}{_end_of(source)}",)))
        if "pytest" not in _imported(each for each in body if each.lineno <= first):
            imports[_import_into(source, body)] = None
    found = (*imports, *marks)
    return found if _compiles(applied(source, *found)) else None


def _import_into(source: str, body: list[ast.stmt]) -> Insertion:
    """How to import pytest below the other imports, or else above everything but the docstring."""
    end, below = _end_of(source), _below_imports(body)
    after = below or _below_docstring(body)
    above = [end] if after and not below else []
    gap = [end, end] if not below and _lines_of(source)[after].strip() else []
    return Insertion(after, (*above, f"import pytest{end}", *gap))


def _end_of(source: str) -> str:
    """How the lines of a file end."""
    return "\r\n" if "\r\n" in source else "\n"


def _definition(body: Iterable[ast.stmt], names: list[str]) -> _Definition | None:
    """What the last of these names defines; None if it is defined twice, or only under a condition."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = [node for node in body if isinstance(node, kinds) and node.name == names[0]]
    if len(found) != 1:
        return None
    if len(names) == 1:
        return found[0]
    return _definition(found[0].body, names[1:]) if isinstance(found[0], ast.ClassDef) else None


def _below_docstring(body: list[ast.stmt]) -> int:
    """The line after the docstring; 0 if there is none."""
    first = body[0] if body else None
    has_one = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return (first.end_lineno or first.lineno) if first is not None and has_one else 0


def _body_of(source: str) -> list[ast.stmt] | None:
    """The statements of a file; None if it is not Python, or cannot be divided by lines."""
    if "\r" in source.replace("\r\n", "") or "\0" in source:
        return None
    try:
        return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _below_imports(body: list[ast.stmt]) -> int:
    """The line after the last import that precedes all definitions; 0 if there is none."""
    after = 0
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            break
        if isinstance(node, (ast.Import, ast.ImportFrom)) or (after and node.lineno == after):
            after = node.end_lineno or node.lineno
    return after


def imported_by(source: str) -> set[str]:
    """The modules that a file imports at its top, by their own names."""
    try:
        return _imported(ast.parse(source).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()


def _imported(body: Iterable[ast.stmt]) -> set[str]:
    imports = (node for node in body if isinstance(node, ast.Import))
    return {name.name for node in imports for name in node.names if name.asname is None}


def _compiles(source: str) -> bool:
    try:
        compile(source, "<patched>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def free_name(source: str, wanted: str, taken: Iterable[str] = ()) -> str:
    """A name that the file does not use: `wanted`, or `wanted` with a number."""
    words = {*re.findall(r"\w+", source), *taken}
    name, number = wanted, 1
    while name in words:
        number += 1
        name = f"{wanted}_{number}"
    return name


def unified_diff(path: str, source: str, *insertions: Insertion) -> str:
    """The diff that ``git apply`` and ``patch -p1`` take; empty if they could not read the path.

    :param path: the file's path from the folder in which they are run, with slashes.
    """
    if re.search(r'[\x00-\x1f"\\\x7f]', path):
        return ""
    tab = "\t" if " " in path else ""  # otherwise they would end the name at the space
    shown, added = [f"--- a/{path}{tab}\n", f"+++ b/{path}{tab}\n"], 0
    for group in _groups(sorted(insertions, key=_place)):
        shown += _hunk(_lines_of(source), group, added)
        added += sum(len(insertion.lines) for insertion in group)
    return "".join(shown)


def _groups(insertions: Sequence[Insertion]) -> list[list[Insertion]]:
    """Insertions in groups, each so close together that one hunk shows them."""
    groups = [list(insertions[:1])]
    for one, other in pairwise(insertions):
        if other.after - one.after <= 2 * _CONTEXT:
            groups[-1].append(other)
        else:
            groups.append([other])
    return groups


def _hunk(lines: list[str], insertions: Sequence[Insertion], added: int) -> list[str]:
    """The hunk that shows these insertions, after `added` lines that were inserted above."""
    first = max(0, insertions[0].after - _CONTEXT)
    last = min(len(lines), insertions[-1].after + _CONTEXT)
    old = last - first
    new = old + sum(len(insertion.lines) for insertion in insertions)
    shown = [f"@@ -{first + 1 if old else 0},{old} +{first + added + 1},{new} @@\n"]
    at = first
    for insertion in insertions:
        shown += [f" {line}" for line in lines[at : insertion.after]]
        at = insertion.after
        if at and at == len(lines) and not lines[-1].endswith("\n"):
            shown[-1:] = [f"-{lines[-1]}\n", _NO_NEWLINE, f"+{lines[-1]}\n"]
        shown += [f"+{line}" for line in insertion.lines]
    shown += [f" {line}" for line in lines[at:last]]
    if at < last and not lines[last - 1].endswith("\n"):
        shown += ["\n", _NO_NEWLINE]
    return shown


def _lines_of(source: str) -> list[str]:
    """The lines of a file as diffs have them: only a line feed ends one."""
    lines = source.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n"
