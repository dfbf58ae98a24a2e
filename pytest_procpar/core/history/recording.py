"""Makes a history of what one run has measured, to be merged with what is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from pytest_procpar.core.history.durations import (
    EMPTY,
    DurationHistory,
    PastRun,
    Row,
    split_nodeid,
)
from pytest_procpar.core.history.forecast import Forecast, expected
from pytest_procpar.core.history.own_times import own_times
from pytest_procpar.core.history.run_log import Ending, Timed
from pytest_procpar.core.record import record

__all__ = ["MOST_MICROSECONDS", "Seen", "history_of", "seen_in"]

#: A time beyond this is none: a clock was moved. Four months.
MOST_MICROSECONDS = 10**13
_MOST = MOST_MICROSECONDS / 1_000_000
#: What a setting must take to be worth noting if nothing is known of it, in microseconds.
_LEAST = 1_000
#: The longest nodeid that is kept, in characters.
_LONGEST_NODEID = 4_000

#: A test, how it ended, and the microseconds of its phases.
_Times: TypeAlias = tuple[str, Ending, tuple[int, int, int]]


@record
class Seen:
    """What a run has measured: the tests in its order, and its settings by key, in microseconds."""

    tests: Sequence[_Times]
    settings: Mapping[str, tuple[int, int]]


def seen_in(processes: Sequence[Sequence[Timed]], known: DurationHistory) -> Seen:
    """What the processes of a run have measured: tests apart from the fixtures that they share."""
    processes = [[test for test in process if _makes_sense(test)] for process in processes]
    before = Forecast(known)
    own = own_times(processes, before.settings(0), before.settings(1))
    tests = [
        (test.nodeid, test.ending, (_microseconds(setup), _microseconds(call), _microseconds(teardown)))
        for process, times in zip(processes, own.tests, strict=True)
        for test, (setup, call, teardown) in zip(process, times, strict=True)
    ]
    settings = {key: (_microseconds(up), _microseconds(down)) for key, (up, down) in own.costs.items()}
    return Seen(tests, settings)


def _microseconds(seconds: float) -> int:
    """A time in microseconds."""
    return round(seconds * 1_000_000)


def _makes_sense(test: Timed) -> bool:
    """Whether a test's times are times, which a moved clock makes none, and its nodeid has an end."""
    return (
        0.0 <= test.setup < _MOST
        and 0.0 <= test.call < _MOST
        and 0.0 <= test.teardown < _MOST
        and len(test.nodeid) <= _LONGEST_NODEID
    )


def history_of(
    seen: Seen, known: DurationHistory, ident: str, now: float, memory: int = 0
) -> DurationHistory:
    """A history of this run alone, of what it adds to what is known.

    :param ident: the run's id; no other run has it.
    :param now: seconds since the epoch.
    :param memory: how many bytes a worker had for itself; 0: that is not known.
    """
    tests = _tests(seen.tests, known)
    settings = {
        key: [1, *times]
        for key, times in seen.settings.items()
        if key in known.settings or sum(times) > _LEAST
    }
    if not tests and not settings:
        return EMPTY
    latest = max((past.time for past in known.runs.values()), default=0)
    past = PastRun(ident, max(int(now), latest + 1), len(seen.tests), memory)
    return DurationHistory({1: past}, tests, settings)


def _tests(tests: Iterable[_Times], known: DurationHistory) -> dict[str, dict[str, Row]]:
    found: dict[str, dict[str, Row]] = {}
    several: dict[str, list[Row]] = {}
    for nodeid, ending, times in tests:
        file, name = split_nodeid(nodeid)
        rows = found.get(file)
        if rows is None:
            rows = found[file] = {}
        if ending is not Ending.RAN and not _counts(ending, sum(times), known.row(nodeid)):
            continue
        skipped = ending in (Ending.SKIPPED, Ending.SKIPPED_LATE)
        row = [1] if skipped else [1, *times]
        if len(rows.get(name, ())) > 1:  # two tests share a nodeid, or each worker has run it
            several.setdefault(nodeid, [rows[name]]).append(row)
        else:
            rows[name] = row
    for nodeid, some in several.items():
        file, name = split_nodeid(nodeid)
        found[file][name] = _mean([row for row in some if len(row) > 1])
    return {file: rows for file, rows in found.items() if rows}


def _counts(ending: Ending, took: int, row: Row | None) -> bool:
    """Whether the times of a test that did not pass at once say something of how long it will take."""
    if ending in (Ending.SKIPPED, Ending.SKIPPED_LATE):
        return row is None or len(row) == 1
    if ending in (Ending.FAILED, Ending.FAILED_ODDLY):  # it would take so long at least
        return row is None or took > expected(row)
    return True


def _mean(rows: Sequence[Row]) -> Row:
    return [1, *(sum(times) // len(rows) for times in zip(*(row[1:] for row in rows), strict=True))]
