"""Which of pytest's hooks are called in the controller for what workers say, and with what."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from _pytest import reports as pytests_reports

from pytest_procpar.compat.xdist import hookspecs
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.protocol.worker_status import Death, Stage, WorkerStatus
from pytest_procpar.report.results import Results
from tests.compat.configs import made_config, made_report

T0, T1 = TestIndex(0), TestIndex(1)
LOCATION = ("t.py", 3, "test_a")
PHASES = ((1.0, 2.0, 1.0), (2.0, 4.0, 2.0), (4.0, 4.5, 0.5))


class Recorder:
    """A plugin that hears everything."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.reports: list[Any] = []

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        self.heard.append(f"start {nodeid}")

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.heard.append(f"{report.when} {report.nodeid}")
        self.reports.append(report)

    def pytest_runtest_logfinish(self, nodeid: str, location: Any) -> None:
        self.heard.append(f"finish {nodeid}")

    def pytest_collectreport(self, report: Any) -> None:
        self.heard.append(f"collect {report.nodeid}")
        self.reports.append(report)


class Desk:
    def __init__(self) -> None:
        self.config = made_config()
        self.config._rootpath = self.config.invocation_params.dir
        self.config.pluginmanager.register(pytests_reports)
        self.recorder = Recorder()
        self.config.pluginmanager.register(self.recorder)
        self.scheduling = MagicMock()
        self.scheduling.consult.return_value = False
        self.results = Results(self.config, self.scheduling)
        self.results.collected(["t.py::test_a", "t.py::test_b"])
        self.node: Any = SimpleNamespace(
            gateway=SimpleNamespace(id="gw0"), nodemanager=SimpleNamespace(testrunuid="run")
        )

    @property
    def heard(self) -> list[str]:
        return self.recorder.heard

    def data(self, when: str, outcome: str = "passed", **more: Any) -> dict[str, Any]:
        """A report as a worker sends it."""
        longrepr = None if outcome == "passed" else "E  no"
        report = made_report("t.py::test_a", when, outcome, longrepr, **more)
        return pytests_reports.pytest_report_to_serializable(report)  # type: ignore[return-value]

    def death(self, stage: Stage = Stage.CALL, test: TestIndex | None = T0) -> Death:
        return Death("killed by SIGSEGV", WorkerStatus(stage, test, 0.0))

    def section(self) -> list[str]:
        written: list[str] = []
        reporter: Any = SimpleNamespace(write_sep=lambda sep, title: None, write_line=written.append)
        self.results.summarize(reporter)
        return written


def test_a_plain_pass_becomes_three_reports_between_start_and_finish() -> None:
    desk = Desk()
    desk.results.began(T0, LOCATION)
    desk.results.finished(desk.node, T0, (("t.py", "test_a"), PHASES))
    name = "t.py::test_a"
    assert desk.heard == [
        f"start {name}",
        f"setup {name}",
        f"call {name}",
        f"teardown {name}",
        f"finish {name}",
    ]
    call = desk.recorder.reports[1]
    assert (call.location, call.duration, call.start, call.outcome) == (LOCATION, 2.0, 2.0, "passed")
    assert (call.node, call.worker_id, call.testrun_uid) == (desk.node, "gw0", "run")


def test_reports_that_were_sent_are_shown_as_they_come_and_not_again_at_the_end() -> None:
    desk = Desk()
    desk.results.began(T0, LOCATION)
    desk.results.reported(desk.node, T0, desk.data("call", "failed"))
    desk.results.finished(desk.node, T0, None)
    assert desk.heard == ["start t.py::test_a", "call t.py::test_a", "finish t.py::test_a"]
    assert (desk.recorder.reports[0].longrepr, desk.recorder.reports[0].item_index) == ("E  no", 0)


def test_under_dist_each_an_index_beyond_the_suite_is_of_the_same_test() -> None:
    desk = Desk()
    desk.results.reported(desk.node, TestIndex(3), desk.data("call"))
    assert desk.results.nodeid(TestIndex(3)) == "t.py::test_b"
    assert desk.recorder.reports[0].item_index == 1


@pytest.mark.parametrize(
    ("when", "outcome", "told"),
    [("setup", "passed", False), ("setup", "failed", True), ("call", "passed", True)],
)
def test_a_running_test_can_begin_anew_until_something_that_counts_was_told(
    when: str, outcome: str, told: bool
) -> None:
    desk = Desk()
    desk.results.began(T0, LOCATION)
    desk.results.reported(desk.node, T0, desk.data(when, outcome))
    assert desk.results.is_told(T0) is told
    desk.results.finished(desk.node, T0, None)
    assert not desk.results.is_told(T0)


def test_a_test_that_begins_anew_has_finished_first() -> None:
    desk = Desk()
    desk.results.began(T0, LOCATION)
    desk.results.abandoned(T0)
    desk.results.began(T0, LOCATION)
    assert [word.split()[0] for word in desk.heard] == ["start", "finish", "start"]


def test_a_crash_is_reported_with_what_the_test_had_written_and_listed() -> None:
    desk = Desk()
    desk.results.began(T0, LOCATION)
    desk.results.reported(desk.node, T0, desk.data("setup", sections=[("Captured stdout setup", "x")]))
    assert not desk.results.crashed(desk.node, T0, desk.death())
    report = desk.recorder.reports[-1]
    assert (report.when, report.outcome, report.sections) == (
        "???",
        "failed",
        [("Captured stdout setup", "x")],
    )
    assert (report.worker_id, report.item_index) == ("gw0", 0)
    assert desk.section()[0] == "CRASHED t.py::test_a - killed by SIGSEGV, call (gw0)"


def test_a_plugin_may_want_a_crashed_test_again() -> None:
    desk = Desk()
    desk.scheduling.consult.return_value = True
    assert desk.results.crashed(desk.node, T0, desk.death())
    assert desk.scheduling.consult.call_args.args[0] == "t.py::test_a"


def test_a_crash_that_a_plugin_has_made_a_rerun_of_is_not_listed() -> None:
    desk = Desk()

    class Reruns:
        def pytest_handlecrashitem(self, report: Any) -> None:
            report.outcome = "rerun"

    desk.config.pluginmanager.add_hookspecs(hookspecs)
    desk.config.pluginmanager.register(Reruns())
    desk.scheduling.consult.side_effect = lambda item, ask: ask(None)
    desk.results.crashed(desk.node, T0, desk.death())
    assert desk.recorder.reports[-1].outcome == "rerun"
    assert desk.section() == []


def test_a_hung_test_is_listed_with_its_limit() -> None:
    desk = Desk()
    desk.results.hung(desk.node, T0, desk.death(), 2.5)
    assert desk.section()[0] == "HUNG t.py::test_a - longer than 2.5 s, killed by SIGSEGV, call (gw0)"
    assert "--hang-timeout=2.5" in desk.section()[1]


def test_a_test_that_was_not_run_is_reported_of_no_worker() -> None:
    desk = Desk()
    desk.results.not_run(T1, "no worker is left")
    report = desk.recorder.reports[-1]
    assert (report.nodeid, report.item_index, hasattr(report, "node")) == ("t.py::test_b", 1, False)
    assert desk.section()[0] == "NOT RUN t.py::test_b - no worker is left"


@pytest.mark.parametrize(
    ("test", "last"), [(T1, "'t.py::test_b' ran last there"), (None, "no test had run there")]
)
def test_a_death_without_a_test_to_blame_is_an_error_of_the_run(test: TestIndex | None, last: str) -> None:
    desk = Desk()
    desk.results.worker_died(desk.node, desk.death(Stage.BETWEEN, test), None)
    report = desk.recorder.reports[-1]
    assert (desk.heard, report.when) == (["collect worker gw0"], "run")
    assert last in str(report.longrepr)
    assert desk.section()[0].startswith("DIED worker gw0")


def test_a_result_that_counts_instead_takes_the_failure_and_its_place_in_the_list() -> None:
    desk = Desk()
    session: Any = SimpleNamespace(config=desk.config, testsfailed=1)
    desk.results.crashed(desk.node, T0, desk.death())
    desk.results.counts_instead(session, T0, [desk.data("setup"), desk.data("call"), desk.data("teardown")])
    assert desk.section() == []
    assert session.testsfailed == 0
    shown = desk.recorder.reports[-3:]
    assert [(report.when, report.procpar_fresh, report.node) for report in shown] == [
        (when, True, desk.node) for when in ("setup", "call", "teardown")
    ]


def test_a_collector_arrives_with_the_nodes_that_it_had() -> None:
    desk = Desk()
    report = pytest.CollectReport("t.py", "passed", None, [])
    data: Any = pytests_reports.pytest_report_to_serializable(report)
    desk.results.collect_reported(data | {"procpar_children": ["t.py::test_a"]})
    assert [node.nodeid for node in desk.recorder.reports[0].result] == ["t.py::test_a"]
    desk.results.collection_failed("collections of the workers", "they differ")
    assert (desk.heard[-1], desk.recorder.reports[-1].longrepr) == (
        "collect collections of the workers", "they differ",
    )  # fmt: skip


def test_an_internal_error_says_which_process_broke() -> None:
    desk = Desk()
    told: list[Any] = []

    class Listener:
        def pytest_internalerror(self, excrepr: object, excinfo: Any) -> bool:
            told.append((str(excrepr), str(excinfo.value)))
            return True

    desk.config.pluginmanager.register(Listener())
    desk.results.internal_error("worker gw0", "Traceback")
    assert told == [("[worker gw0]\nTraceback", "internal error in worker gw0:\nTraceback")]
