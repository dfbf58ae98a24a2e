"""What hides among passes: runs every test alone, twice in a row, or all in another order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_procpar.core.inquiry.cause_search import Search
from pytest_procpar.core.inquiry.probes import Outcome, Probe, ProbeResult
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.record import record

__all__ = [
    "Alone", "Placed", "survey_after", "survey_alone", "survey_cleaners", "survey_order", "survey_orders",
    "survey_twice", "together",
]  # fmt: skip

#: How many probes are yielded at once: a batch is answered as a whole.
_BATCH = 64


@record
class Alone:
    """How a test ended alone, and how it ended when it ran again in the same process (if it did)."""

    test: TestIndex
    first: Outcome
    second: Outcome | None
    message: str = ""

    @property
    def non_idempotent(self) -> bool:
        """Whether it passed and then failed: an NIO."""
        return self.first is Outcome.PASSED and self.second is not None and self.second.bad


@record
class Placed:
    """How a test ended at a place of an order."""

    test: TestIndex
    word: Outcome
    #: Shared by all results from one process: to copy what came before each test would take quadratic space.
    order: tuple[TestIndex, ...]
    place: int
    message: str = ""

    @property
    def before(self) -> tuple[TestIndex, ...]:
        """What the same process had run before."""
        return self.order[: self.place]


def survey_alone(tests: Sequence[TestIndex], rounds: Iterable[int] = (0,)) -> Search[list[Alone]]:
    """Run every test alone, and once more in the same process; do that once for each round."""
    found = []
    for number in rounds:
        found += yield from _survey_runs(tests, 2, number)
    return found


def _survey_runs(tests: Sequence[TestIndex], times: int, number: int) -> Search[list[Alone]]:
    """Run every test alone, this many times in the same process."""
    found = []
    for at in range(0, len(tests), _BATCH):
        batch = tests[at : at + _BATCH]
        outcomes = yield [Probe((test,) * times, round=number) for test in batch]
        for test, outcome in zip(batch, outcomes, strict=True):
            words = outcome.words
            first = words[0] if words else Outcome.LOST
            found.append(Alone(test, first, words[1] if len(words) > 1 else None, outcome.message))
    return found


def survey_twice(tests: Sequence[TestIndex]) -> Search[list[Alone]]:
    """The last results of those tests that prove non-idempotent twice more.

    In between each runs once by itself. Otherwise a test that counts its executions in a file, and fails in
    every second one, would pass and then fail in each process.
    """
    found: list[Alone] = []
    for number in (1, 2):
        singly = yield from _survey_runs(tests, 1, number)
        tests = [result.test for result in singly if result.first.good]
        twice = yield from _survey_runs(tests, 2, number)
        found = [result for result in twice if result.non_idempotent]
        tests = [result.test for result in found]
    return found


def survey_after(cause: tuple[TestIndex, ...], tests: Sequence[TestIndex]) -> Search[list[Placed]]:
    """Run every test after the same `cause`."""
    found = []
    for at in range(0, len(tests), _BATCH):
        probes = [Probe((*cause, test)) for test in tests[at : at + _BATCH]]
        outcomes = yield probes
        for probe, outcome in zip(probes, outcomes, strict=True):
            word = outcome.of(probe)
            found.append(Placed(probe.tests[-1], word, cause, len(cause), outcome.message))
    return found


def survey_cleaners(
    cause: tuple[TestIndex, ...], victim: TestIndex, tests: Sequence[TestIndex]
) -> Search[list[TestIndex]]:
    """The tests that, run between a cause and its victim, make the victim pass, both times of two."""
    found = list(tests)
    for number in (0, 1):
        passed = []
        for at in range(0, len(found), _BATCH):
            probes = [Probe((*cause, test, victim), round=number) for test in found[at : at + _BATCH]]
            outcomes = yield probes
            words = map(ProbeResult.of, outcomes, probes)
            passed += [test for test, word in zip(found[at : at + _BATCH], words, strict=True) if word.good]
        found = passed
    return found


def survey_order(order: Sequence[TestIndex]) -> Search[list[Placed]]:
    """Run tests in this order in one process, and go on in a fresh one after a test that ended it."""
    return (yield from survey_orders([order]))


def survey_orders(orders: Iterable[Sequence[TestIndex]]) -> Search[list[Placed]]:
    """Run tests in each of these orders, several at once, each in one process.

    After a test that ended its process, the rest runs in a fresh one. Tests for which there was no time are
    left out.
    """
    found = []
    rests = [tuple(order) for order in orders if order]
    while rests:
        outcomes = yield [Probe(rest) for rest in rests]
        left = []
        for rest, outcome in zip(rests, outcomes, strict=True):
            words = outcome.words
            for at, word in enumerate(words):
                message = outcome.message if at == len(words) - 1 else ""
                found.append(Placed(rest[at], word, rest, at, message))
            if words and len(words) < len(rest):  # otherwise no more tests can be run
                left.append(rest[len(words) :])
        rests = left
    return found


def together(placed: Iterable[Placed]) -> list[tuple[TestIndex, ...]]:
    """What each process of a survey of orders has run, in order."""
    last: dict[int, Placed] = {id(result.order): result for result in placed}
    return [result.order[: result.place + 1] for result in last.values()]
