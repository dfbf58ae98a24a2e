"""Whether a statement that makes a folder gives it the first free number, or the one after the highest.

Two processes that do so have a folder each; of processes that inherit it, all have the same one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

__all__ = ["takes_free_number"]

#: Calls that ask what is there already.
_LOOKING = frozenset({"exists", "lexists", "isdir", "is_dir"})
_LISTING = frozenset({"listdir", "scandir", "iterdir", "glob", "iglob", "rglob"})
_COUNTING = frozenset({"len", "max", "sorted"})


def takes_free_number(source: str, line: int) -> bool:
    """Whether that is what is done around a line, counted from 1. False if the source has errors."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return False
    around: ast.AST = tree
    for node in ast.walk(tree):
        is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        if is_function and node.lineno <= line <= (node.end_lineno or 0):  # type: ignore[attr-defined]
            around = node  # the innermost one comes last
    return any(_finds_number(node, line) for node in _parts(around))


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    """All parts of a function or module, without functions inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield child
            yield from _parts(child)


def _finds_number(node: ast.AST, line: int) -> bool:
    match node:
        case ast.While(test=test) if _calls(test, _LOOKING):
            return True
        case ast.While() | ast.For() if node.lineno <= line <= (node.end_lineno or 0):
            return any(isinstance(part, (ast.Break, ast.Return)) for part in ast.walk(node))
        case ast.Call(func=ast.Name(id=name)) if name in _COUNTING:
            return _calls(node, _LISTING)
        case _:
            return False


def _calls(node: ast.AST, names: frozenset[str]) -> bool:
    called = (part.func for part in ast.walk(node) if isinstance(part, ast.Call))
    return any(getattr(func, "attr", getattr(func, "id", "")) in names for func in called)
