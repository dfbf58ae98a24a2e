"""What ``--procpar-history=show`` prints: the slowest tests and the dearest fixtures."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from heapq import nlargest

from pytest_procpar.core.history.durations import (
    OF_SETTING,
    OF_TEST,
    SETTING_OF_ALL,
    DurationHistory,
    smoothed,
)
from pytest_procpar.core.printable import printable_line

__all__ = ["counted", "page"]

_SECOND = 1_000_000
#: Lines that are neither a test nor a setting, and the least number of each of these.
_FRAME, _LEAST = 10, 3
#: The width of a duration.
_WIDTH = 10


def page(history: DurationHistory, columns: int, lines: int) -> Iterator[str]:
    """The lines of the page.

    :param columns: how long a line may be.
    :param lines: how many there may be.
    """
    times = [
        (smoothed(row, OF_TEST), f"{file}::{name}" if name else file)
        for file, rows in history.tests.items()
        for name, row in rows.items()
    ]
    yield f"{counted(history.count, 'test')}, {_runs(history)}"
    if not times:
        return
    phases = [sum(some) for some in zip(*(some for some, _ in times), strict=True)]
    names = ("set-up", "call", "teardown")
    parts = [f"{name} {_seconds(value)}" for name, value in zip(names, phases, strict=True)]
    yield f"all tests: {_seconds(sum(phases))} ({', '.join(parts)}), without the fixtures below"
    settings = {key: sum(smoothed(row, OF_SETTING)) for key, row in history.settings.items()}
    for_settings = min(len(settings), max(_LEAST, (lines - _FRAME) // 2))
    for_tests = max(_LEAST, lines - _FRAME - for_settings)
    yield ""
    yield "slowest tests:"
    yield from _ranked(((sum(some), nodeid) for some, nodeid in times), for_tests, columns)
    if settings:
        yield ""
        yield "dearest fixtures of a module, a class or the session, set-up and teardown:"
        named = ((cost, key if key != SETTING_OF_ALL else "(session)") for key, cost in settings.items())
        yield from _ranked(named, for_settings, columns)


def _runs(history: DurationHistory) -> str:
    runs = history.runs.values()
    if not runs:
        return "no run"
    latest = time.strftime("%Y-%m-%d %H:%M", time.localtime(max(past.time for past in runs)))
    return f"{counted(len(runs), 'run')}, the latest on {latest}"


def _ranked(some: Iterable[tuple[float, str]], room: int, columns: int) -> Iterator[str]:
    """The largest, and how many more there are."""
    everything = list(some)
    for cost, name in nlargest(room, everything, key=lambda pair: (pair[0], pair[1])):
        yield _cut(f"{_seconds(cost):>{_WIDTH}}  {printable_line(name)}", columns)
    if len(everything) > room:
        yield _cut(f"{'':{_WIDTH}}  and {len(everything) - room} more", columns)


def _cut(line: str, columns: int) -> str:
    """The line, without its middle if it is too long: a nodeid tells most at its ends."""
    if len(line) <= columns:
        return line
    begin = max(_WIDTH + 2, columns // 3)
    end = max(1, columns - begin - 1)
    return f"{line[:begin]}…{line[-end:]}"


def _seconds(microseconds: float) -> str:
    seconds = microseconds / _SECOND
    return f"{seconds:.3f} s" if seconds < 10 else f"{seconds:.1f} s"


def counted(count: int, word: str) -> str:
    """So many of what a word names."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
