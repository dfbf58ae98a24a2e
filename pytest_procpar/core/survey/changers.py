"""Which tests change the state that others share, as a single pass over all shows it: likely polluters first.

Most tests change only what all of them change: a counter, a cache. So what few tests change counts for more.
That no change of a test's is seen does not mean that the test harms no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.record import record

__all__ = ["StateAfter", "changers"]


@record
class StateAfter:
    """The slots that differ, after a test, from before the pass: their names, and what is in each now."""

    after: TestIndex
    slots: tuple[tuple[str, str], ...]


def changers(states: Sequence[StateAfter]) -> list[TestIndex]:
    """The tests that have changed something, the most telling changes first.

    :param states: the state after each test of a pass, in the pass's order.
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
