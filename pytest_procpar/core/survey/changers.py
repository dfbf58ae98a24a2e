"""Which tests change the state that others share, as one pass over all tells: the likeliest polluters first.

Most tests change nothing but what all do: a counter, a cache. So what few tests change weighs more. That a
test changes nothing that is seen does not mean that it harms nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.record import record

__all__ = ["StateAfter", "changers"]


@record
class StateAfter:
    """What is otherwise than before the pass, after a test: the names of slots, and what is in each now."""

    after: TestIndex
    slots: tuple[tuple[str, str], ...]


def changers(states: Sequence[StateAfter]) -> list[TestIndex]:
    """The tests that have changed something, the most telling changes first.

    :param states: the state after each test of a pass, in its order.
    """
    changed: dict[TestIndex, set[str]] = {}
    before: Mapping[str, str] = {}
    for state in states:
        now = dict(state.slots)
        changed[state.after] = {name for name in {*before, *now} if before.get(name) != now.get(name)}
        before = now
    how_many = Counter(name for names in changed.values() for name in names)
    weights = {test: sum(1 / how_many[name] for name in names) for test, names in changed.items()}
    return sorted((test for test in changed if weights[test]), key=lambda test: (-weights[test], test))
