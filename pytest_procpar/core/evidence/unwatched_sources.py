"""Which statements of a source make something unique that cannot be watched: of a clock, by a command.

What they assign is told by `derived_names`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

__all__ = ["may_have_sources", "spans", "unwatched_sources"]

#: What a source contains at the least if it has such a statement, ...
_MARKS = (
    b"time_ns(", b"perf_counter_ns(", b"monotonic_ns(", b"/random/uuid", b"mktemp", b"uuidgen", b"np.random.",
    b"numpy.random.",
)  # fmt: skip
#: ... or if it multiplies or hashes what a clock says.
_CLOCK = re.compile(rb"(?:time|now|timestamp|perf_counter|monotonic)\(")
_HASHING = (b"md5(", b"sha", b"blake2", b".new(", b"uuid3(", b"uuid5(", b"crc32(", b"adler32(", b"hash(")
#: Clocks that tell nanoseconds, and others, whose result counts if it is multiplied or hashed.
_FINE = frozenset({"time_ns", "perf_counter_ns", "monotonic_ns", "process_time_ns"})
_CLOCKS = frozenset({"time", "now", "utcnow", "timestamp", "perf_counter", "monotonic"})
_HASHES = frozenset({
    "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "blake2b", "blake2s", "new", "uuid3",
    "uuid5", "crc32", "adler32", "hash",
})  # fmt: skip
#: Commands that print something unique.
_COMMAND = re.compile(r"(?:^|[/\s(`])(mktemp|uuidgen)(?:\s|$|[)`])")
_KERNEL = "/proc/sys/kernel/random/uuid"


def may_have_sources(source: bytes) -> bool:
    """Whether it is worth looking into a source: a cheap check."""
    if any(mark in source for mark in _MARKS):
        return True
    if any(mark in source for mark in _HASHING) and _CLOCK.search(source) is not None:
        return True
    return b"*" in source and any(b"*" in line and _CLOCK.search(line) for line in source.splitlines())


def unwatched_sources(source: str) -> Iterator[tuple[range, str]]:
    """Yield the lines of each such statement, counted from 1, and what it uses, in words."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    is_seeded = "seed(" in source
    for node in ast.walk(tree):
        if isinstance(node, ast.withitem):
            statement: ast.AST = node
            first, last = node.context_expr.lineno, node.context_expr.end_lineno
        elif isinstance(node, ast.stmt) and not hasattr(node, "body"):
            statement, first, last = node, node.lineno, node.end_lineno
        else:
            continue
        what = next(filter(None, (_unique(part, is_seeded) for part in ast.walk(statement))), None)
        what = what or next(_moments(statement), None)
        if what is not None:
            yield range(first, (last or first) + 1), what


def spans(source: str) -> frozenset[str]:
    """The variables that hold the difference of two values that are not written there: a time span."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return frozenset()
    return frozenset(
        part.id if isinstance(part, ast.Name) else part.attr
        for node in ast.walk(tree)
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and _is_difference(node.value)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        for part in ast.walk(target)
        if isinstance(part, (ast.Name, ast.Attribute))
    )


def _is_difference(node: ast.expr | None) -> bool:
    return node is not None and any(
        isinstance(part, ast.BinOp)
        and isinstance(part.op, ast.Sub)
        and not isinstance(part.left, ast.Constant)
        and not isinstance(part.right, ast.Constant)
        for part in ast.walk(node)
    )


def _unique(node: ast.AST, is_seeded: bool) -> str | None:
    """What a part of a statement makes that is unique, whatever is done with it."""
    match node:
        case ast.Call(
            func=ast.Attribute(value=ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="random"))
        ):
            name = node.func.attr  # type: ignore[attr-defined]
            gives = not is_seeded and name not in ("seed", "default_rng", "Generator")
            return f"numpy.random.{name}()" if gives else None
        case ast.Call(args=args):
            parts = [getattr(part, "value", None) for arg in args[:1] for part in ast.walk(arg)]
            words = [word for word in parts if isinstance(word, str)]
            if _KERNEL in words:
                return _KERNEL
            command = next(filter(None, map(_COMMAND.search, words)), None)
            return None if command is None else f"the command {command[1]}"
        case _:
            return None


def _moments(node: ast.AST, fine: bool = False) -> Iterator[str]:
    """The clocks that are asked below a node; a difference of two moments is no moment.

    :param fine: whether something around it multiplies or hashes what the clock says.
    """
    match node:
        case ast.BinOp(op=ast.Sub()) | ast.Compare():
            return
        case ast.BinOp(op=ast.Mult()):
            fine = True
        case ast.Call(func=func):
            name = _last_name(func)
            if name in _FINE or (fine and name in _CLOCKS):
                yield f"{ast.unparse(func)}()"
                return
            fine = fine or name in _HASHES
        case _:
            pass
    for child in ast.iter_child_nodes(node):
        yield from _moments(child, fine)


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
