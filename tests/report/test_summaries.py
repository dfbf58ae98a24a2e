"""All that a summary, the header and --help may say, as text: a change of wording shows in review.

Nothing is run for it. In a failure, what stands on the left is what is written now.
"""

from __future__ import annotations

import textwrap
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_procpar import plugin
from pytest_procpar.config.options import add_own_options, add_shared_options
from pytest_procpar.core.inquiry.findings import NOT_RECHECKED, Finding, Kind, Tally
from pytest_procpar.core.inquiry.probes import Confirmation, Outcome
from pytest_procpar.core.inquiry.roots import Root
from pytest_procpar.core.model import Dist, StartMethod, TestIndex
from pytest_procpar.core.protocol.worker_status import Death, Stage, WorkerStatus
from pytest_procpar.core.recheck.known_findings import KnownFinding, Ran
from pytest_procpar.core.recheck.recalling import recalled
from pytest_procpar.core.recheck.result import RecheckFinding, RecheckResult, StateChange, Suggestion
from pytest_procpar.core.recheck.retrial import Claim, Retried
from pytest_procpar.core.survey.pairs import Coverage
from pytest_procpar.core.switching.tryout import Dependence, RunFacts
from pytest_procpar.leaks.summary import LeakSummary
from pytest_procpar.replay.file import Replay
from pytest_procpar.replay.reorder import _notes, _Replayer
from pytest_procpar.report.crash_reports import not_run, verdict, worker_died
from pytest_procpar.report.crash_summary import CrashSummary
from pytest_procpar.report.findings_cache import FindingsCache
from pytest_procpar.report.patch_file import PatchFile
from pytest_procpar.report.recheck_summary import write_findings
from pytest_procpar.report.terminal import Terminal
from pytest_procpar.switching.page import TriedRuns, page


class Reporter:
    """pytest's terminal reporter, on a wide terminal; keeps what is written."""

    _screen_width = 120
    config = SimpleNamespace(getoption=lambda name, default=None: default)

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.showfspath = True
        self.stats: dict[str, list[str]] = {}

    def write_sep(self, sep: str, title: str) -> None:
        self.lines.append(f"{sep * 3} {title} {sep * 3}")

    def write_line(self, line: str, **_colours: bool) -> None:
        self.lines.append(line)

    def _add_stats(self, category: str, items: list[Any]) -> None:
        self.stats.setdefault(category, []).extend(item.nodeid for item in items)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def is_text(text: str, expected: str) -> bool:
    """Whether a text is the one that a test shows, which is indented there, its long lines broken."""
    shown = "\n".join(shown_line for line in text.splitlines() for shown_line in _broken(line))
    assert shown.strip("\n").splitlines() == textwrap.dedent(expected).strip("\n").splitlines()
    return True


def _broken(line: str) -> list[str]:
    return textwrap.wrap(line, 98, subsequent_indent="  | ", break_on_hyphens=False) or [""]


def config(**option: Any) -> Any:
    """What of a config is asked for here."""
    plugins = SimpleNamespace(
        hasplugin=lambda name: False, getplugin=lambda name: None, list_plugin_distinfo=list
    )
    return SimpleNamespace(
        option=SimpleNamespace(**{"numprocesses": None, **option}),
        stash=pytest.Stash(),
        pluginmanager=plugins,
        hook=SimpleNamespace(pytest_terminal_summary=SimpleNamespace(get_hookimpls=list)),
        getoption=lambda name, default=None: default,
    )


# --- the header ---


def header(**option: Any) -> str:
    return "\n".join(plugin.pytest_report_header(config(**option)))


def test_the_header_says_nothing_of_an_ordinary_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytest, "version_tuple", (8, 2, 0))
    assert header(numprocesses=2, recheck="failed", hang_timeout=3.0) == ""
    assert header() == header(numprocesses=0) == ""


def test_the_header_says_which_options_do_nothing_without_workers() -> None:
    assert is_text(
        header(numprocesses=0, recheck="failed", hang_timeout=3.0),
        """
        procpar: nothing is re-checked with -n 0
        procpar: --hang-timeout does nothing without workers: nobody watches. Give -n 1
        """,
    )


def test_the_header_says_that_a_newer_pytest_was_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytest, "version_tuple", (99, 1, 0))
    monkeypatch.setattr("pytest_procpar.compat.pytest_private.newest.NEWEST_TRIED", (9, 2))
    assert is_text(
        header(numprocesses=1),
        """
        procpar: pytest 99.1 is newer than 9.2, the newest one that this version was tried with
        """,
    )


def replay_header(asked: object = None, limit: int | None = None, *, is_lf: bool = False) -> str:
    replay = Replay("report.json", [[("t.py::test_a", 0)], [("t.py::test_b", 0), ("t.py::test_c", 0)]])
    notes = _notes(2, asked, limit, is_lf=is_lf)
    return "\n".join(_Replayer(config(), replay, notes).pytest_report_header())


def test_the_header_says_what_is_replayed_and_which_options_give_way() -> None:
    assert is_text(
        replay_header(2),
        """
        replay: report.json: 2 sequences, 3 tests
        """,
    )
    assert is_text(
        replay_header(0, is_lf=True),
        """
        replay: report.json: 2 sequences, 3 tests
        replay: --lf does nothing here: the file says which tests run
        replay: -n 0: the 2 sequences run one after the other in this process
        """,
    )
    assert is_text(
        replay_header(5),
        """
        replay: report.json: 2 sequences, 3 tests
        replay: -n 5 gives way: 2 workers, one for each sequence
        """,
    )
    assert is_text(
        replay_header("auto", 1),
        """
        replay: report.json: 2 sequences, 3 tests
        replay: --maxprocesses=1 gives way: 2 workers, one for each sequence
        """,
    )


# --- crashes ---

DEATH = Death(
    "killed by SIGSEGV",
    WorkerStatus(Stage.CALL, TestIndex(0), 0.0),
    stacks="Current thread (most recent call first):\n"
    '  File "/s/test_it.py", line 3 in test_it\n'
    '  File "/p/_pytest/runner.py", line 178 in pytest_runtest_call\n'
    '  File "/p/pluggy/_callers.py", line 121 in _multicall',
    out="printed\n",
    stderr="free(): invalid pointer\n",
    peak_memory=300 << 20,
)


def of_stage(stage: Stage, **more: Any) -> Death:
    return Death("killed by SIGKILL", WorkerStatus(stage, None, 0.0), **more)


def casualties() -> tuple[CrashSummary, list[Any]]:
    kept = CrashSummary()
    command = "pytest -n 1 t.py::test_it"
    reports: list[Any] = [
        verdict("t.py::test_it", "gw0", DEATH, command, limit=None, earlier=[]),
        verdict("t.py::test_hangs", "gw1", of_stage(Stage.TEARDOWN), command, limit=2.5, earlier=[]),
        verdict(
            "t.py::test_eats", "gw1", of_stage(Stage.LATE_TEARDOWN, out_of_memory="its cgroup was exhausted"),
            command, limit=None, earlier=[],
        ),
        not_run("t.py::test_never", "no worker is left", command),
    ]  # fmt: skip
    for report in reports:
        kept.test(report)
    ends: list[tuple[Stage, str | None, float | None]] = [
        (Stage.BETWEEN, "t.py::test_it", None),
        (Stage.STARTING, None, None),
        (Stage.ENDING, "t.py::test_it", 9.0),
    ]
    for stage, latest, limit in ends:
        reports.append(worker_died("gw2", of_stage(stage), latest, limit=limit))
        kept.worker(reports[-1])
    return kept, reports


def test_the_section_of_crashes() -> None:
    reporter = Reporter()
    casualties()[0].write(reporter)
    assert is_text(
        reporter.text,
        """
        === procpar: crashed, hung and not run ===
        CRASHED t.py::test_it - killed by SIGSEGV, call (gw0)
            alone: pytest -n 1 t.py::test_it
        HUNG t.py::test_hangs - longer than 2.5 s, killed by SIGKILL, teardown (gw1)
            alone: pytest -n 1 t.py::test_it
        CRASHED t.py::test_eats - killed by SIGKILL, teardown of fixtures that several tests share (gw1)
            alone: pytest -n 1 t.py::test_it
        NOT RUN t.py::test_never - no worker is left
            alone: pytest -n 1 t.py::test_it
        DIED worker gw2 - worker 'gw2' died between two tests: killed by SIGKILL; 't.py::test_it' ran last
          | there
        DIED worker gw2 - worker 'gw2' died before its first test: killed by SIGKILL; no test had run
          | there
        DIED worker gw2 - worker 'gw2' hung at the end of its session: longer than 9 s; 't.py::test_it'
          | ran last there
        """,
    )


def test_a_section_without_crashes_is_not_written() -> None:
    kept, reporter = CrashSummary(), Reporter()
    kept.write(reporter)
    kept.test(not_run("t.py::test_never", "no worker is left", "pytest"))
    kept.forget("t.py::test_never")
    kept.write(reporter)
    assert reporter.lines == []


def test_the_reports_of_crashes_in_full() -> None:
    texts = []
    for report in casualties()[1]:
        texts.append(str(report.longrepr))
        texts += [f"--- {title}\n{content}" for title, content in report.sections]
    assert is_text(
        "\n".join(texts),
        """
        worker 'gw0' crashed while running 't.py::test_it': killed by SIGSEGV in its call
        peak memory: 300 MiB

        Current thread (most recent call first):
          File "/s/test_it.py", line 3 in test_it
          ...
        --- Captured stdout call
        printed

        --- Last lines on standard error
        free(): invalid pointer

        worker 'gw1' hung while running 't.py::test_hangs': longer than 2.5 s in its teardown
        worker 'gw1' crashed while running 't.py::test_eats': killed by SIGKILL in the teardown of
          | fixtures that several tests share
        out of memory: its cgroup was exhausted
        not run: no worker is left
        worker 'gw2' died between two tests: killed by SIGKILL; 't.py::test_it' ran last there
        worker 'gw2' died before its first test: killed by SIGKILL; no test had run there
        worker 'gw2' hung at the end of its session: longer than 9 s; 't.py::test_it' ran last there
        """,
    )


# --- the re-check ---


def insight(
    test: int, kind: Kind, *cause: int, word: Outcome = Outcome.FAILED, **more: Any
) -> RecheckFinding:
    names = ("tallies", "message", "note", "sides", "files")
    of_finding = {name: more.pop(name) for name in names if name in more}
    finding = Finding(TestIndex(test), kind, tuple(map(TestIndex, cause)), **of_finding)
    return RecheckFinding(finding, word, **more)


def ran(
    *tests: int, word: Outcome | None = Outcome.FAILED, expected: bool = True, **more: Any
) -> Confirmation:
    return Confirmation(f"pytest {' '.join(f't::{test}' for test in tests)}", expected, word, **more)


def recheck(*insights: RecheckFinding, **more: Any) -> str:
    reporter = Reporter()
    write_findings(RecheckResult(insights, **more), "t::{}".format, reporter)
    return reporter.text


def test_nothing_is_written_of_a_recheck_that_has_found_nothing() -> None:
    assert recheck() == ""


def test_what_is_said_of_tests_that_depend_on_others() -> None:
    changes = (
        StateChange("mod.CACHE", "{}", "{'a': 1}", True),
        StateChange("os.environ['X']", "absent", "'1'", False),
    )
    tallies = (Tally("alone", 0, 2), Tally("after its polluter", 2, 2))
    assert is_text(
        recheck(
            insight(
                3, Kind.VICTIM, 1, tallies=tallies, message="AssertionError: 2 != 1", changes=changes,
                cleaners=(TestIndex(2),),
                confirmations=(ran(1, 3), ran(3, word=Outcome.PASSED, expected=False)),
                suggestion=Suggestion("--- a/conftest.py\n+++ b/conftest.py\n+x\n"),
            ),
            insight(
                4, Kind.CONTAMINATED_CRASH, 0, 1, word=Outcome.CRASHED, changes=(), cleaners=(),
                confirmations=(ran(0, 1, 4, word=Outcome.CRASHED),),
                suggestion=Suggestion("--- a/t.py\n+++ b/t.py\n+y\n", grouped=True),
            ),
            insight(5, Kind.BRITTLE, 2, changes=(), confirmations=(ran(5),)),
            insight(6, Kind.NIO, 6, confirmations=(ran(6, 6),)),
            insight(7, Kind.FILE_DEPENDENT, 2, files=("/tmp/data.db",)),
        ),
        """
        === procpar: re-check ===
        VICTIM t::3
            AssertionError: 2 != 1
            passes alone and fails after its polluter (failures: alone 0 of 2, after its polluter 2 of 2)
            polluter: t::1
            proven: mod.CACHE is {} before and {'a': 1} after
            cleaner: t::2
            tried: with this patch it passes, after that and after all that ran before it
            --- a/conftest.py
            +++ b/conftest.py
            +x
            fails: pytest t::1 t::3
            passes: pytest t::3
        CONTAMINATED CRASH t::4
            passes alone and crashes after its polluter
            polluters, which act together: t::0
            polluters, which act together: t::1
            no state was found that makes it pass when it is put back
            no cleaner was found
            tried: with this patch and --dist=loadgroup they share a process, in which it passes
            --- a/t.py
            +++ b/t.py
            +y
            fails: pytest t::0 t::1 t::4
        BRITTLE t::5
            fails alone and passes after its state-setter
            state-setter: t::2
            no state was found that makes it pass even if all else is put back
            fails: pytest t::5
        NIO t::6
            passes, and fails when it is run once more in the same process
            fails: pytest t::6 t::6
        FILE DEPENDENT t::7
            fails on its own while there is a file that tests have left, and passes without it
            file: /tmp/data.db
            left by: t::2
            let each test have its own in tmp_path, or remove it when the test is over
        """,
    )  # fmt: skip


def test_what_is_said_of_tests_that_depend_on_chance_company_or_the_fork() -> None:
    assert is_text(
        recheck(
            insight(0, Kind.FLAKY, tallies=(Tally("alone", 1, 7),)),
            insight(1, Kind.FLAKY, tallies=(Tally("alone", 0, 7), Tally("beside others", 0, 1))),
            insight(2, Kind.FLAKY, word=Outcome.PASSED, tallies=(Tally("alone", 2, 2),)),
            insight(
                3, Kind.PARALLEL_ONLY, message="OSError: in use",
                confirmations=(
                    ran(3, 4, word=Outcome.PASSED, by_chance=True, runs=5), ran(4, 3, by_chance=True, runs=3),
                ),
            ),
            insight(5, Kind.FORK_DEPENDENT, confirmations=(ran(5, word=Outcome.PASSED, expected=False),)),
            insight(6, Kind.PLAIN, confirmations=(ran(6, word=Outcome.PASSED),)),
            insight(
                7, Kind.VICTIM, 1, confirmations=(ran(1, 7), ran(7, word=Outcome.FAILED, expected=False))
            ),
            roots=(Root((TestIndex(3), TestIndex(4)), "on port 8001", "OSError: in use", contention=True),),
        ),
        """
        === procpar: re-check ===
        2 failures, 1 root
        FLAKY t::0
            passes and fails under the same conditions (failures: alone 1 of 7)
        FLAKY t::1
            failed once, and not again in 8 runs: alone 7, beside others 1
        FLAKY t::2
            passed in the run, and fails since: a file or database may be to blame (failures: alone 2 of
          | 2)
        PARALLEL ONLY t::3
            OSError: in use
            fails only while other tests run beside it
            one process at a time can have port 8001: let each test take a free one, or use one
          | xdist_group, with --dist=loadgroup
            has not failed in 5 runs, but may: pytest t::3 t::4
            fails (1 of 3 runs): pytest t::4 t::3
        FORK DEPENDENT t::5
            fails in forked workers and passes in fresh interpreters
            passes: pytest t::5
        COLLECTION DEPENDENT t::6
            fails alone, after all tests are collected
            passes: pytest t::6
        VICTIM (COLLECTION DEPENDENT) t::7
            passes alone and fails after its polluter
            polluter: t::1
            fails: pytest t::1 t::7
            fails: pytest t::7
        """,
    )  # fmt: skip


def test_what_is_said_of_tests_that_just_fail_or_are_not_settled() -> None:
    assert is_text(
        recheck(
            insight(0, Kind.PLAIN),
            insight(1, Kind.PLAIN, word=Outcome.CRASHED),
            insight(2, Kind.PLAIN, word=Outcome.HUNG),
            insight(3, Kind.FAILS_ALONE, note="not tried after 8 tests before it"),
            insight(4, Kind.UNKNOWN, note=NOT_RECHECKED),
            insight(6, Kind.UNKNOWN, note="its process was lost"),
            insight(7, Kind.VICTIM, 1, confirmations=(ran(1, 7, word=None, reason="it cannot be started"),)),
            insight(8, Kind.PLAIN, confirmations=(ran(8, word=None, reason="it cannot be started"),)),
            left_out=(TestIndex(20), TestIndex(21)),
            starved=(TestIndex(22),),
            put_back=("data/a.json",),
            altered=("data/b.json",),
            note="the re-check has ended early: a bug",
            budget=11,
        ),
        """
        === procpar: re-check ===
        fail on their own too: t::0, t::8
        fails on its own too (not tried after 8 tests before it: --recheck-budget=11 would): t::3
        crashes on its own too: t::1
        hangs on its own too: t::2
        not run again, since there was no time (--recheck-budget=11 would leave some): t::4
        could not be confirmed in a fresh process (it cannot be started): t::8
        not settled: t::6: its process was lost
        not settled: t::7: it passes alone and fails after its polluter (t::1), but it could not be seen
          | in a fresh process: it cannot be started
        the re-check has ended early: a bug
        changed by what was run again, and put back: data/a.json
        changed by what was run again, and NOT put back: data/b.json
        not re-checked, since the kernel killed it when memory ran out: t::22
        not re-checked, since there are more than --recheck-tests allows: t::20, t::21
        """,
    )


def test_what_is_said_of_failures_that_have_one_root() -> None:
    root = Root(tuple(map(TestIndex, range(7))), "in the fixture `db`", "OSError: no")
    found = [insight(test, Kind.PLAIN) for test in range(6)]
    assert is_text(
        recheck(*found, insight(6, Kind.UNKNOWN, note=NOT_RECHECKED), roots=(root,)),
        """
        === procpar: re-check ===
        7 failures, 1 root
        7 tests fail in the fixture `db`: OSError: no
            fail on their own too: t::0, t::1, t::2, t::3, t::4 and 1 more
            not run again, since there was no time: t::6
        """,
    )


def test_what_is_said_of_the_orders_of_a_deep_recheck() -> None:
    assert is_text(
        recheck(coverage=Coverage(500, 64, 0.829, 0.129, True, 3, 2, 1)),
        """
        === procpar: re-check ===
        500 tests were run in 64 orders: about 82 % of their ordered pairs are tried, 12 % with nothing
          | between; 3 of the slowest were not in all of them; the slowest was not tried alone; all others
          | were tried right after each of 2 tests that change state
        """,
    )


# --- known of earlier runs, leaks, patches ---


def known(test: str, kind: Kind, *causes: str, **more: Any) -> KnownFinding:
    return KnownFinding(test, kind, causes, "pytest x", first="2026-01-02", last="2026-01-03", **more)


def test_what_is_recalled_of_earlier_runs() -> None:
    a, b, c, d, e, f, g = (f"t::{letter}" for letter in "abcdefg")
    before = [
        known(a, Kind.VICTIM, g, runs=3), known(b, Kind.BRITTLE, g), known(c, Kind.NIO), known(d, Kind.FLAKY),
        known(e, Kind.PARALLEL_ONLY), known(f, Kind.CONTAMINATED_CRASH, g),
    ]  # fmt: skip
    failed, passed = Ran(Outcome.FAILED, (g,)), Ran(Outcome.PASSED, (g,))
    ends = {a: failed, b: Ran(Outcome.PASSED, ()), c: failed, d: passed, e: failed, f: passed}
    claim = Claim(TestIndex(3), Kind.FLAKY, (), before[3])
    retried = [Retried(claim, True, (Tally("alone", 1, 4),)), Retried(claim, False), Retried(claim, None)]
    lines = recalled(before, before, [before[0]], ends, frozenset((b, f)), retried)
    memory, reporter = FindingsCache(config(), ()), Reporter()
    memory._lines = lines
    memory.pytest_terminal_summary(reporter)
    assert is_text(
        reporter.text,
        """
        === procpar: known of earlier runs ===
        t::d is still flaky (failures: alone 1 of 4)
        t::d is no longer flaky: that is forgotten
        t::d: whether it is still flaky could not be found out: a process was lost
        t::a is again a victim of t::g (seen in 3 runs, first seen on 2026-01-02)
        t::b passed, and is no longer brittle: it needs t::g: that is forgotten
        t::c failed; it is known as an NIO: it fails when it is run a second time in the same process
          | (seen in 1 run, on 2026-01-03): pytest x
        t::e failed; it is known as parallel-only: it fails by what runs beside it (seen in 1 run, on
          | 2026-01-03): pytest x
        t::f passed, and is no longer a victim, which crashes, of t::g: that is forgotten
        """,
    )


def test_a_try_of_what_is_known_says_that_nothing_is() -> None:
    memory, reporter = FindingsCache(config(), ()), Reporter()
    memory.retried((), on_request=True)
    memory.pytest_terminal_summary(reporter)
    assert is_text(
        reporter.text,
        """
        === procpar: known of earlier runs ===
        nothing is known of earlier runs: there was nothing to try again
        """,
    )
    memory, reporter = FindingsCache(config(), ()), Reporter()
    memory.retried((), on_request=False)
    memory.pytest_terminal_summary(reporter)
    assert reporter.lines == []


def test_the_section_of_leaks_names_each_once_below_its_test() -> None:
    summary, reporter = LeakSummary(), Reporter()
    summary.pytest_terminal_summary(reporter)  # type: ignore[arg-type]
    assert reporter.lines == []
    leaks: list[tuple[str, object]] = [("procpar_leak", "thread worker-1"), ("other", "x")]
    leaks.append(("procpar_leak", "changed os.environ['A']"))
    phases: list[Any] = ["call", "teardown", "teardown"]
    for when in phases:
        report = pytest.TestReport("t.py::test_a", ("t.py", 0, "test_a"), {}, "passed", None, when)
        report.user_properties = leaks if when == "teardown" else [("procpar_leak", "not over yet")]
        summary.pytest_runtest_logreport(report)
    summary.pytest_terminal_summary(reporter)  # type: ignore[arg-type]
    assert is_text(
        reporter.text,
        """
        === procpar: leaks ===
        t.py::test_a
          - thread worker-1
          - changed os.environ['A']
        """,
    )


def patched(*patches: str, failure: str = "") -> str:
    file, reporter = PatchFile("fix.patch"), Reporter()  # type: ignore[arg-type]
    found: list[Any] = [{}, *({"patch": patch} for patch in patches)]
    file.pytest_procpar_findings(found)
    file._failure = failure
    file.pytest_terminal_summary(reporter)  # type: ignore[arg-type]
    return reporter.text


def test_what_is_said_of_a_file_for_patches() -> None:
    grouped = '+@pytest.mark.xdist_group("g")\n'
    texts = [patched(), patched("+x\n"), patched("+x\n", grouped), patched("+x\n", failure="no room")]
    assert is_text(
        "\n".join(texts),
        """
        --- --recheck-suggest: no patch was found that helps ---
        --- to apply by git apply: fix.patch ---
        --- to apply by git apply, needs --dist=loadgroup: fix.patch ---
        no room
        """,
    )


# --- the lines of a run ---


class Screen(Terminal):
    """A terminal that a reporter of ours writes to."""

    def __init__(self, verbosity: int = 0) -> None:
        self.reporter = Reporter()
        made = config()
        made.get_verbosity = lambda: verbosity
        made.pluginmanager.getplugin = lambda name: self.reporter
        super().__init__(made)


def screen(verbosity: int) -> str:
    shown = Screen(verbosity)
    shown.prepare()
    shown.start_method(StartMethod.SPAWN, "conftest.py:3 reads PYTEST_XDIST_WORKER")
    shown.collected(1, 1, Dist.LOAD, ["run-last-failure: rerun previous 1 failure"])
    shown.collected(2, 5, "MyScheduler", [])
    shown.collected(2, 5, None, [])
    shown.deselected(["t.py::test_x"])
    shown.line("a detail", least=1)
    shown.remember("only 1 worker fits: no room")
    results: Any = SimpleNamespace(summarize=lambda reporter: None, nodeid=str)
    shown.summarize(results, None)
    assert shown.reporter.stats == {"deselected": ["t.py::test_x"]}
    assert not shown.reporter.showfspath
    return shown.reporter.text


def test_the_lines_of_a_run() -> None:
    assert is_text(
        screen(0),
        """
        procpar: start method spawn, since conftest.py:3 reads PYTEST_XDIST_WORKER (ini:
          | procpar_start_method pins a method, procpar_fork_safe vouches for what is safe)
        created: 1/1 worker
        1 worker [1 item]
        run-last-failure: rerun previous 1 failure

        created: 2/2 workers
        2 workers [5 items]

        created: 2/2 workers
        2 workers [5 items]


        only 1 worker fits: no room
        === procpar: only 1 worker fits: no room ===
        """,
    )


def test_a_verbose_run_tells_the_scheduler_and_a_quiet_one_little() -> None:
    assert [line for line in screen(1).splitlines() if line not in screen(0).splitlines()] == [
        "scheduling tests via LoadScheduling",
        "scheduling tests via MyScheduler",
        "a detail",
    ]
    assert is_text(
        screen(-1),
        """
        procpar: start method spawn, since conftest.py:3 reads PYTEST_XDIST_WORKER (ini:
          | procpar_start_method pins a method, procpar_fork_safe vouches for what is safe)
        bringing up nodes...
        run-last-failure: rerun previous 1 failure
        bringing up nodes...
        bringing up nodes...
        === procpar: only 1 worker fits: no room ===
        """,
    )


# --- --procpar-try ---


def tried(**more: Any) -> str:
    asked = config()
    asked.option.file_or_dir = []
    asked.inipath = None
    asked.rootpath = None
    asked.getini = lambda name: ""
    made = TriedRuns.__new__(TriedRuns)
    made.plain = made.parallel = made.xdist = None
    made.way, made.method, made.reason, made.file = "-n auto", "", "", "pytest.ini"
    made.classified, made.interrupted, made.found, made.findings = False, False, [], []
    made.load, made.left_out, made.changed, made.lost = (0.0, 2), [], set(), set()
    made.configured, made.plugins = [], []
    for name, value in more.items():
        setattr(made, name, value)
    return "\n".join(page(made))


def test_what_a_try_says_of_a_suite_that_differs() -> None:
    a, b, c = "t::a", "t::b", "t::c"
    plain = RunFacts(0, 10.0, 9.0, {a: ("passed",), b: ("passed",), c: ("passed",)})
    parallel = RunFacts(1, 4.0, 9.5, {a: ("passed",), b: ("failed",), c: ("passed",)}, workers=2)
    xdist = RunFacts(1, 8.0, 20.0, {a: ("failed",), b: ("failed",), c: ("passed",)}, workers=2)
    found = [Dependence(b, "victim", (a,), (), "pytest t::a t::b"), Dependence(c, "flaky")]
    text = tried(
        plain=plain, parallel=parallel, xdist=xdist, classified=True, found=found, load=(3.0, 2),
        left_out=["--junitxml=x.xml"], changed={"data.json"}, lost={"other.json"},
        plugins=[("pytest-x", "it needs a port of its own")],
    )  # fmt: skip
    assert is_text(
        text,
        """

        procpar: what would change with workers, for 3 tests

                                         wall         processor
          without workers             10.00 s            9.00 s
          with -n auto                 4.00 s  (0.40)    9.50 s  (1.06)
          pytest-xdist, -n auto        8.00 s  (0.80)   20.00 s  (2.22)
          other programs kept the processors busy (load 3.0 on 2): times say little

        tests that end otherwise with workers: 1
          t::b: passed without workers, failed here (victim)
          exit status: 0 without workers, 1 with workers
        tests that end otherwise with pytest-xdist: 2
          t::a: passed without workers, failed here
          t::b: passed without workers, failed here
          exit status: 0 without workers, 1 with pytest-xdist
        tests that depend on order or on company: 2
          victim t::b (t::a)
            pytest t::a t::b
          flaky t::c

        what to mark, to pin or to look at
          - mark t::a with @pytest.mark.isolated, or let it undo what it changes: t::b fails after it
          - t::c passes and fails under the same conditions: no mark helps, look at it

        plugins that need attention
          - pytest-x: it needs a port of its own

        left out of all runs, since it writes or sends something: --junitxml=x.xml
        changed by the runs, and put back: data.json
        changed by the runs, and NOT put back: other.json

        Workers save 60% of the time. To have them always:

            [pytest]
            addopts = -n auto
        """,
    )


def test_what_a_try_says_of_a_suite_that_stays_the_same() -> None:
    plain = RunFacts(0, 1.0, 0.9, {"t::a": ("passed",)})
    slower = RunFacts(0, 1.2, 1.5, {"t::a": ("passed",)}, workers=2)
    assert is_text(
        tried(plain=plain, parallel=slower, classified=True),
        """

        procpar: what would change with workers, for 1 test

                                         wall         processor
          without workers              1.00 s            0.90 s
          with -n auto                 1.20 s  (1.20)    1.50 s  (1.67)

        tests that end otherwise with workers: none
        tests that depend on order or on company: none was found

        Workers save no time here (1.00 s without, 1.20 s with them).
        To run this suite with workers all the same:

            [pytest]
            addopts = -n auto
        """,
    )


def test_what_a_try_says_when_it_has_not_come_to_its_end() -> None:
    assert is_text(
        tried(interrupted=True),
        """

        procpar: ended by Ctrl-C; this is known so far
        procpar: nothing is known: the run without workers has not ended
        """,
    )
    assert is_text(
        tried(plain=RunFacts(4, 1.0, 0.9, {}, trouble="no such option")),
        """

        procpar: without workers no test runs (exit status 4): no such option
        See to that first: there is nothing to compare.
        """,
    )


# --- --help ---


class Parser:
    """Keeps what is added to it, as `--help` lists it; argparse's own layout differs between versions."""

    def __init__(self) -> None:
        self.title = ""
        self.options: list[str] = []
        self.ini: list[str] = []

    def getgroup(self, name: str, description: str) -> Parser:
        self.title = f"{description}:"
        return self

    def addoption(self, *names: str, **about: Any) -> None:
        self.options.append(f"  {', '.join(names)} {about.get('metavar', '')}".rstrip())
        self.options += self._wrapped(about["help"])

    _addoption = addoption  # for short names

    def addini(self, name: str, text: str = "", **about: Any) -> None:
        self.ini.append(f"  {name} ({about.get('type', 'string')}):")
        self.ini += self._wrapped(about.get("help", text))

    @staticmethod
    def _wrapped(text: str) -> list[str]:
        return textwrap.wrap(text, 90, initial_indent="      ", subsequent_indent="      ")


def test_what_help_says_of_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_procpar.config.options.has_pytest_forked", lambda: False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # pytest-replay
    parser: Any = Parser()
    add_shared_options(parser)
    add_own_options(parser)
    text = "\n".join([parser.title, *parser.options, "", *parser.ini])
    assert is_text(
        text,
        """
        parallel execution on forked workers (procpar):
          -n, --numprocesses N
              How many workers run tests: a number, 'auto' for at most one for each processor this
              process may use, 'logical' for their hardware threads, 0 for none: tests run in this
              process.
          --dist MODE
              How tests are dealt to the workers. load: in ever smaller batches of neighbours;
              worksteal: an even share each; loadscope: all tests of a class, or module functions
              of a module, in one worker; loadfile: all tests of a file in one worker; loadgroup:
              tests with the same xdist_group mark in one worker; stable: all tests of a file, or
              with the same xdist_group mark, in the worker that a hash of the name picks, the
              same in every run; each: every test in every worker; no: in this process. Under all
              but stable a worker without tests takes over what others have not begun. Default:
              load, once workers are asked for.
          -d
              Same as --dist=load.
          --maxprocesses N
              No more workers than this.
          --max-worker-restart N
              How many crashed workers are replaced at most; the tests that then cannot run are
              reported as not run. Default: all of them.
          --maxschedchunk N
              No more than N tests are dealt to a worker at once under --dist=load.
          --loadscope-reorder
              Deal the largest groups first under --dist=loadscope, loadfile and loadgroup
              (default).
          --no-loadscope-reorder
              Deal groups in the order in which they were collected.
          --tx SPEC
              Another spelling of -n: 'popen' for one worker, '4*popen' for four.
          --testrunuid ID
              The id of the run that the testrun_uid fixture gives. Default: a random one.
          --hang-timeout SECONDS
              How long a test may run with -n: past it, the stacks of all its threads are dumped,
              its process is ended, and the test is reported as hung. 0 for no limit. Default: the
              ini option procpar_hang_timeout.
          --leaks report|fail
              Report what a test has left changed after its teardown: processes, threads,
              descriptors, temporary files, environment variables, the working directory, signal
              handlers, sys.path. With --leaks=fail these are failures.
          --failure-output
              When failures and errors are shown. final: after the last test, before anything is
              re-checked (default); immediate: each as soon as the test has failed.
          --procpar-report FILE
              Write every test's outcome, worker, phases, attempts and flags to this JSON file.
          --procpar-advise
              After the run, say where its time went, how many workers are worth having, and what
              to change first, in seconds to gain.
          --procpar-try
              Run the suite without workers, with them, and once more to find tests that depend on
              others; then say what would change. Writes nothing.
          --procpar-try-report FILE
              The same, and write what has come of it to this JSON file.
          --procpar-history record|show|merge|prune
              The history of durations, which runs with -n record. record: record this run, too,
              if it has no -n; show: print the slowest tests and the dearest fixtures; merge: add
              the histories in the files that follow; prune: forget tests that no longer run. All
              but record run no test.
          --recheck
              What to run again in throw-away processes, to tell tests that depend on others from
              those that just fail. failed: what failed, crashed or hung (the default with -n);
              known: only what earlier runs have found, to see what still holds; all: every test,
              alone and twice in a row, and all in the order of the collection, too; deep: also in
              the reverse order, and in one after another that bring each test after each other
              one, as far as there is time; none: nothing. Default: the ini option
              procpar_recheck.
          --recheck-order ORDER
              Run the suite once more in one process in this order, and look into what ends
              otherwise: reverse, random or random:SEED.
          --recheck-budget SECONDS
              How long the re-check may take. Default: little for what just fails; if there is
              something to search, as long as the run took, but at least 10 seconds.
          --recheck-tests N
              How many roots of failed tests are re-checked at most (default: 20).
          --recheck-explain
              Find out which state a polluter has changed, and which change makes the other test
              fail.
          --recheck-suggest FILE
              Write a patch to FILE: fixtures that put back what polluters change, or marks, tried
              and found to help. Implies --recheck-explain.
          --recheck-cleaners
              Find the tests that undo what a polluter has done.
          --recheck-strict
              Let the run fail if the re-check finds a test that depends on others or is flaky.
          --replay, --procpar-replay FILE
              Run exactly the tests that ran in the run which wrote this report, in the same order
              and the same company: each worker's, or those of a plain run. FILE may also be a
              small list of nodeids.
          --isolate
              Run every test in a process of its own, forked from the collected suite, one at a
              time without -n.
          --forked
              Same as --isolate.
          --max-tests-per-worker K
              Renew each worker's process, from the collected suite, after K tests.
          --start-method
              How workers are started. fork: from one process that has collected the suite; fork-
              early: from one that has configured nothing, each collects for itself; spawn: fresh
              interpreters; auto: the first of these that is safe. Default: the ini option
              procpar_start_method.

          procpar_recheck (string):
              What --recheck says when it is not given: failed (the default), known, all, deep or
              none.
          procpar_start_method (string):
              What --start-method says when it is not given (auto).
          procpar_fork_safe (linelist):
              What --start-method=auto is to think safe though it looks otherwise, a line each:
              patterns of the files that read a worker's identity or make names, of the names of
              plugins, threads, libraries and modules, or a kind: sockets, pipes, event-loops,
              databases, shared-memory, children, files, native-threads, names.
          procpar_freeze_heap (bool):
              Exempt what exists before the workers are forked from garbage collection in them.
              Saves most of a large suite's collection time; turn it off for tests that look for
              objects made at import.
          procpar_limit_thread_pools (bool):
              Give each worker its share of the processors for the thread pools of BLAS and
              OpenMP, unless their size is set.
          procpar_compact_reports (bool):
              With -n, make the reports of passed tests that pytest only counts when code looks
              for them, instead of keeping three objects for each test.
          procpar_lean_tests (bool):
              With -n, skip work around each phase of a test that nobody needs: calls of hooks
              that only pytest's own plugins implement, and reports of phases that passed with
              nothing to tell.
          procpar_history (string):
              Where the history of durations is kept: a file (.json) or a folder, relative to the
              rootdir; off for none. Default: in pytest's cache.
          procpar_hang_timeout (string):
              How many seconds a test may run with -n; 0 for no limit (the default).
          procpar_quiet_seconds (string):
              With -n, say which tests are running when none has ended for this many seconds; 0
              for never.
        """,
    )


def test_options_that_other_plugins_define_are_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_procpar.config.options.has_pytest_forked", lambda: True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    parser: Any = Parser()
    add_own_options(parser)
    assert "  --procpar-replay FILE" in parser.options
    assert not any(line.startswith(("  --forked", "  --replay")) for line in parser.options)
