"""Which names a source file gives to values derived from a value, and whether a text looks derived.

A hash of a process id contains nothing of the id. But the statement that asks for the id assigns the result,
or puts it into a variable from which another statement makes a name. Together with the text's looks that is
enough: what is the same in every process most often stands in the code or in the environment, or is made of
words.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TypeAlias

__all__ = ["assigned_names", "has_made_words", "made_words"]

_WORD = re.compile(r"[0-9A-Za-z]+")
#: A pattern that every text with a derived word matches.
_LIKELY = re.compile(r"\d[0-9A-Za-z]{2}|[0-9A-Za-z]{2}\d|[A-Z][0-9a-z]+[A-Z]")
_NUMBER = re.compile(r"\d{3}")
_HEX = re.compile(r"[0-9a-f]{4,}|[0-9A-F]{4,}")
#: Longer texts, and those of several lines, are contents, not names.
_LONGEST = 256
#: Nobody has written a word of at least this length in which the kind of character changes this often.
_LEAST, _CHANGES = 8, 3

#: A scope (the line of its function; `_EVERYWHERE` in the file), and a name; that of an attribute has a dot.
_Variable: TypeAlias = tuple[int, str]
_EVERYWHERE = 0


def made_words(text: str) -> list[str]:
    """The words of a text that look as if they were computed, not written."""
    if len(text) > _LONGEST or "\n" in text or not _LIKELY.search(text):
        return []
    return [word for word in _WORD.findall(text) if _looks_made(word)]


def has_made_words(text: str) -> bool:
    """Whether a text of any length, such as the ids of all tests, has a word that looks computed."""
    return any(map(_looks_made, _WORD.findall(text)))


def _looks_made(word: str) -> bool:
    if word.isalpha() and (len(word) < _LEAST or word.islower() or word.isupper()):
        return False
    if _NUMBER.search(word) or any(not part.isalpha() for part in _HEX.findall(word)):
        return True
    if len(word) < _LEAST:
        return False
    kinds = [(part.isdigit(), part.isupper()) for part in word]
    changes = sum(before != after for before, after in pairwise(kinds))
    return changes >= _CHANGES


def assigned_names(source: str, lines: Iterable[int], *, everywhere: bool = False) -> frozenset[str]:
    """The names of whatever gets a value that is made in these lines, or one that is derived from it.

    These are variables, attributes, keys, parameters, and functions that return it. Empty if the source has
    errors.

    :param everywhere: whether to leave out what only a function knows.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return frozenset()
    statements = list(_statements(tree))
    wanted = set(lines)
    told = [one for one in statements if wanted.intersection(one.lines)]
    known: set[_Variable] = set()
    while told:
        known = known.union(*(one.gets for one in told))
        told = [one for one in statements if known.intersection(one.asks) and one.gets - known]
    told = [one for one in statements if wanted.intersection(one.lines) or known.intersection(one.asks)]
    labels = frozenset().union(*(one.labels for one in told if one.scope == _EVERYWHERE or not everywhere))
    return labels | {
        name.removeprefix(".") for scope, name in known if scope == _EVERYWHERE or not everywhere
    }


class _Statement:
    """A statement's lines, the variables that it sets, those that it reads, and what else it names."""

    __slots__ = ("asks", "gets", "labels", "lines", "scope")

    def __init__(self, node: ast.AST, lines: range, scope: int, shared: frozenset[str] = frozenset()) -> None:
        self.lines = lines
        self.scope = scope
        self.gets: set[_Variable] = set()
        self.asks: set[_Variable] = set()
        self.labels: set[str] = set()
        for part in ast.walk(node):
            match part:
                case ast.Name(id=name, ctx=ast.Load()):
                    self.asks |= {(scope, name), (_EVERYWHERE, name)}
                case ast.Name(id=name):
                    self.gets.add((_EVERYWHERE if name in shared else scope, name))
                case ast.Attribute(attr=name, ctx=ast.Load()):
                    self.asks.add((_EVERYWHERE, f".{name}"))
                case ast.Attribute(attr=name):
                    self.gets.add((_EVERYWHERE, f".{name}"))
                case ast.keyword(arg=str() as name):
                    self.labels.add(name)
                case ast.Subscript(slice=ast.Constant(value=str() as name), ctx=ast.Store()):
                    self.labels.add(name)
                case ast.Dict(keys=keys):
                    self.labels.update(filter(None, map(_text, keys)))
                case ast.Call(args=[ast.Constant(value=str() as name), *_]) if name.isidentifier():
                    self.labels.add(name)
                case _:
                    pass


def _statements(
    node: ast.AST, scope: int = _EVERYWHERE, function: str = "", shared: frozenset[str] = frozenset()
) -> Iterator[_Statement]:
    """The statements that contain no others, what `with` binds, and the headers of functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = range(child.lineno, max(child.lineno, child.body[0].lineno - 1) + 1)
            header = _Statement(child.args, lines, scope)
            every = (*child.args.posonlyargs, *child.args.args, *child.args.kwonlyargs)
            header.labels |= {arg.arg for arg in every}
            yield header
            own = (part.names for part in ast.walk(child) if isinstance(part, ast.Global))
            yield from _statements(child, child.lineno, child.name, frozenset().union(*own))
        elif isinstance(child, ast.stmt) and not hasattr(child, "body"):
            lines = range(child.lineno, (child.end_lineno or child.lineno) + 1)
            statement = _Statement(child, lines, scope, shared)
            if isinstance(child, ast.Return):
                statement.gets |= {(_EVERYWHERE, function), (_EVERYWHERE, f".{function}")}
            yield statement
        else:
            if isinstance(child, ast.withitem):
                lines = range(child.context_expr.lineno, (child.context_expr.end_lineno or 0) + 1)
                yield _Statement(child, lines, scope, shared)
            yield from _statements(child, scope, function, shared)


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
