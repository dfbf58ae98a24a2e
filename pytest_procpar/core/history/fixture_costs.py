"""What the fixtures of each setting cost, worked out from the order in which processes ran tests.

The first test of a setting in a process pays for it: its set-up takes longer than that of the setting's other
tests. What it takes longer than their median is what the setting costs. The same goes for teardown, seen from
the end: the last test pays. A process that leaves a module and comes back pays again, as pytest tears down
what it leaves.

A test may be the first one of several settings at once: of its class, its module, its process. What it pays
is divided so that it fits what is known: first what other tests have paid for one of them alone, then what
earlier runs have found. What remains goes to the widest one below the process. So a module is thought to be
dearer than it is, rather than cheaper, as long as nobody has seen it apart: it costs little to keep its tests
together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TypeAlias

from pytest_procpar.core.history.durations import SETTING_OF_ALL, median
from pytest_procpar.core.history.run_log import Ending
from pytest_procpar.core.record import changed, record

__all__ = ["Paid", "Payment", "Step", "paid"]


#: A test in a process: its settings from the widest on, its nodeid without parameters, what its times tell,
#: and the seconds of its set-up (or teardown).
Step: TypeAlias = tuple[tuple[str, ...], str, Ending, float]

#: The endings of tests that ran once, with all that they need: what their set-up took is what it takes.
_TELLING = (Ending.RAN, Ending.FAILED)
_SKIPPED = Ending.SKIPPED


@record
class Payment:
    """What one test paid for settings, in its place of its process.

    ``own`` is what the phase took without them, in seconds.
    """

    process: int
    place: int
    own: float


@record
class Paid:
    """What came of it: ``costs`` are in seconds, by key, of each setting that this run tells of."""

    costs: Mapping[str, float]
    payments: Sequence[Payment]


@record
class _Entry:
    """A test that found settings not set up: ``settings``, of all that it is ``within``.

    ``more`` is what it took longer than others; None: unknown.
    """

    process: int
    place: int
    within: tuple[str, ...]
    settings: tuple[str, ...]
    function: str
    seconds: float
    more: float | None = None


class _Others:
    """The times of tests that found all set up."""

    def __init__(self) -> None:
        self._settings: dict[tuple[str, ...], list[float]] = {}
        self._functions: dict[str, list[float]] = {}
        self._medians: dict[str, float] = {}

    def add(self, settings: tuple[str, ...], function: str, seconds: float) -> None:
        """Note a test."""
        if settings in self._settings:
            self._settings[settings].append(seconds)
        else:
            self._settings[settings] = [seconds]
        if function in self._functions:
            self._functions[function].append(seconds)
        else:
            self._functions[function] = [seconds]

    def close(self) -> None:
        """Work out what is usual in each setting."""
        by_key: dict[str, list[float]] = {}
        for settings, seconds in self._settings.items():
            for key in settings[1:]:
                by_key.setdefault(key, []).extend(seconds)
        self._medians = {key: median(seconds) for key, seconds in by_key.items()}

    def usual(self, entry: _Entry) -> float | None:
        """What such a test takes if all is set up: as its function with other parameters, or its setting.

        If a class has no other test, it takes what others of its module do.
        """
        if entry.function in self._functions:
            return median(self._functions[entry.function])
        return next((self._medians[key] for key in reversed(entry.within) if key in self._medians), None)


def paid(processes: Iterable[Sequence[Step]], known: Mapping[str, float]) -> Paid:
    """Who paid how much for which settings.

    :param processes: what each process ran, in order; for teardown, in the reverse order.
    :param known: what earlier runs have found, in seconds, by key.
    """
    entries, others = _entries(processes)
    measured = [_measured(entry, others.usual(entry)) for entry in entries]
    costs = _divided(measured, known)
    payments = []
    for entry in measured:
        more = entry.more
        if more is None:
            more = sum(costs.get(key, known.get(key, 0.0)) for key in entry.settings)
        payments.append(Payment(entry.process, entry.place, max(0.0, entry.seconds - more)))
    return Paid(costs, payments)


def _measured(entry: _Entry, usual: float | None) -> _Entry:
    return entry if usual is None else changed(entry, more=max(0.0, entry.seconds - usual))


def _entries(processes: Iterable[Sequence[Step]]) -> tuple[list[_Entry], _Others]:
    """The tests that found settings not set up, and the others."""
    entries: list[_Entry] = []
    others = _Others()
    for number, steps in enumerate(processes):
        there: tuple[str, ...] = ()
        for place, (settings, function, ending, seconds) in enumerate(steps):
            if settings == there:
                if ending in _TELLING:
                    others.add(settings, function, seconds)
                continue
            common = _common(there, settings)
            if ending is _SKIPPED:  # it sets nothing up, but the process leaves what it is not in
                there = there[:common]
                continue
            there = settings
            if ending not in _TELLING:
                continue
            if common == len(settings):
                others.add(settings, function, seconds)
            else:
                entries.append(_Entry(number, place, settings, settings[common:], function, seconds))
    others.close()
    return entries, others


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many settings are the same, from the widest on."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (mine, yours) in pairs if mine != yours), min(len(one), len(other)))


def _divided(entries: Sequence[_Entry], known: Mapping[str, float]) -> dict[str, float]:
    """The cost of each setting, from what tests paid for several at once."""
    together: dict[tuple[str, ...], list[float]] = {}
    for entry in entries:
        if entry.more is not None:
            together.setdefault(entry.settings, []).append(entry.more)
    costs: dict[str, float] = {}
    by_size = sorted(together, key=lambda settings: (len(settings), settings))
    for _, alike in groupby(by_size, key=len):  # what was paid for fewer of them at once is settled first
        shares: dict[str, list[float]] = {}
        for settings in alike:
            left = [key for key in settings if key not in costs]
            rest = median(together[settings]) - sum(costs.get(key, 0.0) for key in settings)
            for key, share in _shares(max(0.0, rest), left, known).items():
                shares.setdefault(key, []).append(share)
        costs |= {key: median(some) for key, some in shares.items()}
    return costs


def _shares(rest: float, settings: Sequence[str], known: Mapping[str, float]) -> dict[str, float]:
    """What each of some settings costs, if all of them together cost `rest`; as far as that can be told."""
    new = [key for key in settings if key not in known]
    before = sum(known.get(key, 0.0) for key in settings)
    if not new and before > 0.0:
        return {key: rest * (known[key] / before) for key in settings}
    bearers = sorted(new or settings, key=lambda key: key == SETTING_OF_ALL)  # the process comes last
    return {bearers[0]: max(0.0, rest - before)} if bearers else {}
