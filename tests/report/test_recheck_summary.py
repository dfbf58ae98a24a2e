"""The section of the re-check: a block for what belongs together, a line for all that is ordinary."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytest_procpar.core.inquiry.findings import FAILED_AGAIN, NOT_RECHECKED, Finding, Kind, Tally
from pytest_procpar.core.inquiry.probes import Confirmation, Outcome
from pytest_procpar.core.inquiry.roots import Root
from pytest_procpar.core.inquiry.trials import IN_TURN
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.recheck.result import RecheckFinding, RecheckResult, Suggestion
from pytest_procpar.core.record import changed
from pytest_procpar.core.survey.pairs import Coverage
from pytest_procpar.json_report.finding_records import finding_records
from pytest_procpar.report.recheck_summary import write_findings


class Reporter:
    """Keeps what is written."""

    _screen_width = 80

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write_sep(self, sep: str, title: str) -> None:
        self.lines.append(title)

    def write_line(self, line: str) -> None:
        self.lines.append(line)


def written(result: RecheckResult) -> list[str]:
    reporter = Reporter()
    write_findings(result, lambda test: f"t::{test}", reporter)
    return reporter.lines[1:]


def insight(
    test: int, kind: Kind, note: str = "", word: Outcome = Outcome.FAILED, *tallies: Tally
) -> RecheckFinding:
    return RecheckFinding(Finding(TestIndex(test), kind, (), tallies, "", note), word)


def root(tests: Iterable[int], where: str = "", message: str = "") -> Root:
    return Root(tuple(map(TestIndex, tests)), where, message)


def test_what_was_not_settled_in_time_is_told_with_the_budget_that_would_do() -> None:
    cut_off = insight(0, Kind.UNKNOWN, "time ran out before its state-setter was found")
    other = insight(1, Kind.UNKNOWN, "a process was lost")
    assert written(RecheckResult((cut_off, other), budget=70)) == [
        f"not settled: t::0: {cut_off.finding.note} (--recheck-budget=70 would do)",
        f"not settled: t::1: {other.finding.note}",
    ]
    assert written(RecheckResult((cut_off,))) == [f"not settled: t::0: {cut_off.finding.note}"]


def test_ordinary_failures_take_one_line_for_all() -> None:
    roots = tuple(root([test]) for test in range(7))
    assert written(RecheckResult(tuple(insight(test, Kind.PLAIN) for test in range(7)), roots=roots)) == [
        "fail on their own too: t::0, t::1, t::2, t::3, t::4 and 2 more"
    ]


def test_one_failure_is_told_in_the_singular_and_by_how_it_ended() -> None:
    plain = [
        insight(0, Kind.PLAIN),
        insight(1, Kind.PLAIN, "", Outcome.CRASHED),
        insight(2, Kind.PLAIN, "", Outcome.HUNG),
    ]
    assert written(RecheckResult(tuple(plain))) == [
        "fails on its own too: t::0",
        "crashes on its own too: t::1",
        "hangs on its own too: t::2",
    ]


def test_a_copy_of_a_test_may_have_failed_where_the_test_has_not() -> None:
    assert written(RecheckResult((insight(0, Kind.PLAIN, "", Outcome.PASSED),))) == [
        "fails on its own too: t::0"
    ]


def test_what_was_not_tried_after_all_others_is_told_on_one_line_with_the_budget_that_would_do() -> None:
    note = "not tried after {} tests before it"
    one = insight(0, Kind.FAILS_ALONE, note.format(8))
    assert written(RecheckResult((one,), budget=11)) == [
        "fails on its own too (not tried after 8 tests before it: --recheck-budget=11 would): t::0"
    ]
    other = insight(1, Kind.FAILS_ALONE, note.format(9))
    assert written(RecheckResult((one, insight(2, Kind.PLAIN), other), budget=11)) == [
        "fails on its own too: t::2",
        "fail on their own too (not tried after all tests before them: "
        "--recheck-budget=11 would): t::0, t::1",
    ]


def test_tests_of_one_root_stand_in_one_block() -> None:
    roots = (root(range(30), "in the fixture `db`", "OSError: no"), root([30], "at test_a.py:3"))
    found = [insight(test, Kind.PLAIN) for test in range(28)]
    found += [insight(test, Kind.UNKNOWN, NOT_RECHECKED) for test in (28, 29)]
    assert written(RecheckResult((*found, insight(30, Kind.PLAIN)), roots=roots, budget=7)) == [
        "31 failures, 2 roots",
        "30 tests fail in the fixture `db`: OSError: no",
        "    fail on their own too: t::0, t::1, t::2, t::3, t::4 and 23 more",
        "    not run again, since there was no time (--recheck-budget=7 would leave some): t::28, t::29",
        "fails on its own too: t::30",
    ]


def test_one_test_of_a_root_whose_others_are_told_elsewhere_takes_no_block() -> None:
    result = RecheckResult(
        (insight(0, Kind.PLAIN), insight(1, Kind.FLAKY)), roots=(root([0, 1], "on port 8"),)
    )
    assert written(result)[-1] == "fails on its own too: t::0"


def test_tests_that_fail_by_the_same_file_stand_in_one_block_that_says_who_left_it() -> None:
    left = Finding(TestIndex(0), Kind.FILE_DEPENDENT, (TestIndex(7),), files=("/x/data.db",))
    result = RecheckResult(
        tuple(RecheckFinding(changed(left, test=TestIndex(i)), Outcome.FAILED) for i in range(2))
    )
    assert finding_records(result, str)[0]["files"] == ["/x/data.db"]
    assert written(result) == [
        "FILE DEPENDENT t::0",
        "FILE DEPENDENT t::1",
        "    fails on its own while there is a file that tests have left, and passes without it",
        "    file: /x/data.db",
        "    left by: t::7",
        "    let each test have its own in tmp_path, or remove it when the test is over",
    ]


def test_what_passed_in_the_run_and_fails_since_is_not_said_to_pass_under_the_same_conditions() -> None:
    finding = Finding(
        TestIndex(0), Kind.FLAKY, tallies=(Tally("alone", 2, 2), Tally("after the tests", 1, 1))
    )
    assert written(RecheckResult((RecheckFinding(finding, Outcome.PASSED),))) == [
        "FLAKY t::0",
        "    passed in the run, and fails since: a file or database may be to blame (failures: alone 2 of 2, "
        "after the tests 1 of 1)",
    ]


def test_tests_that_met_on_one_port_stand_in_one_block_that_names_it() -> None:
    found = [insight(test, Kind.PARALLEL_ONLY) for test in range(5)]
    port = Root(tuple(map(TestIndex, range(5))), "on port 8001", "OSError: in use", contention=True)
    lines = written(RecheckResult(tuple(found), roots=(port,)))
    assert lines == [
        "5 failures, 1 root",
        *(f"PARALLEL ONLY t::{test}" for test in range(5)),
        "    fails only while other tests run beside it",
        "    all have failed on port 8001",
        "    one process at a time can have it: let each test take a free one, or use one xdist_group,"
        " with --dist=loadgroup",
    ]


def test_of_what_met_on_one_port_it_is_told_how_many_pass_one_after_the_other() -> None:
    port = Root(tuple(map(TestIndex, range(4))), "on port 8001", "OSError: in use", contention=True)

    def lines(*found: RecheckFinding) -> list[str]:
        return written(RecheckResult(found, roots=(port,)))

    def met(test: int, *tallies: Tally) -> RecheckFinding:
        return insight(test, Kind.PARALLEL_ONLY, "", Outcome.FAILED, *tallies)

    passes, fails = Tally(IN_TURN, 0, 1), Tally(IN_TURN, 1, 1)
    tried = "    tried: one after the other in one process {} pass"
    all_pass = lines(met(0, Tally("alone", 0, 1), passes), met(1, passes))
    assert tried.format("2 of 2") in all_pass
    assert "    fails only while other tests run beside it (failures: alone 0 of 1)" in all_pass
    assert f"{tried.format('1 of 1')}, and for 1 more there was no time" in lines(met(0, passes), met(1))
    other = insight(1, Kind.PLAIN, "", Outcome.FAILED, fails)
    assert tried.format("1 of 2") in lines(met(0, passes), other)
    assert not any(line.startswith("    tried") for line in lines(met(0), met(1)))


def test_what_failed_again_in_company_only_is_told_apart_from_what_did_so_alone() -> None:
    found = [insight(0, Kind.PLAIN), *(insight(test, Kind.UNKNOWN, FAILED_AGAIN) for test in (1, 2))]
    missed = insight(3, Kind.UNKNOWN, NOT_RECHECKED)
    assert written(RecheckResult((*found, missed), roots=(root(range(4), "at t.py:1"),))) == [
        "4 failures, 1 root",
        "4 tests fail at t.py:1",
        "    fails on its own too: t::0",
        "    fail again in a fresh process that ran others of their root, too: t::1, t::2",
        "    not run again, since there was no time: t::3",
    ]


def test_the_file_that_tests_meet_on_is_named_with_what_to_do() -> None:
    found = [insight(test, Kind.PARALLEL_ONLY) for test in range(2)]
    advice = "let each have its own in tmp_path, or use one xdist_group, with --dist=loadgroup"
    lines = written(RecheckResult(tuple(found), roots=(root([0, 1], "on file /shop.db"),)))
    assert lines[-2:] == ["    all have failed on file /shop.db", f"    tests that share the file: {advice}"]
    lines = written(RecheckResult((found[0],), roots=(root([0], "on file /shop.db"),)))
    assert lines[-1] == f"    tests that share the file /shop.db: {advice}"


def test_a_patch_that_helps_is_shown_line_by_line() -> None:
    finding = Finding(TestIndex(1), Kind.VICTIM, (TestIndex(0),))
    tried = (Confirmation("pytest t::0 t::1", True, Outcome.FAILED),)
    diff = "--- a/t.py\n+++ b/t.py\n@@ -0,0 +1,1 @@\n+x\n \n"
    found = RecheckFinding(finding, Outcome.FAILED, tried, suggestion=Suggestion(diff))
    lines = written(RecheckResult((found,)))
    start = lines.index("    tried: with this patch it passes, after that and after all that ran before it")
    assert lines[start + 1 : start + 6] == [
        "    --- a/t.py",
        "    +++ b/t.py",
        "    @@ -0,0 +1,1 @@",
        "    +x",
        "",
    ]


def test_many_tests_that_depend_on_the_same_are_counted() -> None:
    found = [
        RecheckFinding(Finding(TestIndex(test), Kind.PARALLEL_ONLY, (), (), "OSError: no"), Outcome.FAILED)
        for test in range(30)
    ]
    assert written(RecheckResult(tuple(found), roots=(root(range(30)),))) == [
        "30 failures, 1 root",
        "PARALLEL ONLY 30 tests: t::0, t::1, t::2, t::3, t::4 and 25 more",
        "    OSError: no",
        "    fails only while other tests run beside it",
    ]


def test_what_was_not_seen_again_is_not_said_to_fail_under_the_same_conditions() -> None:
    never = insight(0, Kind.FLAKY, "", Outcome.FAILED, Tally("alone", 0, 7), Tally("beside others", 0, 5))
    again = insight(1, Kind.FLAKY, "", Outcome.FAILED, Tally("alone", 1, 2))
    assert written(RecheckResult((never, again))) == [
        "FLAKY t::0",
        "    failed once, and not again in 12 runs: alone 7, beside others 5",
        "FLAKY t::1",
        "    passes and fails under the same conditions (failures: alone 1 of 2)",
    ]


def test_what_an_interrupt_has_left_is_told_on_one_line() -> None:
    note = NOT_RECHECKED.replace("time ran out", "the re-check was interrupted")
    found = tuple(insight(test, Kind.UNKNOWN, note) for test in range(2))
    assert written(RecheckResult(found)) == ["not run again, since the re-check was interrupted: t::0, t::1"]


def test_the_record_of_a_finding_has_the_root_that_it_shares() -> None:
    roots = (root([1, 0], "on port 8", "OSError: in use"), root([2]))
    one, other, third = finding_records(
        RecheckResult(tuple(insight(test, Kind.PLAIN) for test in range(3)), roots=roots),
        lambda test: f"t::{test}",
    )
    assert (
        one["root"]
        == other["root"]
        == {
            "first": {"nodeid": "t::1", "index": 1},
            "tests": 2,
            "where": "on port 8",
            "message": "OSError: in use",
        }
    )
    assert "root" not in third


def test_how_much_was_tried_is_said_and_never_too_much() -> None:
    def line(
        tried: float,
        adjacent: float,
        *,
        estimate: bool = True,
        left_out: int = 0,
        followed: int = 0,
        not_alone: int = 0,
    ) -> str:
        coverage = Coverage(500, 64, tried, adjacent, estimate, left_out, followed, not_alone)
        (only,) = written(RecheckResult(coverage=coverage))
        return only.removeprefix("500 tests were run in 64 orders: ")

    assert line(0.829, 0.129) == "about 82 % of their ordered pairs are tried, 12 % with nothing between"
    assert line(0.999, 0.129).startswith("about 99 % ")
    assert line(1.0, 0.129).startswith("more than 99 % ")
    assert line(1.0, 0.999, estimate=False).startswith("100 % ")
    assert line(1.0, 1.0) == "100 % of their ordered pairs are tried, 100 % with nothing between"
    assert line(1, 0.1, followed=3).endswith(
        "; all others were tried right after each of 3 tests that change state"
    )
    assert line(0.5, 0.1, left_out=3).endswith("between; 3 of the slowest were not in all of them")
    assert line(0.5, 0.1, not_alone=2).endswith("between; 2 of the slowest were not tried alone")
    assert line(0.5, 0.1, left_out=3, not_alone=2).endswith(
        "all of them; 2 of the slowest were not tried alone"
    )


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("OSError: [Errno 98] Address already in use", "can have an address: let each test take a free port"),
        ("Timeout: The file lock could not be acquired", "can have it: let each test have its own"),
        ("BlockingIOError: [Errno 11] Resource temporarily unavailable", "can have it: let each test have"),
    ],
)
def test_what_to_do_is_said_of_what_no_message_names(message: str, advice: str) -> None:
    root = Root((TestIndex(0), TestIndex(1)), "", message)
    found = tuple(insight(test, Kind.PARALLEL_ONLY) for test in range(2))
    lines = written(RecheckResult(found, roots=(root,)))
    assert lines[-1].startswith(f"    one process at a time {advice}")
    assert lines[-1].endswith("or use one xdist_group, with --dist=loadgroup")
