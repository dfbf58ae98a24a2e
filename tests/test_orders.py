"""The made suites do what their model says; right and wrong findings are told apart."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from benchmarks.orders import cli
from benchmarks.orders.judging import judge
from benchmarks.orders.made import run_made
from benchmarks.orders.model import (
    HEALTHY,
    Behaviour,
    in_fresh_processes,
    is_cause,
    last,
    run,
)
from benchmarks.orders.planting import suite_of
from benchmarks.orders.real import CASES, Case, Known
from benchmarks.orders.real import judge as judge_real
from benchmarks.orders.writing import nodeid, write
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.survey.pair_cover import orders_by_test

A, B = frozenset({"environ:A"}), frozenset({"module:B"})
POLLUTER, VICTIM, CLEANER = Behaviour(sets=A), Behaviour(victim_of=A), Behaviour(clears=A)


def report(words: list[str], *findings: dict[str, Any]) -> dict[str, Any]:
    """A report of a run in one process."""
    return {
        "tests": [{"index": i, "outcome": word} for i, word in enumerate(words)],
        "sequences": [{"worker": "gw0", "tests": list(range(len(words)))}],
        "findings": list(findings),
    }


def finding(test: int, kind: str, *causes: int, flagged: bool = True) -> dict[str, Any]:
    return {
        "test": {"index": test},
        "kind": kind,
        "causes": [{"index": cause} for cause in causes],
        "flagged": flagged,
        "collection_dependent": False,
        "note": "",
    }


class TestTheModel:
    def test_a_cleaner_saves_a_victim(self) -> None:
        suite = [POLLUTER, CLEANER, VICTIM]
        assert run(suite, (0, 2)) == ["passed", "failed"]
        assert run(suite, (0, 1, 2)) == ["passed", "passed", "passed"]

    def test_a_crash_ends_a_process_and_what_it_did(self) -> None:
        suite = [POLLUTER, Behaviour(wrong=True, crashes=True), VICTIM]
        assert run(suite, (0, 1, 2)) == ["passed", "crashed"]
        assert last(suite, (0, 1, 2)) == ""
        assert in_fresh_processes(suite, (0, 1, 2))[2] == ("passed", ())

    def test_a_cause_is_no_more_than_is_needed(self) -> None:
        suite = [POLLUTER, HEALTHY, VICTIM]
        assert is_cause(suite, (0,), 2, bad=True)
        assert not is_cause(suite, (0, 1), 2, bad=True)
        assert not is_cause(suite, (1,), 2, bad=True)

    def test_the_same_seed_plants_the_same(self) -> None:
        assert suite_of(200, 1) == suite_of(200, 1) != suite_of(200, 2)


def test_a_written_suite_does_what_its_model_says(tmp_path: Path) -> None:
    suite = [
        one if one.certain and not one.crashes else HEALTHY
        for one in (*suite_of(150, 3), POLLUTER, Behaviour(needs=B), VICTIM)
    ]
    write(suite, tmp_path)
    command = [sys.executable, "-m", "pytest", "-p", "no:procpar", "-p", "no:cacheprovider", "-rA", "-q"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    for test, word in enumerate(run(suite, range(len(suite)))):
        assert f"{word.upper()} {nodeid(test)}" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="what measures a run needs /proc")
@pytest.mark.parametrize("seed", [0, 1])
def test_all_that_is_planted_in_a_small_suite_is_found_and_named_rightly(seed: int, tmp_path: Path) -> None:
    verdict = run_made(60, seed, tmp_path, ()).verdict
    assert verdict.deviations == []
    # These show wherever the workers part the tests.
    assert verdict.found["victim"] >= 1
    assert (verdict.found["brittle"], verdict.found["nio"], verdict.found["plain"]) == (2, 1, 2)


@pytest.mark.parametrize(("tests", "seed"), [(100, 0), (100, 1), (200, 2), (300, 3)])
def test_few_orders_show_all_that_neither_the_order_of_the_tests_nor_its_reverse_does(
    tests: int, seed: int
) -> None:
    suite = suite_of(tests, seed, hidden=True)
    places = [TestIndex(at) for at, one in enumerate(suite) if not (one.wrong and one.crashes)]
    left = {at for at in places if suite[at].needs or not suite[at].victim_of <= suite[at].sets}
    left -= _shown(suite, places) | _shown(suite, places[::-1])
    assert len(left) >= 7
    for order in islice(orders_by_test(places, list(map(str, places)), ""), 50):
        left -= _shown(suite, order)
    assert not left


def _shown(suite: Sequence[Behaviour], order: Sequence[TestIndex]) -> set[int]:
    """The victims that fail, and the brittle tests that pass."""
    ended = in_fresh_processes(suite, order)
    return {at for at, (word, _) in ended.items() if (word == "passed") == bool(suite[at].needs)}


class TestTheJudge:
    SUITE = (POLLUTER, HEALTHY, VICTIM)
    WORDS = ("passed", "passed", "failed")

    def test_a_right_finding_is_counted(self) -> None:
        verdict = judge(self.SUITE, report([*self.WORDS], finding(2, "victim", 0)))
        assert verdict.found == {"victim": 1}
        assert verdict.deviations == []

    @pytest.mark.parametrize(
        "findings",
        [
            pytest.param([], id="nothing"),
            pytest.param([finding(2, "victim", 1)], id="another cause"),
            pytest.param([finding(2, "victim", 0, 1)], id="more than the cause"),
            pytest.param([finding(2, "flaky")], id="another kind"),
            pytest.param([finding(2, "victim", 0, flagged=False)], id="not confirmed"),
            pytest.param([finding(2, "victim", 0), finding(1, "nio")], id="one too many"),
        ],
    )
    def test_a_wrong_one_is_a_deviation(self, findings: list[dict[str, Any]]) -> None:
        assert judge(self.SUITE, report([*self.WORDS], *findings)).deviations

    def test_what_no_order_shows_is_not_demanded(self) -> None:
        suite = (POLLUTER, CLEANER, VICTIM)
        verdict = judge(suite, report(["passed"] * 3))
        assert verdict.deviations == []
        assert verdict.missed == {"victim": 1}

    def test_of_a_deep_search_it_is_demanded_and_that_nearly_all_was_tried(self) -> None:
        suite = (POLLUTER, CLEANER, VICTIM)
        orders = {"orders": {"tried": 1.0}}
        right = report(["passed"] * 3, finding(2, "victim", 0))
        assert judge(suite, right | orders, deep=True).deviations == []
        assert judge(suite, report(["passed"] * 3) | orders, deep=True).deviations
        assert judge(suite, right | {"orders": {"tried": 0.9}}, deep=True).deviations

    def test_a_run_that_was_not_as_the_model_says_is_a_deviation(self) -> None:
        assert judge(self.SUITE, report(["passed"] * 3)).deviations


class TestRealSuites:
    CASE = Case(CASES[0].suite, (Known("a::v", "victim", ("a::p",)),))

    @staticmethod
    def finding(test: str, kind: str, *causes: str) -> dict[str, Any]:
        return {
            "test": {"nodeid": test},
            "kind": kind,
            "flagged": True,
            "causes": [{"nodeid": cause} for cause in causes],
        }

    def test_a_listed_cause_is_right(self) -> None:
        assert judge_real(self.CASE, [self.finding("a::v", "victim", "a::p")])[1] == ()

    def test_another_cause_nothing_and_one_too_many_are_wrong(self) -> None:
        right = self.finding("a::v", "victim", "a::p")
        assert judge_real(self.CASE, [self.finding("a::v", "victim", "a::q")])[1]
        assert judge_real(self.CASE, [])[1]
        assert judge_real(self.CASE, [right, self.finding("a::w", "flaky")])[1]

    def test_a_control_shows_nothing_at_all(self) -> None:
        assert judge_real(Case(CASES[0].suite), [self.finding("a::v", "nio")])[1]


@pytest.mark.parametrize("arguments", [["--tests", "20"], ["--rounds", "x"], ["--nothing"]])
def test_wrong_options_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.parsed(arguments)
    assert end.value.code == 2
