"""Where to divide the tests that a worker has not begun, if another one can take some of them."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.record import record
from pytest_procpar.core.run.batching import Unit
from pytest_procpar.core.run.sharing.expectations import Expectations

__all__ = ["COLD", "Split", "Standing", "best_split", "seconds_in_order"]

#: A second of another set-up has to end the run earlier by this many seconds. Set-ups take processor time
#: from the other workers, so it should be clearly more than nothing.
_WORTH = 0.25

#: A gain that counts, and what sums may differ by and be equal, in seconds.
_LEAST_GAIN, _ROUNDING = 1e-6, 1e-9


@record
class Standing:
    """What is set up in a worker: the homes of its latest test, and the wide fixtures that stand there."""

    homes: tuple[int, ...]
    fixtures: frozenset[int]


#: Nothing is set up.
COLD = Standing((), frozenset())


@record
class Split:
    """How many of the last units to take, and how many seconds that is expected to gain; 0: none."""

    units: int
    gain: float


def _in_order(tests: Sequence[TestIndex], standing: Standing, expected: Expectations) -> list[float]:
    """What each test adds to the time of a worker that runs these in this order.

    The first one that needs a fixture pays for it. A fixture stands as long as its home is not left.
    """
    added: list[float] = []
    home_of, seconds, uses, use_of = expected.homes, expected.seconds, expected.uses, expected.use_of
    homes, standing_fixtures, latest = standing.homes, set(standing.fixtures), -1
    for test in tests:
        price = seconds(test)
        use = use_of[test]
        if use != latest:
            latest = use
            its_homes, fixtures = uses[use]
            if its_homes != homes:
                homes = its_homes
                standing_fixtures = {f for f in standing_fixtures if home_of[f] in homes}
            new = [f for f in fixtures if f not in standing_fixtures]
            if new:
                price += expected.cost_of(new)
                standing_fixtures.update(new)
        added.append(price)
    return added


def seconds_in_order(tests: Sequence[TestIndex], standing: Standing, expected: Expectations) -> float:
    """How long a worker in which this stands will take for these tests, in this order."""
    return sum(_in_order(tests, standing, expected))


def _with_all_behind(tests: Sequence[TestIndex], standing: Standing, expected: Expectations) -> list[float]:
    """For each test, how long a worker will take that runs it and all that follow.

    Walks backwards: within a home it does not matter which of its tests pays for a fixture.
    """
    times = [0.0] * (len(tests) + 1)
    home_of, seconds, uses, use_of = expected.homes, expected.seconds, expected.uses, expected.use_of
    homes: tuple[int, ...] = ()
    paid: set[int] = set()
    latest, total, saved = -1, 0.0, 0.0
    for place in range(len(tests) - 1, -1, -1):
        test = tests[place]
        total += seconds(test)
        use = use_of[test]
        if use != latest:
            latest = use
            its_homes, fixtures = uses[use]
            if its_homes != homes:
                homes = its_homes
                paid = {f for f in paid if home_of[f] in homes}
            new = [f for f in fixtures if f not in paid]
            if new:
                total += expected.cost_of(new)
                paid.update(new)
            # What stands in the worker is free, but only until it leaves that home.
            stands = [f for f in standing.fixtures & paid if home_of[f] in standing.homes]
            saved = expected.cost_of(stands)
        times[place] = total - saved
    return times


def best_split(
    units: Sequence[Unit],
    victim: tuple[float, Standing],
    thief: tuple[float, Standing],
    expected: Expectations,
) -> Split:
    """How many of a victim's last units a thief should take.

    Both have so many seconds of work before they come to these units, and a standing by then. The split is
    the one with which the later of the two ends first. A set-up that is made twice has to be worth it: so a
    fixture that costs much moves with all its tests or not at all, unless they last longer than it does.

    :returns: also with a negative gain, which says how far from worth it the best split is.
    """
    tests = [test for unit in units for test in unit]
    added = _in_order(tests, victim[1], expected)
    behind = _with_all_behind(tests, thief[1], expected)
    all_there = victim[0] + sum(added)
    best = Split(0, -all_there)
    ahead, place, count = victim[0], 0, len(units)
    for unit in units:
        other = thief[0] + behind[place]
        more = max(0.0, ahead + other - thief[0] - all_there)  # seconds of set-ups, beyond those there were
        gain = max(all_there, thief[0]) - max(ahead, other) - _WORTH * more
        if gain >= best.gain - _ROUNDING or not best.units:  # of equal ones the smallest
            best = Split(count, gain)
        ahead += sum(added[place : place + len(unit)])
        place += len(unit)
        count -= 1
    return best if best.gain > _LEAST_GAIN else Split(0, best.gain)
