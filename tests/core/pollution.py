"""Simulated suites whose tests depend on each other: what each test does is a formula over a set of flags."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, TypeVar

from pytest_procpar.core.inquiry.cause_search import Search
from pytest_procpar.core.inquiry.findings import Suspect
from pytest_procpar.core.inquiry.history import History
from pytest_procpar.core.inquiry.probes import Outcome, Probe, ProbeResult
from pytest_procpar.core.model import TestIndex, WorkerId
from pytest_procpar.core.survey.survey import Alone, Placed

Indices = tuple[TestIndex, ...]
_T = TypeVar("_T")

#: How a process can end before its tests do.
ENDS = (Outcome.CRASHED, Outcome.HUNG)


def ids(*numbers: int) -> Indices:
    return tuple(TestIndex(number) for number in numbers)


@dataclass(frozen=True)
class Model:
    """What a test does: it is judged by the flags it finds, then clears some, then sets some.

    It goes wrong (as `how`) if all flags of `victim_of` are set, or one of `brittle_for` is not, or one of
    `collides` runs beside it (or, if `jointly`, all of them), or always. It meets what runs beside it by
    `chance`, which is divided by the number of tests that do so. `pattern` says how its executions end in
    turn, over and over: of "PPF" each third fails. `luck` is the chance that it fails. It sets nothing unless
    `once` is set, and `sets_by` says, as a pattern does, when.
    """

    sets: frozenset[str] = frozenset()
    clears: frozenset[str] = frozenset()
    once: frozenset[str] = frozenset()
    victim_of: frozenset[str] = frozenset()
    brittle_for: frozenset[str] = frozenset()
    collides: frozenset[int] = frozenset()
    jointly: bool = False
    chance: float = float("inf")
    always: bool = False
    how: Outcome = Outcome.FAILED
    well: Outcome = Outcome.PASSED
    pattern: str = "P"
    sets_by: str = "P"
    luck: float = 0.0


def flags(*names: str) -> frozenset[str]:
    return frozenset(names)


HEALTHY = Model()
#: It fails when its own flag is already set.
NIO = Model(sets=flags("own"), victim_of=flags("own"))


class Suite:
    """Tests, and what processes that run them go through. Only flaky tests remember other processes."""

    def __init__(self, models: Sequence[Model], *, seed: int = 0) -> None:
        self.models = tuple(models)
        self._executions = [0] * len(models)
        self._random = random.Random(seed)

    def process(self, order: Iterable[TestIndex], company: Sequence[frozenset[int]] = ()) -> list[Outcome]:
        """Run tests from the pristine state on, up to one that ends the process."""
        state: set[str] = set()
        words: list[Outcome] = []
        for at, test in enumerate(order):
            words.append(self._execute(test, state, company[at] if company else frozenset()))
            if words[-1] in ENDS:
                break
        return words

    def _execute(self, test: TestIndex, state: set[str], beside: frozenset[int]) -> Outcome:
        model, count = self.models[test], self._executions[test]
        self._executions[test] += 1
        bad = (
            model.always
            or (model.victim_of and model.victim_of <= state)
            or not model.brittle_for <= state
            or self._collides(model, beside)
            or model.pattern[count % len(model.pattern)] == "F"
            or (model.luck and self._random.random() < model.luck)
        )
        state -= model.clears
        if model.once <= state and model.sets_by[count % len(model.sets_by)] == "P":
            state |= model.sets
        return model.how if bad else model.well

    def _collides(self, model: Model, beside: frozenset[int]) -> bool:
        met = beside & model.collides
        enough = met == model.collides if model.jointly else bool(met)
        return bool(met) and enough and self._random.random() < model.chance / len(beside)

    def outcome(self, probe: Probe, company: frozenset[int] = frozenset()) -> ProbeResult:
        beside = company.union(*probe.beside) if probe.beside else company
        words = tuple(self.process(probe.tests, [beside] * len(probe.tests)))
        return ProbeResult(
            words, f"{words[-1].value} by {probe.tests[len(words) - 1]}" if words[-1].bad else ""
        )


@dataclass
class Bench:
    """Answers probes, at most `concurrency` at once, and counts what they cost with check-points."""

    suite: Suite
    concurrency: int = 1
    probes: list[Probe] = field(default_factory=list)
    #: Tests executed: of each probe those after the longest beginning that some probe before has run.
    executed: int = 0
    _begun: dict[TestIndex, Any] = field(default_factory=dict)

    def answer(self, batch: Sequence[Probe]) -> list[ProbeResult]:
        answers = []
        for at, probe in enumerate(batch):
            others = [other.tests for i, other in enumerate(batch) if i != at] if self.concurrency > 1 else []
            outcome = self.suite.outcome(probe, frozenset().union(*others))
            answers.append(outcome)
            self._charge(probe.tests[: len(outcome.words)])
        self.probes += batch
        return answers

    def _charge(self, order: Indices) -> None:
        at = self._begun
        for test in order[:-1]:
            if test not in at:
                self.executed += 1
            at = at.setdefault(test, {})
        self.executed += 1


class Stopped(Exception):
    """A search was left before its end."""


def run(search: Search[_T], bench: Bench, *, steps: int = 100_000) -> _T:
    """Answer a search to its end, or for so many steps."""
    try:
        batch = next(search)
        for _ in range(steps):
            assert batch, "an empty batch asks nothing"
            batch = search.send(bench.answer(batch))
    except StopIteration as end:
        result: _T = end.value
        return result
    raise Stopped


@dataclass(frozen=True)
class Run:
    """What a run with several workers has seen."""

    history: History
    words: dict[TestIndex, Outcome]

    def suspects(self) -> list[Suspect]:
        """Those that failed."""
        before, beside = self.history.before, self.history.beside
        return [
            Suspect(test, word, failed_after=before(test), beside=beside(test))
            for test, word in sorted(self.words.items())
            if word.bad
        ]

    def changed(self, survey: Iterable[Alone]) -> Iterator[Suspect]:
        """Those that passed, and did not alone, or not twice."""
        for alone in survey:
            if self.words[alone.test].good and alone.first.bad:
                before, beside = self.history.before(alone.test), self.history.beside(alone.test)
                yield Suspect(alone.test, self.words[alone.test], (), before, beside)
            elif self.words[alone.test].good and alone.non_idempotent:
                yield Suspect(alone.test, self.words[alone.test], failed_after=(alone.test,))

    def displaced(self, found: Iterable[Placed]) -> Iterator[Suspect]:
        """Those that passed, and did not in another order."""
        for placed in found:
            if self.words[placed.test].good and placed.word.bad:
                passed_after = self.history.before(placed.test)
                yield Suspect(placed.test, self.words[placed.test], placed.before, passed_after)

    def preceding(self, test: TestIndex) -> Indices:
        return tuple(t for t in sorted(self.words) if t < test and self.words[t] not in ENDS)


def simulate(suite: Suite, workers: int, seed: int) -> Run:
    """Run a suite: each worker takes the next test when it is free; after a crash comes a new one."""
    draw = random.Random(seed)
    free = [(draw.random(), slot) for slot in range(workers)]
    slots: list[list[tuple[TestIndex, float, float]]] = [[] for _ in range(workers)]
    for number in range(len(suite.models)):
        now, slot = min(free)
        end = now + draw.random() * 3
        slots[slot].append((TestIndex(number), now, end))
        free[slot] = (end + 0.01, slot)
    return _play(suite, slots)


def _play(suite: Suite, slots: Sequence[Sequence[tuple[TestIndex, float, float]]]) -> Run:
    history, words, fresh = History(), {}, len(slots)
    for number, slot in enumerate(slots):
        elsewhere = [run for other in slots if other is not slot for run in other]
        company = [frozenset(t for t, b, e in elsewhere if b <= end and e >= begin) for _, begin, end in slot]
        worker, at = WorkerId(number), 0
        while at < len(slot):
            part = slot[at:]
            ended = suite.process([test for test, _, _ in part], company[at:])
            for (test, begin, end), word in zip(part, ended, strict=False):
                history.began(worker, test, begin)
                history.ended(test, end)
                words[test] = word
            at += len(ended)
            worker, fresh = WorkerId(fresh), fresh + 1
    return Run(history, words)


def shows(suite: Suite, order: Indices, victim: TestIndex, *, bad: bool) -> bool:
    """Whether the test fails after these tests, or (if not `bad`) passes."""
    probe = Probe((*order, victim))
    word = suite.outcome(probe).of(probe)
    return word.bad if bad else word.good


def is_cause(suite: Suite, order: Indices, victim: TestIndex, *, bad: bool) -> bool:
    """Whether it shows after these tests, and after all but any one of them does not."""
    rests = [order[:i] + order[i + 1 :] for i in range(len(order))]
    return shows(suite, order, victim, bad=bad) and not any(
        shows(suite, rest, victim, bad=bad) for rest in rests
    )


def causes(suite: Suite, order: Indices, victim: TestIndex, *, bad: bool) -> set[Indices]:
    """All sets of tests of an order, each in that order, of which none can be left out: by brute force."""
    sizes = range(1, len(order) + 1)
    subsets = [subset for size in sizes for subset in combinations(order, size)]
    return {subset for subset in subsets if is_cause(suite, subset, victim, bad=bad)}
