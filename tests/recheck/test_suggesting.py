"""Which marks are suggested, by what fresh processes would say that have them: these are made up here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol, cast

import pytest

from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.model import TestIndex, WorkerId
from pytest_procpar.core.recheck.result import Suggestion
from pytest_procpar.fresh.fresh_run import FreshRun
from pytest_procpar.fresh.rounds import Rounds
from pytest_procpar.recheck.suggesting import Suggester
from tests.core.pollution import Indices, ids

SOURCE = """\
import pytest
class TestIt:
    def test_polluter(self): pass
def test_other(): pass
@pytest.mark.parametrize("x", [1, 2])
def test_victim(x): pass
"""
POLLUTER, OTHER, VICTIM, SECOND = ids(0, 1, 2, 3)
NODEIDS = [
    "test_it.py::TestIt::test_polluter",
    "test_it.py::test_other",
    "test_it.py::test_victim[1]",
    "test_it.py::test_victim[2]",
]
#: The words of the tests of an order; the source that their file has besides; whether marks isolate there.
_World = Callable[[Indices, str, bool], Sequence[Outcome]]


class Make(Protocol):
    """Makes what is tried; ``elsewhere`` are the workers, but for the first, on which tests ran meanwhile."""

    def __call__(
        self, world: _World, elsewhere: Mapping[TestIndex, int] = ...
    ) -> tuple[Suggester, Processes]: ...


class Processes:
    """Fresh processes whose tests end as `world` says."""

    def __init__(self, world: _World) -> None:
        self._world = world
        self.at_once: list[int] = []
        self.orders: list[Indices] = []
        #: Whether all tests are to be one group, and whether all processes begin together.
        self.asked: list[tuple[bool, bool]] = []

    def __call__(
        self,
        words: Sequence[list[str]],
        limits: Sequence[float],
        *,
        added: tuple[tuple[str, str], ...],
        isolates: bool = False,
        alone: bool = False,
        grouped: bool = False,
        together: bool = False,
    ) -> list[FreshRun]:
        self.at_once.append(1 if alone else len(words))
        self.asked.append((grouped, together))
        return [self._run(each[-1].partition("=")[2], added, isolates) for each in words]

    def _run(self, replay: str, added: tuple[tuple[str, str], ...], isolates: bool) -> FreshRun:
        (sequence,) = json.loads(Path(replay).read_bytes())["sequences"]
        order = tuple(map(TestIndex, sequence["tests"]))
        self.orders.append(order)
        words = self._world(order, "\n".join(source for _, source in added), isolates)
        return FreshRun(tuple((NODEIDS[test], word) for test, word in zip(order, words, strict=True)))


@pytest.fixture
def suggester(tmp_path: Path) -> Make:
    (tmp_path / "test_it.py").write_text(SOURCE)
    given: Any = SimpleNamespace(
        rootpath=tmp_path, invocation_params=SimpleNamespace(args=()), option=SimpleNamespace()
    )

    def make(world: _World, elsewhere: Mapping[TestIndex, int] = {}) -> tuple[Suggester, Processes]:
        run = RunRecord(None)
        run.collected(NODEIDS)
        for test in (VICTIM, SECOND):
            run.reported(test, {"outcome": "failed", "when": "call", "longrepr": "so"})
        for test in map(TestIndex, range(len(NODEIDS))):
            began, ended = (0.0, 10.0) if test in elsewhere else (float(test), test + 0.5)
            run.finished(WorkerId(elsewhere.get(test, 0)), test, began, ended)
        processes = Processes(world)
        folder = tmp_path / "files"
        folder.mkdir(exist_ok=True)
        return Suggester(given, run, cast("Rounds", processes), folder), processes

    return make


def polluted(order: Indices, added: str, isolates: bool, *, by: Indices = (POLLUTER,)) -> list[Outcome]:
    """How they end: the victims fail after what of `by` runs in their process, unless they have their own."""
    words = []
    for at, test in enumerate(order):
        name = "test_victim" if test in (VICTIM, SECOND) else NODEIDS[test].rpartition("::")[2]
        own = isolates and f"{name} = pytest.mark.isolated(" in added
        before = [other for other in order[:at] if other in by]
        apart = [o for o in before if isolates and f"{NODEIDS[o].rpartition('::')[2]} = pytest.mark" in added]
        is_bad = name == "test_victim" and not own and len(before) > len(apart)
        words.append(Outcome.FAILED if is_bad else Outcome.PASSED)
    return words


def marked(suggestion: Suggestion | None) -> list[str]:
    """What follows each mark in a patch."""
    lines = [] if suggestion is None else suggestion.diff.split("\n")
    return [after.strip() for line, after in pairwise(lines) if line[:1] == "+" and "pytest.mark" in line]


def test_the_polluter_is_isolated_if_that_is_enough(suggester: Make) -> None:
    suggestion = suggester(polluted)[0].suggest((POLLUTER,), [VICTIM, SECOND], ())
    assert marked(suggestion) == ["def test_polluter(self): pass"]


def test_the_victims_are_isolated_if_others_pollute_too(suggester: Make) -> None:
    def world(order: Indices, added: str, isolates: bool) -> list[Outcome]:
        return polluted(order, added, isolates, by=(POLLUTER, OTHER))

    suggestion = suggester(world)[0].suggest((POLLUTER,), [VICTIM, SECOND], ())
    assert marked(suggestion) == ['@pytest.mark.parametrize("x", [1, 2])']


def test_nothing_is_suggested_with_which_another_test_fails(suggester: Make) -> None:
    def world(order: Indices, added: str, isolates: bool) -> list[Outcome]:
        words = polluted(order, added, isolates)
        return [
            Outcome.FAILED if test == OTHER and isolates else w for test, w in zip(order, words, strict=True)
        ]

    assert suggester(world)[0].suggest((POLLUTER,), [VICTIM, SECOND], ()) is None


def test_a_test_that_also_fails_without_the_suggestion_speaks_against_none(suggester: Make) -> None:
    """In the run it passed: what makes it fail ran on another worker."""

    def world(order: Indices, added: str, isolates: bool) -> list[Outcome]:
        words = polluted(order, added, isolates)
        return [
            Outcome.FAILED if test == OTHER and POLLUTER in order else word
            for test, word in zip(order, words, strict=True)
        ]

    made, processes = suggester(world)
    suggestion = made.suggest((POLLUTER,), [VICTIM, SECOND], ())
    assert marked(suggestion) == ["def test_polluter(self): pass"]
    assert processes.orders.count((POLLUTER, OTHER, VICTIM)) == 2, "once without the mark"


@pytest.mark.parametrize("word", [Outcome.FAILED, Outcome.SKIPPED, Outcome.CRASHED])
def test_nothing_is_suggested_with_which_the_victim_does_not_pass(suggester: Make, word: Outcome) -> None:
    made, _ = suggester(lambda order, added, isolates: [*[Outcome.PASSED] * (len(order) - 1), word])
    assert made.suggest((POLLUTER,), [VICTIM], ()) is None


def test_what_meets_at_the_same_time_becomes_a_group_which_is_tried_with_nothing_beside_it(
    suggester: Make,
) -> None:
    made, processes = suggester(lambda order, added, isolates: [Outcome.PASSED] * len(order))
    suggestion = made.group([VICTIM], (OTHER,))
    assert suggestion is not None
    assert suggestion.grouped
    assert marked(suggestion) == ["def test_other(): pass", '@pytest.mark.parametrize("x", [1, 2])']
    assert '@pytest.mark.xdist_group("test_victim")' in suggestion.diff
    assert processes.at_once == [1, 1]
    assert processes.asked == [(True, False), (False, False)]


def test_what_else_ran_then_runs_at_the_same_time_as_the_group(suggester: Make) -> None:
    made, processes = suggester(lambda order, added, isolates: [Outcome.PASSED] * len(order), {POLLUTER: 1})
    assert made.group([VICTIM], (OTHER,), concurrency=2) is not None
    assert processes.orders[-2:] == [(OTHER, VICTIM), (POLLUTER,)]
    assert processes.asked[-1] == (False, True)


def test_a_group_does_not_help_that_fails_beside_what_else_ran(suggester: Make) -> None:
    def world(order: Indices, added: str, isolates: bool) -> list[Outcome]:
        together = len(processes.asked) == 3
        return [Outcome.FAILED if together and test == VICTIM else Outcome.PASSED for test in order]

    made, processes = suggester(world, {POLLUTER: 1})
    assert made.group([VICTIM], (OTHER,), concurrency=2) is None


def test_all_tests_that_want_the_same_thing_are_in_the_group_and_have_to_pass(suggester: Make) -> None:
    def world(order: Indices, added: str, isolates: bool) -> list[Outcome]:
        return [Outcome.FAILED if test == SECOND and fails else Outcome.PASSED for test in order]

    fails = False
    suggestion = suggester(world)[0].group([VICTIM, SECOND], (OTHER,))
    assert marked(suggestion) == ["def test_other(): pass", '@pytest.mark.parametrize("x", [1, 2])']
    fails = True
    assert suggester(world)[0].group([VICTIM, SECOND], (OTHER,)) is None


def test_a_group_that_fails_in_one_process_is_not_suggested(suggester: Make) -> None:
    made, _ = suggester(lambda order, added, isolates: polluted(order, added, isolates, by=(OTHER,)))
    assert made.group([VICTIM], (OTHER,)) is None
