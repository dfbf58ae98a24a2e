"""The soak and the measurement of crashes: what they count, when they complain, their tables and options."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import crashes, soak
from benchmarks.measure import Measured

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="it needs pidfds and /proc")


# --- a run whose accounts are in order ------------------------------------------------------------

TESTS = ["a", "b", "c"]


def note(kind: str, worker: str = "main", **facts: Any) -> dict[str, Any]:
    return {"kind": kind, "worker": worker, **facts}


def reports(test: str, by: str, *phases: str) -> list[dict[str, Any]]:
    made = []
    for phase in phases:
        when, _, line = phase.partition(": ")
        outcome = "failed" if when == "???" else "passed"
        made.append(note("report", nodeid=test, when=when, outcome=outcome, by=by, longrepr=line))
    return made


def passed(test: str, worker: str) -> list[dict[str, Any]]:
    return [
        note("begin", worker, test=test),
        note("ran", worker, test=test),
        *reports(test, worker, "setup", "call", "teardown"),
    ]


def crashed(test: str, worker: str, line: str = "crashed in its call") -> list[dict[str, Any]]:
    return [note("begin", worker, test=test), *reports(test, worker, f"???: {line}")]


A, B, C = passed("a", "gw0"), crashed("b", "gw1"), passed("c", "gw2")
FRAME = [
    note("controller-starts", descriptors=9),
    note("collected", tests=TESTS),
    *(note("forked", f"gw{i}", at=10.0 + i, descriptors=12) for i in range(3)),
]
END = [*(note("sessionfinish", worker) for worker in ("gw0", "gw2"))]
END.append(note("controller-ends", descriptors=9, peak=2**25))

GOOD = soak.Ended(
    dist="load",
    workers=2,
    tests=3,
    status=1,
    out="..\n[gw1] node down: killed by SIGKILL\n\nreplacing crashed worker gw1\n.",
    records=[*FRAME, *A, *B, *C, *END],
    kills=[soak.Kill("gw1", signal.SIGKILL, 11.75)],
)


def wrong(**changes: Any) -> list[str]:
    return soak.examine(replace(GOOD, **changes)).wrong


class TestAccounts:
    def test_a_run_in_order_is_counted(self) -> None:
        found = soak.examine(GOOD)
        assert found == soak.Findings(
            settled=3, deaths={"gw1": "killed by SIGKILL"}, recoveries=[0.25], peak=2**25
        )

    def test_a_test_without_a_report_is_lost(self) -> None:
        found = soak.examine(replace(GOOD, records=[*FRAME, *A, *B, *END]))
        assert (found.lost, found.settled) == (["c"], 2)

    @pytest.mark.parametrize("again", [passed("b", "gw2")[-3:], crashed("b", "gw1")[-1:]])
    def test_a_test_with_two_verdicts_is_settled_twice(self, again: list[dict[str, Any]]) -> None:
        crashed_twice = [*B, *again] if again[0]["when"] == "???" else [*passed("b", "gw1"), *again]
        found = soak.examine(replace(GOOD, records=[*FRAME, *A, *crashed_twice, *C, *END]))
        assert found.twice == ["b"]

    def test_what_passed_before_a_crash_in_a_teardown_belongs_to_it(self) -> None:
        crash = [*passed("b", "gw1"), *reports("b", "gw1", "???: crashed in its teardown")]
        found = soak.examine(replace(GOOD, records=[*FRAME, *A, *crash, *C, *END]))
        assert (found.settled, found.wrong) == (3, [])

    def test_a_worker_killed_on_the_brink_of_a_test_has_not_noted_it(self) -> None:
        assert not wrong(records=[*FRAME, *A, *B[1:], *C, *END])

    @pytest.mark.parametrize(
        ("records", "complaint"),
        [
            ([*FRAME, *A, *A[:1], *B, *C, *END], "a began 2 times and ran 1 times"),
            ([*FRAME, *A, *B, *C[:1], *C[2:], *END], "c is reported as passed and has not run"),
            ([*FRAME, *A, *B, *C[:-1], *END], "c has the reports setup passed, call passed"),
            (
                [*FRAME, *A, *B, *C, *reports("b", "gw9", "setup"), *END],
                "b has a report of gw9: ",
            ),
            (
                [*FRAME, *A, *crashed("b", "gw0")[:1], *reports("b", "gw1", "???: x"), *C, *END],
                "gw1 is said to have died of b and ran None",
            ),
            (
                [*FRAME, *A, *passed("b", "gw1")[:2], *reports("b", "gw1", "???: x in its setup"), *C, *END],
                "b is said to have died in its setup and ran to its end",
            ),
            ([*FRAME, *A, *passed("b", "gw1"), *C, *END], "the death of gw1 is reported 0 times"),
            (
                [*FRAME, *A, *B, *C, note("collectreport", nodeid="worker gw1"), *END],
                "the death of gw1 is reported 2 times",
            ),
            ([*FRAME, *A, *B, *C, note("collectreport", nodeid="x.py"), *END], "there are errors of x.py"),
            (
                [*FRAME, *A, *B, *crashed("c", "gw2"), *END],
                "c is said to have died with gw2, which is alive",
            ),
            (
                [*FRAME, *A, *B, *C, *END[:-1], note("controller-ends", descriptors=10, peak=1)],
                "descriptors of the controller at its start and end: [9, 10]",
            ),
            (
                [*FRAME, note("forked", "gw3", at=1.0, descriptors=13), *A, *B, *C, *END],
                "workers were forked with different numbers of descriptors: [12, 13]",
            ),
        ],
    )
    def test_notes_that_contradict_each_other_are_told(
        self, records: list[dict[str, Any]], complaint: str
    ) -> None:
        assert wrong(records=records) == [complaint]

    def test_a_death_that_nobody_caused_is_told(self) -> None:
        assert wrong(kills=[]) == ["gw1 is said to be killed by SIGKILL; it was left alone"]
        other = soak.Kill("gw1", signal.SIGTERM, 1.0)
        assert wrong(kills=[other]) == ["gw1 is said to be killed by SIGKILL; it was killed by SIGTERM"]

    def test_faulthandler_may_die_of_what_it_writes_down(self) -> None:
        out = GOOD.out.replace("SIGKILL", "SIGSEGV")
        assert not wrong(out=out, kills=[soak.Kill("gw1", signal.SIGABRT, 1.0)])
        assert wrong(out=out, kills=[soak.Kill("gw1", signal.SIGTERM, 1.0)])

    def test_a_kill_may_come_too_late_but_not_be_passed_over(self) -> None:
        late = soak.Kill("gw2", signal.SIGTERM, 13.0)
        assert not wrong(kills=[*GOOD.kills, late])
        without_end = [one for one in GOOD.records if one["kind"] != "sessionfinish"]
        assert wrong(kills=[*GOOD.kills, late], records=without_end) == [
            "gw2 was killed by SIGTERM, and nothing says so"
        ]

    def test_a_suite_that_is_collected_in_part_is_told(self) -> None:
        assert wrong(tests=4) == ["3 tests were collected, not 4"]

    @pytest.mark.parametrize(
        ("status", "more"), [(0, ""), (2, ""), (1, "failed at its exit: killed by SIGABRT")]
    )
    def test_an_exit_status_that_does_not_fit_is_told(self, status: int, more: str) -> None:
        expected = 3 if more else 1
        assert wrong(status=status, out=GOOD.out + more) == [f"the exit status is {status}, not {expected}"]

    def test_under_each_a_replacement_goes_on_with_the_copies_of_the_dead(self) -> None:
        out = (
            "replacing crashed worker gw1\n.\nreplacing crashed worker gw2\n\nreplacing crashed worker gw0\n"
        )
        assert soak.replaced(out, 2) == {"gw2": "gw1", "gw3": "gw2", "gw4": "gw0"}
        assert soak.partitions_of(out, 2, "each") == {"gw0": 0, "gw1": 1, "gw2": 1, "gw3": 1, "gw4": 0}
        assert set(soak.partitions_of(out, 2, "load").values()) == {0}

    def test_under_each_every_worker_owes_every_test(self) -> None:
        found = soak.examine(replace(GOOD, dist="each"))
        assert (sorted(found.lost), found.settled) == (["a", "b", "c"], 3)


class TestSuite:
    def test_it_is_valid_and_the_same_each_time(self) -> None:
        files = soak.suite_files(3)
        assert files == soak.suite_files(3)
        for name, text in files.items():
            if name.endswith(".py"):
                compile(text, name, "exec")

    def test_what_a_run_leaves_is_told(self, tmp_path: Path) -> None:
        soak.write_suite(tmp_path, 1)
        before = {path.name for path in tmp_path.iterdir()}
        usual = [tmp_path / "records.jsonl", soak.temporary_folder(tmp_path) / "pytest-of-me"]
        for path in usual:
            path.touch()
        assert soak.leftovers(tmp_path, before) == []
        (tmp_path / "core.17").touch()
        (soak.temporary_folder(tmp_path) / "tmpabc").touch()
        assert soak.leftovers(tmp_path, before) == ["core.17", "temporary/tmpabc"]


class Prey:
    """Processes that wait, and the fifo through which a killer hears of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: list[subprocess.Popen[bytes]] = []
        self.known: set[int] = set()
        os.mkfifo(folder / "reached.fifo")

    def start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        self._waiting.append(process)
        self.known.add(process.pid)
        return process

    def say(self, process: subprocess.Popen[bytes], kind: str, worker: str) -> None:
        with (self._folder / "reached.fifo").open("w") as fifo:
            fifo.write(f"{process.pid} {json.dumps({'kind': kind, 'worker': worker})}\n")

    def killer(self) -> soak.Killer:
        return soak.Killer(self._folder, "seed", lambda: self.known, chance=1.0)

    def close(self) -> None:
        for process in self._waiting:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


@pytest.fixture
def prey(tmp_path: Path) -> Iterator[Prey]:
    made = Prey(tmp_path)
    yield made
    made.close()


@linux_only
class TestKiller:
    def test_a_worker_dies_of_what_it_was_sent(self, prey: Prey) -> None:
        victim = prey.start()
        with prey.killer() as killer:
            prey.say(victim, "forked", "gw0")
            status = victim.wait(60)
        assert [(kill.worker, -kill.signum) for kill in killer.kills] == [("gw0", status)]

    def test_everything_is_heard_before_it_ends(self, prey: Prey) -> None:
        process = prey.start()
        with prey.killer() as killer:
            for number in range(500):
                prey.say(process, "begin", f"gw{number}")
        assert [said["worker"] for said in killer.notes] == [f"gw{number}" for number in range(500)]

    def test_who_is_not_of_the_suite_is_left_alone(self, prey: Prey) -> None:
        stranger = prey.start()
        prey.known.clear()
        with prey.killer() as killer:
            prey.say(stranger, "forked", "gw0")
            prey.say(stranger, "begin", "gw0")
        assert not killer.kills
        assert stranger.poll() is None

    def test_no_two_in_a_row_are_killed_before_their_first_test(self, prey: Prey) -> None:
        first, second = prey.start(), prey.start()
        with prey.killer() as killer:
            prey.say(first, "forked", "gw0")
            prey.say(second, "forked", "gw1")
        assert [kill.worker for kill in killer.kills] == ["gw0"]

    def test_who_has_begun_a_test_may_be_killed_after_somebody_who_has_not(self, prey: Prey) -> None:
        first, second = prey.start(), prey.start()
        with prey.killer() as killer:
            prey.say(first, "forked", "gw0")
            prey.say(second, "forked", "gw1")
            prey.say(second, "begin", "gw1")
        assert [kill.worker for kill in killer.kills] == ["gw0", "gw1"]

    def test_an_error_while_it_listens_is_raised_in_the_end(self, prey: Prey, tmp_path: Path) -> None:
        def processes() -> set[int]:
            raise LookupError("no processes")

        with pytest.raises(LookupError), soak.Killer(tmp_path, "seed", processes):
            prey.say(prey.start(), "forked", "gw0")


class TestSoak:
    def test_totals_count_the_runs_together_and_name_what_broke(self) -> None:
        totals = soak.Totals()
        assert totals.add(soak.examine(GOOD), 0, [], 1.5) == []
        bad = soak.Findings(lost=["a"], twice=["b"], wrong=["all wrong"], recoveries=[0.75], peak=1)
        assert totals.add(bad, 2, ["core"], 2.5) == [
            "a has no result",
            "b has two results",
            "core was left behind",
            "2 processes were left behind",
            "all wrong",
        ]
        assert soak.table(totals).splitlines()[2:] == [
            "| runs | 2 |",
            "| workers killed | 1 |",
            "| tests settled | 3 |",
            "| tests lost | 1 |",
            "| tests settled twice | 1 |",
            "| processes left | 2 |",
            "| files left | 1 |",
            "| wall time | 4 s |",
            "| from a kill to its replacement's readiness, median | 500.0 ms |",
            "| peak memory of the controller | 32 MiB |",
        ]

    def test_all_modes_have_their_turn_and_each_can_be_repeated_alone(self) -> None:
        plan = soak.parsed(["--seed=40", "--tests=500"])
        assert [plan.mode(number) for number in range(8)] == [*soak.MODES, "load"]
        assert soak.repeat(plan, 3) == (
            "python -m benchmarks.soak --kills 1 --seed 43 --dist loadfile --workers 3 --tests 480"
        )
        again = soak.parsed(soak.repeat(plan, 3).split()[3:])
        assert (again.mode(0), again.seed, again.size) == ("loadfile", 43, plan.size)

    def test_under_each_the_suite_is_smaller(self) -> None:
        plan = soak.parsed(["--workers=4", "--tests=960"])
        assert (plan.tests("load"), plan.tests("each")) == (960, 240)

    @pytest.mark.parametrize("option", ["--kills=0", "--workers=x", "--tests=-1", "--dist=none", "--seed=x"])
    def test_a_wrong_option_is_refused(self, option: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as stop:
            soak.parsed([option])
        assert stop.value.code == 2
        assert option.split("=")[1] in capsys.readouterr().err


# --- what a crash costs ---------------------------------------------------------------------------


def measured(wall: float = 1.0, cpu: float = 1.0, status: int = 0, left_behind: int = 0) -> Measured:
    return Measured(status, wall, cpu, 0, 0.0, False, left_behind)


class TestCrashes:
    @pytest.mark.parametrize("heavy", [False, True])
    def test_the_suite_is_valid_and_has_as_many_tests_and_crashes_as_it_says(self, heavy: bool) -> None:
        numbers: list[int] = []
        for name, text in crashes.suite_files(heavy=heavy).items():
            if name.startswith("test_"):
                compile(text, name, "exec")
                ranges = re.findall(r"range\((\d+), (\d+)\)", text)
                numbers += [i for first, end in ranges for i in range(int(first), int(end))]
                assert ("import heavy" in text) is heavy
        assert numbers == list(range(crashes.TESTS))
        assert sum(number % crashes.EVERY == 7 for number in numbers) == crashes.CRASHES == 20

    def test_the_cost_is_the_median_of_the_differences_within_a_round(self) -> None:
        # The machine was slow in round 2: that does not show.
        assert crashes.cost([1.0, 90.0, 1.0], [6.0, 95.0, 11.0]) == crashes.Cost(0.25, 0.25, 0.5)

    def test_the_table_has_a_row_for_each_suite(self) -> None:
        rounds = {
            variant: [measured(3.0 * variant.heavy + 0.2 * variant.crashes + 1, 2 + variant.crashes)]
            for variant in crashes.VARIANTS
        }
        assert crashes.table(rounds).splitlines()[2:] == [
            "| no imports | 1.00 s | 1.20 s | 10.0 ms (10.0 to 10.0) | 50.0 ms (50.0 to 50.0) |",
            "| imports of two seconds | 4.00 s | 4.20 s | 10.0 ms (10.0 to 10.0) | 50.0 ms (50.0 to 50.0) |",
        ]

    @pytest.mark.parametrize(
        ("run", "output", "crashing", "problem"),
        [
            (measured(), "=== 400 passed in 1.0s ===", False, ""),
            (measured(status=1), "=== 20 failed, 380 passed in 1.0s ===", True, ""),
            (measured(), "=== 400 passed in 1.0s ===", True, "exit status 0, not 1"),
            (
                measured(status=1),
                "=== 20 failed, 379 passed in 1.0s ===",
                True,
                "reported {'failed': 20, 'passed': 379}, not {'failed': 20, 'passed': 380}",
            ),
            (measured(left_behind=1), "=== 400 passed in 1.0s ===", False, "left 1 processes behind"),
        ],
    )
    def test_a_run_that_loses_a_test_does_not_count(
        self, run: Measured, output: str, crashing: bool, problem: str
    ) -> None:
        assert crashes.problem_with(run, output, crashes=crashing) == problem

    @pytest.mark.parametrize("option", ["--rounds=0", "--signal=SIGINT"])
    def test_a_wrong_option_is_refused(self, option: str) -> None:
        with pytest.raises(SystemExit) as stop:
            crashes.parsed([option])
        assert stop.value.code == 2
