"""Whether a Python source looks up a name in something that it holds, such as a copy of the environment.

Lookups in the environment itself do not count, nor those that remove or replace what they find.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Collection, Iterator

__all__ = ["looked_up"]

#: Objects that are watched themselves: a read from one of these is noticed when it happens.
_WATCHED = frozenset({"environ", "environb", "workerinput"})
#: Functions that read from the environment itself, or that take a name only to set or remove it.
_OTHERS = frozenset({
    "getenv", "getenvb", "setenv", "delenv", "putenv", "unsetenv", "setitem", "delitem", "setattr", "delattr",
    "discard", "remove", "append", "add",
})  # fmt: skip


def looked_up(source: str, names: Collection[str], prefix: str = "") -> str | None:
    """The name, in lower case, that a source looks up; None if it looks up none of `names` or is not Python.

    Case does not matter, since settings may be read without regard to case.

    :param prefix: what one of the names begins with, in lower case; that name is looked up where settings
        name this as the beginning of theirs.
    """
    wanted = {name.lower() for name in names}
    text = source.lower()
    if not any(name in text for name in wanted) and (not prefix or prefix not in text):
        return None
    try:
        with warnings.catch_warnings():  # they show when the source is imported
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    inside = re.compile(rf"[{{($]({'|'.join(map(re.escape, sorted(wanted)))})\b")
    nodes = list(ast.walk(tree))
    dropped = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if id(node) in dropped and isinstance(node, ast.Call) and _called(node) == "pop":
            continue
        for name in _names(node, inside):
            if name.lower() in wanted:
                return name.lower()
        if prefix and prefix in map(str.lower, _prefixes(node)):
            return next((name for name in sorted(wanted) if name.startswith(prefix)), None)
    return None


def _prefixes(node: ast.AST) -> Iterator[str]:
    """What a node says to be the beginning of all names that settings have in the environment."""
    match node:
        case ast.keyword(arg=str(name), value=value) if "prefix" in name:
            yield _text(value)
        case ast.Assign(value=value, targets=[ast.Name(id=name)]) if "prefix" in name.lower():
            yield _text(value)
        case ast.Call(args=[value, *_]) if _called(node) == "prefixed":
            yield _text(value)
        case _:
            pass


def _names(node: ast.AST, inside: re.Pattern[str]) -> Iterator[str]:
    """What a node may look up, without the nodes below it."""
    match node:
        case ast.Subscript(value=value, slice=key, ctx=ast.Load()) if not _is_watched(value):
            yield _text(key)
        case ast.Call():
            yield from _arguments(node)
        case ast.Compare(ops=[operator], left=left, comparators=[right]):
            yield from _compared(operator, left, right)
        case ast.Attribute(attr=name, ctx=ast.Load()) | ast.arg(arg=name):
            yield name
        case ast.Assign(value=value, targets=[ast.Name()]):
            yield _text(value)
        case ast.ClassDef(body=body):
            yield from _fields(body)
        case ast.Constant(value=str(text)):
            yield from inside.findall(text.lower())
        case _:
            pass


def _arguments(call: ast.Call) -> Iterator[str]:
    function = call.func
    if _called(call) in _OTHERS or (isinstance(function, ast.Attribute) and _is_watched(function.value)):
        return
    for value in [*call.args, *(keyword.value for keyword in call.keywords)]:
        yield _text(value)


def _text(value: ast.expr) -> str:
    """A literal text, or literal bytes as text; empty if it is neither."""
    match value:
        case ast.Constant(value=str(text)):
            return text
        case ast.Constant(value=bytes(encoded)):
            return encoded.decode("ascii", "replace")
        case _:
            return ""


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else str(getattr(function, "id", ""))


def _compared(operator: ast.cmpop, left: ast.expr, right: ast.expr) -> Iterator[str]:
    if isinstance(operator, (ast.In, ast.NotIn)) and _is_watched(right):
        return
    if isinstance(operator, (ast.Eq, ast.In, ast.NotIn)):
        yield _text(left)
        yield _text(right)


def _fields(body: list[ast.stmt]) -> Iterator[str]:
    for statement in body:
        targets = (
            statement.targets
            if isinstance(statement, ast.Assign)
            else [statement.target]
            if isinstance(statement, ast.AnnAssign)
            else []
        )
        for target in targets:
            if isinstance(target, ast.Name):
                yield target.id


def _is_watched(value: ast.expr) -> bool:
    match value:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in _WATCHED
        case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(name)), *_]):
            return name in _WATCHED
        case _:
            return False
