"""A block of lines put into a Python file, and the unified diff that does it.

Pure. Line ends are those of the file; what is in it is not looked at beyond its statements.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from .record import record

__all__ = ["Insertion", "free_name", "imported_by", "insertion_into", "unified_diff"]

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
        lines = _lines_of(source)
        return "".join([*map(_ended, lines[: self.after]), *self.lines, *lines[self.after :]])


def insertion_into(source: str, block: str) -> Insertion | None:
    """How a block of top-level statements is put into a file: below its imports, or else at its end.

    It is preceded by what imports pytest, if the file has not done so by then. None if the file is not Python
    that can be told apart by lines.
    """
    if "\r" in source.replace("\r\n", "") or "\0" in source:
        return None
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    end = "\r\n" if "\r\n" in source else "\n"
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


def unified_diff(path: str, source: str, insertion: Insertion) -> str:
    """The diff that ``git apply`` and ``patch -p1`` take; empty if they could not read the path.

    :param path: the file's, from the folder that they are run in, with slashes.
    """
    if re.search(r'[\x00-\x1f"\\\x7f]', path):
        return ""
    lines, after = _lines_of(source), insertion.after
    first = max(0, after - _CONTEXT)
    above, below = lines[first:after], lines[after : after + _CONTEXT]
    old, new = len(above) + len(below), len(above) + len(insertion.lines) + len(below)
    tab = "\t" if " " in path else ""  # or what follows the space would not be taken for a part of the name
    shown = [f"--- a/{path}{tab}\n", f"+++ b/{path}{tab}\n"]
    shown.append(f"@@ -{first + 1 if old else 0},{old} +{first + 1},{new} @@\n")
    shown += [f" {line}" for line in above]
    if above and not above[-1].endswith("\n"):
        shown[-1:] = [f"-{above[-1]}\n", _NO_NEWLINE, f"+{above[-1]}\n"]
    shown += [f"+{line}" for line in insertion.lines]
    shown += [f" {line}" for line in below]
    if below and not below[-1].endswith("\n"):
        shown += ["\n", _NO_NEWLINE]
    return "".join(shown)


def _lines_of(source: str) -> list[str]:
    """Lines as diffs have them: only a line feed ends one."""
    lines = source.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n"
