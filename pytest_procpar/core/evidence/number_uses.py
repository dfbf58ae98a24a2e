"""What a source does with a number that a variable holds: makes a name of it, or refuses other processes.

A number is no name by itself: it may count, seed or time something. It is part of a name where it is joined
to other characters of a text: ``f"db_{RUN}"``, but not ``f"seed: {RUN}"``. What is only shown or compared
names nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

__all__ = ["line_of_name", "line_of_refusal", "may_name", "may_return", "returning"]

#: What stands directly before or after a number that is part of a name.
_BEFORE, _AFTER = re.compile(r"[A-Za-z0-9_./~-]$"), re.compile(r"[_.@/-][A-Za-z0-9]")
#: The same around the places of ``%`` and of ``str.format``.
_PERCENT = re.compile(r"[A-Za-z0-9_./~-]%[-+ #0]*\d*[dsxXio]|%[-+ #0]*\d*[dsxXio][_.@/-][A-Za-z0-9]")
_BRACES = re.compile(r"[A-Za-z0-9_./~-]\{[^{}]*\}|\{[^{}]*\}[_.@/-][A-Za-z0-9]")

#: Calls that only show what they are given, by the last part of their name.
_SHOWING = frozenset({
    "print", "pprint", "debug", "info", "warning", "warn", "error", "critical", "exception", "log", "fail",
    "skip", "xfail", "exit", "write_line", "write_sep", "section", "sep", "line",
})  # fmt: skip
#: Functions whose result is only shown.
_HEADERS = frozenset({"pytest_report_header", "pytest_terminal_summary", "__repr__", "__str__"})
#: Calls that make a text of a number, calls that keep it a number, and calls that make a path of texts.
_TEXTS, _SAME = frozenset({"str", "hex", "oct", "repr", "format"}), frozenset({"int", "abs"})
_PATHS = frozenset({"join", "joinpath", "Path", "PurePath", "with_name", "with_suffix"})
#: Calls that ask which process this is, and those that skip a test.
_ASKING = frozenset({"getpid", "get_native_id", "current_process"})
_SKIPPING = frozenset({"skip", "skipTest", "SkipTest", "Skipped"})


def may_name(source: str, names: Iterable[str]) -> bool:
    """Whether it is worth asking for `line_of_name`: a cheap check."""
    words = "|".join(map(re.escape, names))
    return (
        bool(words) and re.search(rf"[{{%(,+/][^\n{{%(,+/)=!<>]*(?:=\s*)?\b(?:{words})\b", source) is not None
    )


def may_return(source: str, names: Iterable[str]) -> bool:
    """Whether it is worth asking what is `returning`: a cheap check."""
    words = "|".join(map(re.escape, names))
    return re.search(rf"\b(?:return|yield)\b[^\n=]*\b(?:{words})\b(?!\s*[=!<>])", source) is not None


def line_of_name(source: str, names: Iterable[str]) -> int | None:
    """The line, from 1, in which a number of one of these names is joined to a text; None if none is."""
    tree = _parse(source)
    if tree is None:
        return None
    uses = _Uses(frozenset(names))
    return next((_line(node) for node in _not_shown(tree) if uses.joins(node)), None)


def returning(source: str, names: Iterable[str]) -> frozenset[str]:
    """The functions, such as fixtures, that return a number of one of these names."""
    tree = _parse(source)
    if tree is None:
        return frozenset()
    uses = _Uses(frozenset(names))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for part in ast.walk(node)
        if isinstance(part, (ast.Return, ast.Yield)) and part.value is not None and uses.is_number(part.value)
    )


def line_of_refusal(source: str, names: Iterable[str]) -> int | None:
    """The line that skips a test, or raises an error, if the process's number is another one."""
    tree = _parse(source)
    if tree is None:
        return None
    names = frozenset(names)

    def asks(node: ast.AST) -> bool:
        parts = list(ast.walk(node))
        calls = {_last_name(part.func) for part in parts if isinstance(part, ast.Call)}
        return bool(calls & _ASKING) and any(_last_name(part) in names for part in parts)

    telling = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for part in ast.walk(node)
        if isinstance(part, ast.Return) and part.value is not None and asks(part.value)
    }

    def depends(test: ast.expr) -> bool:
        if isinstance(test, ast.Constant) and isinstance(test.value, str):  # as of skipif
            tree = _parse(test.value)
            return tree is not None and asks(tree)
        called = (_last_name(part.func) for part in ast.walk(test) if isinstance(part, ast.Call))
        return asks(test) or not telling.isdisjoint(called)

    for node in ast.walk(tree):
        match node:
            case ast.If(test=test) if depends(test) and any(map(_refuses, ast.walk(node))):
                return node.lineno
            case ast.Call(func=func, args=[ast.Constant() as test, *_]) if _last_name(
                func
            ) == "skipif" and depends(test):
                return node.lineno
            case _:
                pass
    return None


def _refuses(node: ast.AST) -> bool:
    return isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and _last_name(node.func) in _SKIPPING)


def _parse(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 1)


def _last_name(node: ast.AST) -> str:
    match node:
        case (
            ast.Name(id=name)
            | ast.Attribute(attr=name)
            | ast.Subscript(slice=ast.Constant(value=str() as name))
        ):
            return name
        case _:
            return ""


def _not_shown(tree: ast.Module) -> Iterator[ast.AST]:
    """All nodes except those that are only shown, raised or compared."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        match node:
            case ast.Raise():
                continue
            case ast.Assert(test=test):
                waiting.append(test)
                continue
            case ast.Call(func=func) if _last_name(func) in _SHOWING:
                continue
            case ast.FunctionDef(name=name) if name in _HEADERS:
                continue
            case ast.Compare(left=left, comparators=others):
                waiting += [
                    part for part in (left, *others) if not isinstance(part, (ast.JoinedStr, ast.BinOp))
                ]
                continue
            case _:
                pass
        yield node
        waiting += ast.iter_child_nodes(node)


class _Uses:
    """Tells where numbers with these names are used."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def is_number(self, node: ast.expr) -> bool:
        """Whether an expression is the number, or the rest of a division of it and the like."""
        match node:
            case ast.BinOp(left=left, op=op, right=ast.Constant()) if not isinstance(op, ast.Sub):
                return self.is_number(left)
            case ast.Call(func=func, args=[first, *_]) if _last_name(func) in _SAME:
                return self.is_number(first)
            case ast.Call(func=func, args=[]):
                return _last_name(func) in self._names
            case _:
                return _last_name(node) in self._names

    def _is_text(self, node: ast.expr) -> bool:
        """Whether an expression is the number as a text, and nothing else."""
        match node:
            case ast.Call(func=func, args=[first, *_]) if _last_name(func) in _TEXTS:
                return self.is_number(first)
            case ast.JoinedStr(values=[ast.FormattedValue(value=value)]):
                return self.is_number(value)
            case ast.Subscript(value=value, slice=ast.Slice()):
                return self._is_text(value)
            case _:
                return False

    def joins(self, node: ast.AST) -> bool:
        """Whether this is a text in which the number is joined to other characters, or a path with it."""
        match node:
            case ast.JoinedStr(values=values):
                return any(self._is_joined(values, place) for place in range(len(values)))
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                after = self._is_text(right) and _ends(left, _BEFORE)
                return after or (self._is_text(left) and _ends(right, _AFTER))
            case ast.BinOp(op=ast.Div(), right=right):
                return self._is_text(right)
            case ast.BinOp(left=ast.Constant(value=str() as text), op=ast.Mod(), right=right):
                parts = right.elts if isinstance(right, ast.Tuple) else [right]
                return _PERCENT.search(text) is not None and any(map(self._is_given, parts))
            case ast.Call(func=ast.Attribute(value=ast.Constant(value=str() as text), attr="format")):
                parts = [*node.args, *(keyword.value for keyword in node.keywords)]
                return _BRACES.search(text) is not None and any(map(self._is_given, parts))
            case ast.Call(func=func, args=args) if _last_name(func) in _PATHS:
                return any(map(self._is_text, args))
            case _:
                return False

    def _is_given(self, node: ast.expr) -> bool:
        return self.is_number(node) or self._is_text(node)

    def _is_joined(self, values: list[ast.expr], place: int) -> bool:
        part = values[place]
        if not isinstance(part, ast.FormattedValue) or not self._is_given(part.value):
            return False
        before, after = values[:place][-1:], values[place + 1 :][:1]
        return any(_ends(one, _BEFORE) for one in before) or any(_ends(one, _AFTER) for one in after)


def _ends(node: ast.expr, pattern: re.Pattern[str]) -> bool:
    """Whether a text may be directly beside a number in a name. What is not written here may be."""
    if isinstance(node, ast.Constant):
        text = node.value
        return (
            isinstance(text, str)
            and (pattern.search if pattern is _BEFORE else pattern.match)(text) is not None
        )
    return True
