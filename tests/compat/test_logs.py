"""Records of the live log on their way to the process that has the terminal."""

from __future__ import annotations

import logging
import threading
from typing import Any
from unittest.mock import MagicMock

import pytest
from _pytest.logging import _LiveLoggingStreamHandler

from pytest_procpar.compat.pytest_private.logs import LiveLog, _Attribution, _Handler
from pytest_procpar.core.protocol.common import Logged


class Sender:
    """A worker's handler of the live log; ``sent`` is what the controller was told."""

    def __init__(self) -> None:
        self.sent: list[Logged] = []
        self.handler = _Handler(self.sent.append)
        self.handler.setFormatter(logging.Formatter("%(message)s"))
        self.handler.set_when("call")
        self.attribution = _Attribution(self.handler)

    def log(self, message: object, *args: object, **more: Any) -> None:
        record = logging.LogRecord(
            "mine", logging.WARNING, "t.py", 3, message, args, more.pop("exc_info", None)
        )
        vars(record).update(more)
        self.handler.handle(record)

    def messages(self) -> list[str]:
        return [str(logged.data["msg"]) for logged in self.sent]


def test_a_record_leaves_at_once_with_the_test_and_the_phase_that_it_is_of() -> None:
    sender = Sender()
    sender.attribution.pytest_runtest_logstart("t.py::a")
    sender.log("%s of %s", 1, 2)
    (logged,) = sender.sent
    assert (logged.nodeid, logged.when, logged.data["msg"], logged.data["args"]) == (
        "t.py::a", "call", "1 of 2", None,
    )  # fmt: skip


def test_what_a_record_has_arrives_in_builtin_types() -> None:
    class Text(str):
        pass

    sender = Sender()
    sender.log("x", whom=Text("me"), what=[1], count=3)
    data = sender.sent[0].data
    assert (type(data["whom"]), data["what"], data["count"]) == (str, "[1]", 3)


def test_a_traceback_arrives_as_its_text() -> None:
    sender = Sender()
    try:
        raise ValueError("no")
    except ValueError as error:
        sender.log("x", exc_info=(type(error), error, error.__traceback__))
    data = sender.sent[0].data
    assert str(data["exc_text"]).endswith("ValueError: no")
    assert data["exc_info"] is None


def test_a_record_that_cannot_be_made_a_text_is_left_out_and_nothing_is_raised() -> None:
    sender = Sender()
    sender.log("%d", "x")
    sender.log("y")
    assert sender.messages() == ["y"]


@pytest.mark.parametrize(
    "end", ["pytest_runtest_logreport", "pytest_runtest_logfinish", "pytest_collection_finish"]
)
def test_what_another_thread_logs_leaves_with_the_main_threads_next_record_or_with_the_phase(
    end: str,
) -> None:
    sender = Sender()
    for text in ("one", "two"):
        thread = threading.Thread(target=sender.log, args=(text,))
        thread.start()
        thread.join()
    assert sender.sent == []
    sender.log("three")
    assert sender.messages() == ["one", "two", "three"]
    thread = threading.Thread(target=sender.log, args=("four",))
    thread.start()
    thread.join()
    getattr(sender.attribution, end)()
    assert sender.messages()[-1] == "four"


def test_after_the_last_test_records_are_of_none() -> None:
    sender = Sender()
    sender.attribution.pytest_runtest_logstart("t.py::a")
    sender.attribution.pytest_sessionfinish()
    sender.log("x")
    assert sender.sent[0].nodeid is None


# --- where the terminal is ---


class Screen:
    """A live log; ``shown`` are headings and lines in their order."""

    def __init__(self, handler: bool = True) -> None:
        self.shown: list[str] = []
        reporter: Any = MagicMock()
        reporter.section.side_effect = lambda title, **_look: self.shown.append(f"[{title}]")
        reporter.write.side_effect = self.shown.append
        config: Any = MagicMock()
        plugin = config.pluginmanager.getplugin.return_value
        plugin.log_cli_handler = (
            _LiveLoggingStreamHandler(reporter, None) if handler else logging.NullHandler()
        )
        plugin.log_cli_handler.setFormatter(logging.Formatter("%(who)s: %(message)s"))
        self.live = LiveLog(config)

    def show(self, text: str, nodeid: str | None, when: str | None, worker: str | None, **more: Any) -> None:
        self.live.show(Logged(nodeid, when, {"msg": text, "args": None, "who": "me"} | more), worker)


def test_records_stand_below_a_heading_that_is_written_anew_when_something_came_between() -> None:
    screen = Screen()
    screen.show("1", "t::a", "call", "gw0")
    screen.show("2", "t::a", "call", "gw0")
    screen.show("3", "t::a", "call", "gw1")
    screen.live.interrupted = True
    screen.show("4", "t::a", "call", "gw1")
    screen.show("5", None, "collection", None)
    screen.show("6", None, None, "gw0")
    assert [line.strip() for line in screen.shown] == [
        "[live log call: [gw0] t::a]", "me: 1", "me: 2", "[live log call: [gw1] t::a]", "me: 3",
        "[live log call: [gw1] t::a]", "me: 4", "[live log collection]", "me: 5", "[live log [gw0]]", "me: 6",
    ]  # fmt: skip


def test_a_record_that_the_format_does_not_fit_is_left_out_with_its_heading() -> None:
    screen = Screen()
    screen.live.show(Logged(None, None, {"msg": "x", "args": None}), "gw0")
    assert screen.shown == []


def test_without_a_live_log_nothing_is_shown() -> None:
    screen = Screen(handler=False)
    screen.show("1", None, None, None)
    assert screen.shown == []
