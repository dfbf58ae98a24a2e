"""What the source of a module, by itself, says about what the module did when it was imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator

__all__ = ["names_made", "reads"]

#: Calls that make something unique to a process, by the last part of their name.
_MAKERS = frozenset({
    "uuid1", "uuid4", "uuid6", "uuid7", "mkdtemp", "mkstemp", "mktemp", "NamedTemporaryFile",
    "TemporaryDirectory", "token_hex", "token_urlsafe", "token_bytes", "urandom", "getpid",
})  # fmt: skip


def reads(source: str, variable: str) -> int | None:
    """The line, from 1, in which an environment variable was read; None if it was not."""
    for node in _run_at_import(source, variable):
        parts: list[ast.expr] = []
        if isinstance(node, ast.Call):
            parts = node.args
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            parts = [node.slice]
        elif isinstance(node, ast.Compare):
            parts = [node.left]
        if any(isinstance(part, ast.Constant) and part.value == variable for part in parts):
            return getattr(node, "lineno", 1)
    return None


def names_made(source: str) -> Iterator[tuple[int, str, str]]:
    """Each assignment of a value made by such a call to a variable of the module: line, variable, call."""
    for node in _run_at_import(source):
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        call = next(filter(None, map(_maker, ast.walk(node.value))), None)
        if call is not None:
            yield from ((node.lineno, target.id, call) for target in targets if isinstance(target, ast.Name))


def _maker(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call):
        return None
    name = _last_name(node.func)
    return f"{ast.unparse(node.func)}()" if name in _MAKERS else None


def _last_name(func: ast.expr) -> str:
    return func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")


def _run_at_import(source: str, *needed: str) -> Iterator[ast.AST]:
    """What ran when the module was imported; of functions, only the bodies of those that the module calls."""
    if not all(word in source for word in needed):
        return
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    functions = {
        node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.Call):
            called = functions.pop(_last_name(node.func), None)
            waiting += [] if called is None else called.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            waiting += [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
        elif not isinstance(node, ast.Lambda):
            waiting += ast.iter_child_nodes(node)
