"""Keeps a history small: forgets tests that no longer run, and runs that nothing is known from any more."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from pytest_procpar.core.history.durations import (
    OF_SETTING,
    OF_TEST,
    SETTING_OF_ALL,
    DurationHistory,
    Row,
)

__all__ = ["MOST_TESTS", "UNSEEN", "pruned"]

#: A test is forgotten if, since it ran last, runs have run so many times as many tests as are known: as many
#: whole runs, or more of parts of the suite. So neither a run of one file nor a share of a divided run in CI
#: counts as evidence that all other tests are gone.
UNSEEN = 30
#: No more tests are kept than this: those that ran last.
MOST_TESTS = 100_000
#: So many of the latest runs are kept even if no test has times of theirs: they count as above.
_MOST_RUNS = 1_000
#: A setting that never took more than this, in microseconds, is not kept: it takes as much to say so.
_NOTHING = 1_000


def pruned(history: DurationHistory, most: int = MOST_TESTS) -> DurationHistory:
    """The history without what is not worth keeping.

    :param most: how many tests to keep at most.
    """
    oldest = _oldest_of_interest(history)
    tests = _not_older(history.tests, oldest)
    count = sum(map(len, tests.values()))
    if count > most:
        tests = _latest(tests, most)
    settings = {
        key: row
        for key, row in history.settings.items()
        if row[0] >= oldest and _is_used(key, tests) and _is_dear(row)
    }
    numbers = {number for rows in tests.values() for row in rows.values() for number in row[::OF_TEST]}
    numbers |= {number for row in settings.values() for number in row[::OF_SETTING]}
    counted = [number for number in sorted(history.runs, reverse=True) if number >= oldest]
    numbers |= set(counted[:_MOST_RUNS])
    runs = {number: past for number, past in history.runs.items() if number in numbers}
    return DurationHistory(runs, tests, settings)


def _oldest_of_interest(history: DurationHistory) -> int:
    """The number of the run from which on a test must have run to be kept."""
    left = UNSEEN * history.count
    for number in sorted(history.runs, reverse=True):
        if left <= 0:
            return number + 1
        left -= history.runs[number].tests
    return 0


def _not_older(tests: Mapping[str, Mapping[str, Row]], oldest: int) -> Mapping[str, Mapping[str, Row]]:
    """The tests that ran in this run or a later one."""
    firsts = (row[0] for row in chain.from_iterable(rows.values() for rows in tests.values()))
    if min(firsts, default=oldest) >= oldest:
        return tests
    left = {
        file: {name: row for name, row in rows.items() if row[0] >= oldest} for file, rows in tests.items()
    }
    return {file: rows for file, rows in left.items() if rows}


def _latest(tests: Mapping[str, Mapping[str, Row]], most: int) -> dict[str, dict[str, Row]]:
    """So many tests, those that ran last; of those of one run, the first by their names."""
    order = sorted(
        ((-row[0], file, name) for file, rows in tests.items() for name, row in rows.items()),
    )
    left: dict[str, dict[str, Row]] = {}
    for _, file, name in order[:most]:
        left.setdefault(file, {})[name] = tests[file][name]
    return left


def _is_used(key: str, tests: Mapping[str, Mapping[str, Row]]) -> bool:
    """Whether a test of the setting's file is still known."""
    return key == SETTING_OF_ALL or key.partition("::")[0] in tests


def _is_dear(row: Row) -> bool:
    return any(row[at + 1] + row[at + 2] > _NOTHING for at in range(0, len(row), OF_SETTING))
