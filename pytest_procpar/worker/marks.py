"""Which tests have a mark that gives them a process of their own, read from the collected items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

__all__ = ["ISOLATES", "marked_tests"]

#: Set in a special process if it, too, is to give marked tests processes of their own.
ISOLATES: pytest.StashKey[bool] = pytest.StashKey()


def marked_tests(items: Iterable[pytest.Item], marks: tuple[str, ...]) -> Iterator[int]:
    """The indexes of the tests that have one of these marks, or whose class or module has one."""
    known: dict[pytest.Collector, bool] = {}

    def has_mark(node: pytest.Item | pytest.Collector) -> bool:
        return any(mark.name in marks for mark in node.own_markers)

    def is_inside(node: pytest.Collector) -> bool:
        if node not in known:
            above = node.parent
            known[node] = has_mark(node) or (isinstance(above, pytest.Collector) and is_inside(above))
        return known[node]

    for index, item in enumerate(items):
        if has_mark(item) or (isinstance(item.parent, pytest.Collector) and is_inside(item.parent)):
            yield index
