"""A worker's loop, told by a fake link what to run: what it says, in which order, and what stays set up."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock

import pytest

from pytest_procpar.core.protocol.common import Warned
from pytest_procpar.core.protocol.records import Record
from pytest_procpar.core.protocol.worker import Began, Done, Finished, Ready, Reported
from pytest_procpar.core.protocol.worker_status import Stage
from pytest_procpar.system.calls import monotonic
from pytest_procpar.worker import runner as worker_module
from pytest_procpar.worker.runner import ItemRunner

#: Between records: what follows is not there yet when a worker looks, only when it waits.
LATER = "later"
#: In the place of a record: the controller is gone.
GONE = EOFError("gone")
#: In the place of a record: a test has closed the descriptor.
CLOSED = OSError("closed")


class EndProcess(BaseException):
    """In the place of the process's end."""


class Node:
    """Something that is set up; the outermost one is the session."""

    def __init__(self, name: str, parent: Node | None) -> None:
        self.name, self.parent = name, parent

    def listchain(self) -> list[Node]:
        return [*([] if self.parent is None else self.parent.listchain()), self]


class Item(Node):
    def __init__(self, desk: Desk, number: int, module: Node) -> None:
        super().__init__(f"test_{number}", module)
        self.session, self.config, self.ihook = desk.session, desk.config, desk.config.hook
        self.nodeid = self.path = f"t.py::{self.name}"
        self.location = ("t.py", number, self.name)

    def iter_markers(self, name: str) -> list[pytest.Mark]:
        return []


class SetupState:
    """pytest's, as far as a worker sees it; says what is torn down."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.stack: dict[Node, object] = {}

    def setup(self, item: Item) -> None:
        for node in item.listchain():
            self.stack.setdefault(node, None)

    def teardown_exact(self, nextitem: Node | None) -> None:
        needed = [] if nextitem is None else nextitem.listchain()
        while self.stack and list(self.stack) != needed[: len(self.stack)]:
            node, _ = self.stack.popitem()
            self._desk.heard.append(f"teardown {node.name}")
            if node.name in self._desk.failing:
                raise ValueError(node.name)


class Link:
    """What the controller puts into the inbox, and where a worker speaks."""

    def __init__(self, desk: Desk, records: list[Any]) -> None:
        self._desk = desk
        self.records = records
        self.forked = False
        self.unsent: list[Any] = []
        self.lost: list[str] = []

    def put(self, message: Any) -> None:
        self.unsent.append(message)

    def flush(self) -> list[str]:
        self._desk.heard += self.unsent
        self.unsent.clear()
        lost, self.lost = self.lost, []
        return lost

    def peek(self, *, wait: bool = False) -> Record | None:
        if wait:
            self._wait()
        return self._first()

    def claim(self, *, wait: bool) -> Record | None:
        if wait:
            self._wait()
        record = self._first()
        if record is not None:
            self.records.pop(0)
        return record

    def _wait(self) -> None:
        assert not self.unsent, "it waits with something to say"
        assert not self.forked, "a child waits for what is the worker's"
        while self.records and self.records[0] is LATER:
            self.records.pop(0)

    def _first(self) -> Record | None:
        record = self.records[0] if self.records else GONE
        if isinstance(record, BaseException):
            raise record
        return None if record is LATER else cast("Record", record)


class Desk:
    """A worker without a process; ``heard`` is what it has said, entered and torn down, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *records: Any, tests: int = 4) -> None:
        for name in ("own_coverage", "note_coverage"):
            monkeypatch.setattr(worker_module, name, lambda: None)
        monkeypatch.setattr(worker_module, "end_process", self._end)
        self.link = Link(self, list(records))
        monkeypatch.setattr(worker_module, "pause", lambda seconds: self.link.records.pop(0))
        self.heard: list[Any] = []
        #: The nodes whose teardown fails.
        self.failing: set[str] = set()
        #: What a test does beside passing.
        self.act: Callable[[Item], object] = lambda item: None
        self.nextitems: list[str | None] = []
        self.config: Any = MagicMock()
        self.config.stash = pytest.Stash()
        self.config.pluginmanager.getplugin.return_value = None
        self.config.pluginmanager.is_blocked.return_value = False
        self.config.getini.return_value = []
        self.config.known_args_namespace.pythonwarnings = []
        hook = self.config.hook
        hook.pytest_report_to_serializable.side_effect = lambda config, report: {"when": report.when}
        hook.pytest_report_to_serializable.get_hookimpls.return_value = []
        hook.pytest_runtest_protocol.side_effect = self._protocol
        hook.pytest_runtest_makereport.side_effect = lambda item, call: self.report(item, call.when, "failed")
        self.session = cast("Any", SimpleNamespace(
            config=self.config, testsfailed=0, shouldfail=False, shouldstop=False,
            Failed=pytest.Session.Failed, Interrupted=pytest.Session.Interrupted,
        ))  # fmt: skip
        self.state = self.session._setupstate = SetupState(self)
        root = Node("session", None)
        modules = [Node("module_a", root), Node("module_b", root)]
        self.session.items = [Item(self, n, modules[n >= 2]) for n in range(tests)]
        self.session.listchain = root.listchain
        self.board = MagicMock(stopped=False)
        self.board.stop.side_effect = lambda: setattr(self.board, "stopped", True)
        self.slot = MagicMock(number=5)
        self.slot.enter.side_effect = lambda stage, test: self.heard.append((stage, test))
        self.worker = ItemRunner(self.session, cast("Any", self.link), self.board, self.slot)

    def _end(self, status: int) -> None:
        raise EndProcess(status)

    def _protocol(self, item: Item, nextitem: Item | None) -> None:
        self.nextitems.append(None if nextitem is None else nextitem.name)
        self.worker.pytest_runtest_setup()
        self.state.setup(item)
        self.say(item, "setup")
        self.worker.pytest_runtest_call()
        self.act(item)
        self.say(item, "call")
        self.worker.pytest_runtest_teardown()
        outcome = "passed"
        try:
            cast("Any", self.state).teardown_exact(nextitem)
        except ValueError:
            outcome = "failed"
        self.say(item, "teardown", outcome)
        self.worker.pytest_runtest_logfinish()

    def report(self, item: Item, when: Any, outcome: Any = "passed", **more: Any) -> pytest.TestReport:
        location, keywords = more.pop("location", item.location), more.pop("keywords", {item.name: 1})
        sections = more.pop("sections", [])
        return pytest.TestReport(
            item.nodeid, location, keywords, outcome, None, when, sections, 0.5, 1.0, 1.5, **more
        )

    def say(self, item: Item, when: str, outcome: str = "passed", **more: Any) -> None:
        self.worker.pytest_runtest_logreport(self.report(item, when, outcome, **more))

    def run(self) -> None:
        self.worker.loop()

    def names(self) -> list[str]:
        """What was said and torn down, in short."""
        return [_short(each) for each in self.heard if not isinstance(each, tuple)]

    def said(self, *kinds: type) -> list[Any]:
        return [each for each in self.heard if isinstance(each, kinds)]


def _short(heard: Any) -> str:
    if isinstance(heard, str):
        return heard
    if isinstance(heard, Reported):
        return f"Reported {heard.test} {heard.data['when']}"
    return " ".join([type(heard).__name__, *(str(heard.test) for _ in [0] if hasattr(heard, "test"))])


def test_tests_are_run_in_the_order_of_the_records_and_each_is_told_of_before_it_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(monkeypatch, 1, 0, "last", "finish")
    ran: list[tuple[str, Any]] = []
    desk.act = lambda item: ran.append((item.name, desk.heard[-3:]))
    desk.run()
    assert [name for name, _ in ran] == ["test_1", "test_0"]
    for (_, before), test in zip(ran, (1, 0), strict=True):
        began, *stages = before
        assert (type(began), began.test, began.location[2]) == (Began, test, f"test_{test}")
        assert stages == [(Stage.SETUP, test), (Stage.CALL, test)]
    assert isinstance(desk.heard[0], Ready)


def test_a_plain_pass_is_told_in_short_with_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, 0, "last", "finish")
    before = monotonic()
    desk.run()
    desk.link.flush()
    (finished,) = desk.said(Finished)
    assert finished.passes == (("test_0",), ((1.0, 1.5, 0.5),) * 3)
    assert before <= finished.began <= finished.ended <= monotonic()
    assert desk.said(Reported) == []
    desk.slot.passed.assert_called_once_with(0, ((1.0, 1.5, 0.5),) * 3)


@pytest.mark.parametrize(
    ("when", "more"),
    [
        ("call", {"outcome": "failed"}),
        ("call", {"outcome": "skipped"}),
        ("call", {"sections": [("Captured stdout call", "x")]}),
        ("setup", {"user_properties": [("a", 1)]}),
        ("teardown", {"of_a_plugin": 1}),
        ("call", {"location": ("elsewhere.py", 1, "test_0")}),
    ],
)
def test_a_report_that_says_more_than_passed_leaves_at_once_after_those_before_it(
    monkeypatch: pytest.MonkeyPatch, when: str, more: dict[str, Any]
) -> None:
    desk = Desk(monkeypatch)
    desk.link.records += [0, "last", "finish"]
    plain = desk.say

    def say(item: Item, phase: str, outcome: str = "passed") -> None:
        plain(item, phase, **({"outcome": outcome} | more if phase == when else {}))
        if phase == when:
            assert [report.data["when"] for report in desk.said(Reported)] == phases[: phases.index(when) + 1]

    phases = ["setup", "call", "teardown"]
    monkeypatch.setattr(desk, "say", say)
    desk.run()
    desk.link.flush()
    assert [report.data["when"] for report in desk.said(Reported)] == phases
    assert [finished.passes for finished in desk.said(Finished)] == [None]


def test_passes_that_are_not_three_leave_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, 0, "finish")

    def protocol(item: Item, nextitem: object) -> None:
        desk.say(item, "setup")
        desk.say(item, "call")
        desk.worker.pytest_runtest_logfinish()

    desk.config.hook.pytest_runtest_protocol.side_effect = protocol
    desk.run()
    desk.link.flush()
    assert desk.names()[1:] == ["Began 0", "Reported 0 setup", "Reported 0 call", "Finished 0"]
    desk.slot.passed.assert_called_once_with(0, None)


def test_passes_with_different_keywords_leave_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, 0, "finish")
    plain = desk.say
    monkeypatch.setattr(
        desk, "say", lambda item, when, outcome="passed": plain(item, when, outcome, keywords={when: 1})
    )
    desk.run()
    desk.link.flush()
    assert [report.data["when"] for report in desk.said(Reported)] == ["setup", "call", "teardown"]


def test_times_that_are_no_numbers_leave_in_whole_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, 0, "finish")
    desk.slot.passed.side_effect = [struct.error, None]
    desk.run()
    desk.link.flush()
    assert [report.data["when"] for report in desk.said(Reported)] == ["setup", "call", "teardown"]
    assert [finished.passes for finished in desk.said(Finished)] == [None]


def test_a_test_whose_protocol_never_says_that_it_is_over_is_over_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(monkeypatch, 0, "finish")
    desk.config.hook.pytest_runtest_protocol.side_effect = lambda item, nextitem: None
    desk.run()
    desk.slot.passed.assert_called_once_with(0, None)


def test_what_the_next_test_needs_stays_set_up_and_what_it_does_not_goes_with_the_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(monkeypatch, 0, 1, 2, "last", "finish")
    desk.run()
    assert [name for name in desk.names() if name.startswith("teardown")] == [
        "teardown test_0",
        "teardown test_1",
        "teardown module_a",
        "teardown test_2",
        "teardown module_b",
        "teardown session",
    ]
    assert desk.nextitems == ["test_1", "test_2", None]


def test_a_test_that_comes_while_one_runs_keeps_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, 0, "hold", "last", "finish")

    def act(item: Item) -> None:
        if item.name == "test_0":
            desk.link.records[0] = 1

    desk.act = act
    desk.run()
    names = desk.names()
    assert names.index("teardown test_0") < names.index("Began 1") < names.index("teardown module_a")


def test_on_hold_only_what_belongs_to_the_session_stays_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, 0, "hold", LATER, 2, "hold", LATER, "last", "finish")
    desk.run()
    assert desk.names()[1:] == [
        "Began 0", "teardown test_0", "teardown module_a", "Finished 0",
        "Began 2", "teardown test_2", "teardown module_b", "Finished 2", "teardown session",
    ]  # fmt: skip
    assert desk.heard[-3:] == [(Stage.LATE_TEARDOWN, 2), "teardown session", (Stage.BETWEEN, 2)]


def test_a_next_test_that_is_taken_back_leaves_what_it_had_kept_to_a_late_teardown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(monkeypatch, 0, 1, "finish")
    desk.failing = {"module_a"}
    taken = iter([True])

    def next_is_taken(heard: Any) -> None:
        if isinstance(heard, Finished) and next(taken, False):
            desk.link.records[:] = [3, "last", "finish"]

    put = desk.link.put

    def put_and_see(message: Any) -> None:
        put(message)
        next_is_taken(message)

    monkeypatch.setattr(desk.link, "put", put_and_see)
    desk.run()
    names = desk.names()
    assert names[: names.index("Began 3") + 1] == [
        "Ready", "Began 0", "teardown test_0", "Finished 0", "teardown module_a",
        "Reported 0 teardown", "Began 3",
    ]  # fmt: skip


def test_the_same_test_again_is_set_up_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, 0, 4, "last", "finish")  # --dist each: two indices, one item
    desk.run()
    assert [message.test for message in desk.said(Began)] == [0, 4]


def test_a_failure_is_counted_on_the_board(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, 0, 1, "last", "finish")
    desk.act = lambda item: setattr(desk.session, "testsfailed", 1)
    desk.run()
    desk.board.failed.assert_called_once_with(5, 1)


@pytest.mark.parametrize(
    ("flag", "raised"), [("shouldfail", pytest.Session.Failed), ("shouldstop", pytest.Session.Interrupted)]
)
def test_a_test_that_stops_the_session_stops_all_and_keeps_nothing_set_up(
    monkeypatch: pytest.MonkeyPatch, flag: str, raised: type[Exception]
) -> None:
    desk = Desk(monkeypatch, 0, "hold", 1, LATER, "finish")
    desk.act = lambda item: setattr(desk.session, flag, "enough")
    with pytest.raises(raised, match="enough"):
        desk.run()
    assert desk.board.stopped
    desk.worker.wait_for_finish()
    assert desk.names()[-2:] == ["teardown session", "Finished 0"]
    assert desk.heard[-1] == (Stage.ENDING, 0)
    assert desk.link.records == ["finish"]


def test_what_the_protocol_raises_stops_all_at_once_and_the_test_has_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(monkeypatch, 0, 1, "finish")

    def interrupted(item: Item) -> None:
        raise KeyboardInterrupt

    desk.act = interrupted
    with pytest.raises(KeyboardInterrupt):
        desk.run()
    assert desk.board.stopped
    desk.worker.wait_for_finish()
    assert [message.test for message in desk.said(Began, Finished)] == [0, 0]


def test_a_plugin_that_tears_down_for_another_test_has_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, 0, 1, "finish")
    once = desk._protocol
    desk.config.hook.pytest_runtest_protocol.side_effect = lambda item, nextitem: (
        once(item, nextitem),
        cast("Any", desk.state).teardown_exact(None),
    )
    desk.run()
    assert desk.names()[: desk.names().index("Began 1")] == [
        "Ready", "Began 0", "teardown test_0", "teardown module_a", "teardown session", "Finished 0",
    ]  # fmt: skip


def test_what_pytest_was_told_comes_next_is_what_is_kept_for_though_it_is_taken_back_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(monkeypatch, 0, 1, "finish")

    def take_back(item: Item) -> None:
        if item.name == "test_0":
            desk.link.records[:] = [2, "finish"]

    desk.act = take_back
    desk.run()
    names = desk.names()
    assert names.index("Finished 0") < names.index("teardown module_a") < names.index("Began 2")


def test_a_test_that_was_claimed_before_all_was_stopped_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, 0, 1, LATER, "finish")
    claim = desk.link.claim

    def claimed(*, wait: bool) -> Record | None:
        desk.board.stop()
        return claim(wait=wait)

    monkeypatch.setattr(desk.link, "claim", claimed)
    desk.run()
    assert [message.test for message in desk.said(Began)] == [0]


def test_a_regular_end_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, 0, "finish")
    desk.run()
    desk.worker.wait_for_finish()
    assert not desk.board.stopped


def test_a_worker_that_others_have_stopped_begins_nothing_more_and_waits_for_the_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(monkeypatch, 0, 1, "hold", LATER, "finish")
    desk.act = lambda item: desk.board.stop()
    desk.run()
    assert [message.test for message in desk.said(Began)] == [0]
    assert desk.names()[-1] == "teardown session"
    desk.worker.wait_for_finish()  # it waits no second time
    assert desk.link.records == ["finish"]


def test_without_a_controller_the_worker_ends_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, 0)
    desk.run()
    assert desk.names()[-1] == "teardown session"
    desk.slot.note.assert_called_once_with("its connection to the controller is closed")


def test_a_worker_whose_connection_a_test_has_closed_says_so_on_the_board_and_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(monkeypatch, CLOSED)
    with pytest.raises(EndProcess) as ended:
        desk.run()
    assert ended.value.args == (1,)
    desk.slot.note.assert_called_once_with("a test has closed the connection to the controller: closed")


@pytest.mark.parametrize("failed", [0, 1])
def test_a_child_that_a_test_has_forked_says_nothing_and_ends_with_the_tests_outcome(
    monkeypatch: pytest.MonkeyPatch, failed: int
) -> None:
    desk = Desk(monkeypatch, 0, "hold")

    def fork(item: Item) -> None:
        desk.link.forked = True
        desk.link.records[:] = [LATER, 1]
        desk.session.testsfailed += failed

    desk.act = fork
    with pytest.raises(EndProcess) as ended:
        desk.run()
    assert ended.value.args == (failed,)
    assert desk.said(Finished) == []
    desk.slot.passed.assert_not_called()


def test_warnings_of_a_test_follow_its_end_and_others_leave_with_the_next_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(monkeypatch, 0, "finish")
    message = warnings.WarningMessage(UserWarning("w"), UserWarning, "f", 1)

    def warn(when: str) -> None:
        desk.worker.pytest_warning_recorded(message, when, "", None)

    def act(item: Item) -> None:
        warn("runtest")
        warn("collect")

    desk.act = act
    desk.run()
    desk.link.flush()
    assert desk.names()[-2:] == ["Finished 0", "Warned"]
    warn("runtest")
    assert [type(message) for message in desk.link.unsent] == [Warned]


def test_a_value_that_was_lost_is_told_once_with_the_test_that_reports_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(monkeypatch, 0, "finish")
    desk.act = lambda item: desk.link.lost.extend(["a value of type X", "a value of type X"])
    desk.failing = {"test_0"}  # a plain pass has no values
    desk.run()
    (told,) = desk.config.hook.pytest_warning_recorded.call_historic.call_args_list
    assert told.kwargs["kwargs"]["nodeid"] == "t.py::test_0"
    assert str(told.kwargs["kwargs"]["warning_message"].message).startswith(
        "a value of type X in what t.py::test_0 reports cannot be carried"
    )


def test_output_that_cannot_be_carried_is_told_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, "finish")
    desk.run()
    desk.worker.done({"here": object()})
    (told,) = desk.config.hook.pytest_warning_recorded.call_historic.call_args_list
    text = str(told.kwargs["kwargs"]["warning_message"].message)
    assert text.startswith("a value of type object ('here') in config.workeroutput cannot be carried")
    assert isinstance(desk.heard[-1], Done)


def test_a_test_that_a_plugin_repeats_is_in_its_setup_again(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, 0, "finish")
    once = desk._protocol

    def twice(item: Item, nextitem: Item) -> None:
        once(item, nextitem)
        once(item, nextitem)

    desk.config.hook.pytest_runtest_protocol.side_effect = twice
    desk.run()
    stages = [each[0] for each in desk.heard if isinstance(each, tuple)]
    assert stages == [Stage.SETUP, Stage.CALL, Stage.TEARDOWN] * 2
