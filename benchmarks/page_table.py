"""A generated table in a page: rows between two markers, where what was not run keeps its row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["between", "escaped", "rows_of"]

_ROW = re.compile(r"^\| ([^|]+?) \|")


def rows_of(text: str, begin: str, end: str) -> dict[str, str]:
    """The lines of the table between two markers, by their first cell; the head is among them.

    Raises:
        ValueError: One of the markers is missing, or there twice.
    """
    _, old, _ = _parts(text, begin, end)
    return {found[1]: line for line in old.splitlines() if (found := _ROW.match(line))}


def between(text: str, begin: str, end: str, lines: Iterable[str]) -> str:
    """``text`` with ``lines`` between the markers. Raises ValueError, see `rows_of`."""
    before, _, after = _parts(text, begin, end)
    return "\n".join([before + begin, "", *lines, "", end]) + after


def escaped(words: Sequence[str]) -> str:
    """A row of a table."""
    return f"| {' | '.join(' '.join(word.split()).replace('|', chr(92) + '|') for word in words)} |"


def _parts(text: str, begin: str, end: str) -> tuple[str, str, str]:
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"there must be one line {begin!r} and one {end!r}")
    before, rest = text.split(begin)
    old, after = rest.split(end)
    return before, old, after
