"""Lines put into a Python file: a block of statements, or decorators; and the unified diff that does it.

Pure. Line ends are those of the file; what is in it is not looked at beyond its statements.
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

#: How many lines of the file are shown around what is new.
_CONTEXT = 3
_NO_NEWLINE = "\\ No newline at end of file\n"


@record
class Insertion:
    """Lines that are new in a file, and after how many of its lines they stand. They end as its lines do."""

    after: int
    lines: tuple[str, ...]

    def applied(self, source: str) -> str:
        """The file as it is then."""
        return applied(source, self)


def applied(source: str, *insertions: Insertion) -> str:
    """A file as it is with all of these."""
    lines, result, at = _lines_of(source), [], 0
    for insertion in sorted(insertions, key=_place):
        result += [*map(_ended, lines[at : insertion.after]), *insertion.lines]
        at = insertion.after
    return "".join([*result, *lines[at:]])


def _place(insertion: Insertion) -> int:
    return insertion.after


def insertion_into(source: str, block: str) -> Insertion | None:
    """How a block of top-level statements is put into a file: below its imports, or else at its end.

    It is preceded by what imports pytest, if the file has not done so by then. None if the file is not Python
    that can be told apart by lines.
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
    """How functions and classes get a decorator that begins with ``pytest``; None if not all are in the file.

    :param names: their names, with those of the classes that they are in, separated by dots.
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
    """How pytest is imported below the other imports, or else above all but the docstring."""
    end, below = _end_of(source), _below_imports(body)
    after = below or _below_docstring(body)
    above = [end] if after and not below else []
    gap = [end, end] if not below and _lines_of(source)[after].strip() else []
    return Insertion(after, (*above, f"import pytest{end}", *gap))


def _end_of(source: str) -> str:
    """How the lines of a file end."""
    return "\r\n" if "\r\n" in source else "\n"


def _definition(body: Iterable[ast.stmt], names: list[str]) -> _Definition | None:
    """What is defined by these names, last: not what is defined twice, or in some case only."""
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
    """The statements of a file; None if it is not Python that can be told apart by lines."""
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
    """A name that the file does not use: `wanted`, or that with a number."""
    words = {*re.findall(r"\w+", source), *taken}
    name, number = wanted, 1
    while name in words:
        number += 1
        name = f"{wanted}_{number}"
    return name


def unified_diff(path: str, source: str, *insertions: Insertion) -> str:
    """The diff that ``git apply`` and ``patch -p1`` take; empty if they could not read the path.

    :param path: the file's, from the folder that they are run in, with slashes.
    """
    if re.search(r'[\x00-\x1f"\\\x7f]', path):
        return ""
    tab = "\t" if " " in path else ""  # or what follows the space would not be taken for a part of the name
    shown, added = [f"--- a/{path}{tab}\n", f"+++ b/{path}{tab}\n"], 0
    for group in _groups(sorted(insertions, key=_place)):
        shown += _hunk(_lines_of(source), group, added)
        added += sum(len(insertion.lines) for insertion in group)
    return "".join(shown)


def _groups(insertions: Sequence[Insertion]) -> list[list[Insertion]]:
    """Those that are so near to each other that one hunk shows them."""
    groups = [list(insertions[:1])]
    for one, other in pairwise(insertions):
        if other.after - one.after <= 2 * _CONTEXT:
            groups[-1].append(other)
        else:
            groups.append([other])
    return groups


def _hunk(lines: list[str], insertions: Sequence[Insertion], added: int) -> list[str]:
    """What shows these, after so many lines that were added above."""
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
    """Lines as diffs have them: only a line feed ends one."""
    lines = source.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n"
