"""What a fork server or a worker tells of its collection, its end and its errors, over a fake link."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from pytest_procpar.core.model import Dist, ReportData
from pytest_procpar.core.protocol.common import Broke, Collected, CollectReported, Halted, Warned
from pytest_procpar.core.protocol.worker import JunitRecord
from pytest_procpar.forking.children import SessionOver
from pytest_procpar.replay.file import KEYS
from pytest_procpar.worker import session_reporter as relay_module
from pytest_procpar.worker.session_reporter import SessionReporter


class Link:
    """What was put, and how much of it has left."""

    def __init__(self) -> None:
        self.put_in: list[Any] = []
        self.sent: list[Any] = []
        self.closed = False

    def put(self, message: Any) -> None:
        self.put_in.append(message)

    def flush(self) -> None:
        if self.closed:
            raise OSError("closed")
        self.sent = list(self.put_in)


class Desk:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, dist: Dist = Dist.LOAD) -> None:
        self.interrupts: list[int] = []
        monkeypatch.setattr(relay_module, "disregard_interrupts", lambda: self.interrupts.append(1))
        monkeypatch.setattr(relay_module, "failed_before", lambda config: frozenset(["t.py"]))
        self.config: Any = MagicMock()
        self.config.stash = pytest.Stash()
        self.config.getoption.side_effect = lambda name, default=None: default
        self.config.hook.pytest_report_to_serializable.side_effect = lambda config, report: {
            "nodeid": report.nodeid
        }
        self.config.hook.pytest_keyboard_interrupt.side_effect = self._told_of_interrupt
        self.config.pluginmanager.get_plugin.return_value = None
        self.link, self.slot = Link(), MagicMock()
        self.plugins_told: list[type] = []
        self.relay = SessionReporter(self.config, dist, self.link, self.slot)  # type: ignore[arg-type]
        self.session: Any = MagicMock(items=[], config=self.config)
        self.session.Failed = pytest.Session.Failed

    def _told_of_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.plugins_told.append(excinfo.type)
        self.relay.pytest_keyboard_interrupt(excinfo)

    def end(self, error: BaseException) -> int:
        """What a process makes of the exception that has ended its session: its exit status."""
        try:
            raise error
        except BaseException as caught:
            return int(self.relay.ended_by(self.session, caught))


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(monkeypatch)


# --- how it ends ---


@pytest.mark.parametrize(
    ("error", "status", "told", "deaf"),
    [
        (pytest.UsageError("no such option", "-x"), 4, [Halted("usage", "no such option\n-x")], True),
        (pytest.Session.Failed("stopping after 1"), 1, [Halted("shouldfail", "stopping after 1")], False),
        (pytest.Session.Interrupted("because"), 2, [Halted("shouldstop", "because")], True),
        (pytest.exit.Exception("enough", 7), 7, [Halted("exit", "enough", 7)], True),
        (pytest.exit.Exception("enough"), 2, [Halted("exit", "enough")], True),
    ],
)  # fmt: skip
def test_what_ends_a_session_is_told_at_once_and_gives_pytests_own_status(
    desk: Desk, error: BaseException, status: int, told: list[Halted], deaf: bool
) -> None:
    assert desk.end(error) == status
    assert desk.link.sent == told
    assert bool(desk.interrupts) is deaf


def test_an_interrupt_is_told_with_the_place_where_it_met_a_test(desk: Desk) -> None:
    assert desk.end(KeyboardInterrupt()) == pytest.ExitCode.INTERRUPTED
    (halted,) = desk.link.sent
    assert (halted.kind, halted.reason) == ("keyboard", "KeyboardInterrupt")
    assert halted.place is not None
    assert halted.place[0].endswith("test_relay.py")
    assert desk.plugins_told == [KeyboardInterrupt]


def test_what_a_child_has_told_the_controller_is_told_to_this_process_plugins_only(desk: Desk) -> None:
    over = SessionOver(5, interrupted=True)
    assert desk.end(over) == 5
    assert (desk.plugins_told, desk.link.put_in) == ([KeyboardInterrupt], [])


def test_a_child_that_has_ended_in_order_ends_this_process_in_silence(desk: Desk) -> None:
    assert desk.end(SessionOver(1, interrupted=False)) == 1
    assert (desk.plugins_told, desk.link.put_in, len(desk.interrupts)) == ([], [], 1)


def test_anything_else_is_an_internal_error_that_pytest_shows(desk: Desk) -> None:
    assert desk.end(ValueError("x")) == pytest.ExitCode.INTERNAL_ERROR
    (excinfo, option), _ = desk.config.notify_exception.call_args
    assert (excinfo.type, option) == (ValueError, desk.config.option)
    assert desk.link.put_in == []


def test_an_internal_error_that_pytest_cannot_show_is_told_all_the_same(desk: Desk) -> None:
    desk.config.notify_exception.side_effect = OSError("capture is closed")
    assert desk.end(ValueError("x")) == pytest.ExitCode.INTERNAL_ERROR
    (broke,) = desk.link.sent
    assert isinstance(broke, Broke)
    assert "ValueError: x" in broke.text
    assert "capture is closed" in broke.text


def test_an_internal_error_is_left_to_the_controller_to_print(desk: Desk) -> None:
    assert desk.relay.pytest_internalerror("INTERNALERROR> x") is True
    assert desk.link.sent == [Broke("INTERNALERROR> x")]


# --- the collection ---


def report(nodeid: str, outcome: Any, *children: str) -> pytest.CollectReport:
    nodes: Any = [SimpleNamespace(nodeid=child) for child in children]
    return pytest.CollectReport(nodeid, outcome, None, nodes)


@pytest.mark.parametrize(
    ("nodeid", "outcome", "told"),
    [
        ("a.py", "failed", True),
        ("a.py", "skipped", True),
        ("a.py", "passed", False),
        ("t.py", "passed", True),
    ],
)
def test_collectors_are_told_of_that_have_failed_now_or_before(
    desk: Desk, nodeid: str, outcome: str, told: bool
) -> None:
    desk.relay.pytest_collection()
    desk.relay.pytest_collectreport(report(nodeid, outcome, f"{nodeid}::test"))
    data: ReportData = {"nodeid": nodeid, "procpar_children": [f"{nodeid}::test"]}
    assert desk.link.put_in == ([CollectReported(data)] if told else [])


def item(nodeid: str) -> Any:
    made = MagicMock(nodeid=nodeid)
    made.iter_markers.return_value = []
    made.get_closest_marker.return_value = None
    made._fixtureinfo = None
    return made


def test_the_suite_is_told_with_what_was_left_out_and_what_plugins_say_of_it(desk: Desk) -> None:
    relay = desk.relay
    relay.pytest_deselected([item("t.py::c"), SimpleNamespace()])  # type: ignore[list-item]
    finish = relay.pytest_report_collectionfinish()
    next(finish)
    with pytest.raises(StopIteration) as over:
        finish.send(["last", ["first", "second"]])
    assert over.value.value == ["last", ["first", "second"]]
    desk.session.items = [item("t.py::a"), item("t.py::b")]
    relay.collected(desk.session, [1])
    assert desk.link.put_in == [
        Collected(
            ["t.py::a", "t.py::b"], None, ["t.py::c", "SimpleNamespace"], ["first", "second", "last"], {}, [1]
        )
    ]


def test_groups_are_told_that_the_mode_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, Dist.LOADFILE)
    desk.session.items = [item("a.py::x"), item("b.py::y"), item("a.py::z")]
    desk.relay.collected(desk.session, [])
    (collected,) = desk.link.put_in
    assert collected.keys[0] == collected.keys[2] != collected.keys[1]


def test_a_replay_says_which_tests_belong_together_whatever_the_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, Dist.LOADFILE)
    desk.config.stash[KEYS] = ["0", "1"]
    desk.session.items = [item("a.py::x"), item("a.py::y")]
    desk.relay.collected(desk.session, [])
    assert desk.link.put_in[0].keys == ["0", "1"]


def test_the_board_says_what_was_being_collected(desk: Desk) -> None:
    for nodeid in ("t.py", ""):
        desk.relay.pytest_make_collect_report(SimpleNamespace(nodeid=nodeid))  # type: ignore[arg-type]
    desk.relay.pytest_collection_modifyitems()
    assert [call.args[0] for call in desk.slot.note.call_args_list] == [
        "while it collected t.py", "while it collected the suite", "at the end of the collection",
    ]  # fmt: skip


# --- who speaks ---


def warn(desk: Desk, when: str) -> None:
    message = warnings.WarningMessage(UserWarning("w"), UserWarning, "f.py", 1)
    desk.relay.pytest_warning_recorded(message, when, "", None)


def test_warnings_of_the_collection_are_told_by_who_collects_and_not_by_its_workers_again(desk: Desk) -> None:
    warn(desk, "runtest")
    warn(desk, "config")
    assert desk.link.put_in == []
    warn(desk, "collect")
    assert [type(message) for message in desk.link.put_in] == [Warned]
    of_worker = Link()
    desk.relay.speak_for_worker(of_worker)  # type: ignore[arg-type]
    warn(desk, "collect")
    assert of_worker.put_in == []


def test_a_worker_speaks_over_its_own_link_and_notes_for_the_junit_xml_if_there_is_one(desk: Desk) -> None:
    of_worker = Link()
    desk.relay.speak_for_worker(of_worker)  # type: ignore[arg-type]
    assert "procpar-junit" not in str(desk.config.pluginmanager.register.call_args_list)
    desk.config.getoption.side_effect = lambda name, default=None: "x.xml" if name == "xmlpath" else default
    desk.relay.speak_for_worker(of_worker)  # type: ignore[arg-type]
    assert "procpar-junit" in str(desk.config.pluginmanager.register.call_args_list)
    desk.relay.halted(Halted("exit", "x"))
    assert (desk.link.put_in, of_worker.sent) == ([], [Halted("exit", "x")])


def test_what_is_noted_for_the_junit_xml_leaves_at_once_unless_the_connection_is_closed(desk: Desk) -> None:
    note = JunitRecord("property", None, "a", "b")
    desk.relay._tell(note)
    assert desk.link.sent == [note]
    desk.link.closed = True
    desk.relay._tell(note)  # the worker will notice
