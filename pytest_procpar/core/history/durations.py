"""The history of durations: what each test, and each setting, took in the latest runs that ran it.

A setting is what tests share fixtures in: a module, or a class of one. Its key is the beginning of their
nodeids, such as ``tests/test_db.py`` or ``tests/test_db.py::TestX``. The empty key stands for the process,
and so for fixtures of the session.

What is kept is what was measured, with the run that measured it, and nothing that was made of it. Of a test
the latest `KEPT` runs are kept, by the order of runs that all histories agree on. So merging histories is a
union, cut in the same way whatever the order: it is commutative and associative, and a run that is merged
twice counts once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from pytest_procpar.core.record import record

__all__ = [
    "EMPTY", "KEPT", "OF_SETTING", "OF_TEST", "SETTING_OF_ALL", "DurationHistory", "PastRun", "Row",
    "function_of", "median", "settings_of", "smoothed", "split_nodeid",
]  # fmt: skip

#: Of how many runs a test's times are kept: with the weights below, all older ones would have an eighth.
KEPT = 3
#: The key of the setting that all tests of a process share.
SETTING_OF_ALL = ""

#: What was measured, newest first, without any structure between: the number of a run and its times in
#: microseconds, then those of the run before. A test that was only ever skipped has the number alone.
Row: TypeAlias = list[int]
#: How many numbers a run has in a row. Test: run, set-up, call, teardown. Setting: run, set-up, teardown.
OF_TEST, OF_SETTING = 4, 3


@record
class PastRun:
    """A run that has measured something.

    ``ident`` is the same wherever the run is known. ``time`` is in seconds since the epoch, but always later
    than all that the run knew of, whatever the machine's clock says. ``tests`` is how many tests it ran.
    ``memory`` is how many bytes its workers had for themselves, on average; 0: that is not known.
    """

    ident: str
    time: int
    tests: int
    memory: int = 0

    @property
    def place(self) -> tuple[int, str]:
        """What runs are ordered by, in all histories."""
        return self.time, self.ident


@record
class DurationHistory:
    """What is known of earlier runs. Nothing in it is ever changed.

    ``runs`` are by number: a later run has a higher one. ``tests`` are by file, and there by the rest of
    their nodeids; ``settings`` by their keys.
    """

    runs: Mapping[int, PastRun]
    tests: Mapping[str, Mapping[str, Row]]
    settings: Mapping[str, Row]

    @property
    def count(self) -> int:
        """How many tests are known."""
        return sum(map(len, self.tests.values()))

    def row(self, nodeid: str) -> Row | None:
        """What is known of a test."""
        file, name = split_nodeid(nodeid)
        return self.tests.get(file, {}).get(name)


EMPTY = DurationHistory({}, {}, {})


def split_nodeid(nodeid: str) -> tuple[str, str]:
    """The file of a test, and the rest of its nodeid."""
    file, _, name = nodeid.partition("::")
    return file, name


def function_of(nodeid: str) -> str:
    """The nodeid of a test without its parameters."""
    begin = nodeid.find("[", nodeid.find("::"))
    return nodeid if begin < 0 else nodeid[:begin]


def settings_of(function: str) -> tuple[str, ...]:
    """The settings that a test is in, from the widest to the narrowest.

    :param function: its nodeid without parameters, which may contain anything.
    """
    file, *classes = function.split("::")[: max(1, function.count("::"))]
    keys = [SETTING_OF_ALL, file]
    for name in classes:
        keys.append(f"{keys[-1]}::{name}")
    return tuple(keys)


def smoothed(row: Row, width: int) -> list[float]:
    """The times to expect, in microseconds, one for each that a run has in the row; zeros for a skipped test.

    They are smoothed exponentially, with the factor 1/2: the latest run counts twice as much as the one
    before, and so on, over the runs that are kept (simple exponential smoothing: R. G. Brown, Exponential
    Smoothing for Predicting Demand, 1956; NIST/SEMATECH e-Handbook of Statistical Methods, 6.4.3.1). With
    this factor a test that has changed is at six sevenths of its new duration after two runs, and noise
    that differs from run to run has two thirds of its standard deviation left.
    """
    times = [0.0] * (width - 1)
    weight, weights = 1.0, 0.0
    for begin in range(0, len(row) - width + 1, width):
        for place in range(width - 1):
            times[place] += weight * row[begin + 1 + place]
        weights += weight
        weight /= 2
    return [time / weights for time in times] if weights else times


def median(values: Sequence[float]) -> float:
    """The middle of some values; the mean of both if there are two. `statistics` takes long to import."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
