"""Runs pytest in fresh processes, as a user would, and reads how tests ended there (see `fresh.rerun`)."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import cast

from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.model import ReportData
from pytest_procpar.core.protocol.wire import Decoder, loads
from pytest_procpar.core.record import record
from pytest_procpar.fresh.warden import Warden
from pytest_procpar.system.calls import monotonic
from pytest_procpar.system.oom import OutOfMemory

__all__ = ["Command", "FreshRun", "NotSeen", "run_fresh", "start"]

_PREFIXES = ("PYTEST_XDIST_", "COVERAGE_", "COV_CORE_")
#: The last one names the pipe through which VS Code hears about tests.
_NAMES = ("PYTEST_CURRENT_TEST", "PYTEST_VERSION", "TEST_RUN_PIPE")
_POLL_SECONDS = 0.05
#: How long a run may take to exit after it has reported its results, in seconds.
_EXIT_SECONDS = 2.0
#: How many bytes at the end of standard error are read, and how many characters of a line are kept.
_TAIL = 1 << 16
_TROUBLE = 300


@record
class Command:
    """What to run: a program that writes its lines to `report` (see `fresh.rerun`).

    A test that takes longer than `limit` seconds hangs (0: none does). Commands that run at the same time
    have different places, numbered from 0; `environ` returns the environment variables for a place.

    If the program was ``started`` already, that is its number, and its place is 0. It waits for ``order``: a
    fifo, and what to write there.
    """

    words: Sequence[str]
    report: Path
    limit: float = 0.0
    environ: Callable[[int], Mapping[str, str]] = lambda place: {}
    started: int | None = None
    order: tuple[Path, bytes] | None = None


@record
class FreshRun:
    """How the tests of a fresh run ended: nodeid and outcome of each, in the order in which they began.

    ``trouble`` says what kept other tests from running; empty if nothing did. ``reports`` are the reports of
    each test that came to its end, as pytest serializes them, if they were asked for. ``likely`` is, by
    nodeid, the inherited object that a test touches.
    """

    tests: tuple[tuple[str, Outcome], ...] = ()
    trouble: str = ""
    reports: tuple[list[ReportData], ...] = ()
    likely: Mapping[str, str] = MappingProxyType({})


@record
class NotSeen:
    """A fresh run without a result; ``why`` is empty if it was ended, or never begun, on purpose."""

    why: str = ""


def start(warden: Warden, command: Command, folder: Path, place: int) -> int:
    """Start the program of a command in `folder`; return its number.

    :raises OSError: if its files cannot be written.
    """
    environ = {**_environment(), **command.environ(place)}
    return warden.start(command.words, folder, environ, _errors(command))


def run_fresh(
    warden: Warden,
    commands: Sequence[Command],
    folder: Path,
    concurrency: int,
    deadline: float,
    ended: Callable[[], bool],
    *,
    gate: Path | None = None,
) -> list[FreshRun | NotSeen]:
    """Run commands in `folder`, `concurrency` of them at a time.

    Whatever still runs at `deadline` (on the clock of `monotonic`), or when `ended` returns True, is ended.

    :param gate: a fifo, if all commands are to begin their tests at the same time: each says that it is ready
        and opens the fifo for reading, which returns when all are ready.
    :raises OSError: if a command's files cannot be written.
    """
    memory = OutOfMemory()
    waiting = sorted(enumerate(commands), key=lambda each: each[1].started is None)
    running: dict[int, _Run] = {}
    results: list[FreshRun | NotSeen] = [NotSeen()] * len(commands)
    opened = None
    while (waiting or running) and not ended() and monotonic() < deadline:
        while waiting and len(running) < concurrency:
            at, command = waiting.pop(0)
            place = min(set(range(concurrency)) - {run.place for run in running.values()})
            number = start(warden, command, folder, place) if command.started is None else command.started
            running[number] = _Run(command, at, place)
        for run in running.values():
            run.give_order()
        for number, how in warden.hear(_POLL_SECONDS):
            run = running.pop(number)
            results[run.at] = run.result(how, memory)
        over = [number for number, run in running.items() if run.over]
        warden.end(over)
        for number in over:
            run = running.pop(number)
            results[run.at] = run.result(None, memory)
        if gate is not None and opened is None and all(run.ready for run in running.values()):
            with suppress(OSError):  # the last one is about to open it
                opened = os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
    if opened is not None:
        os.close(opened)
    warden.end(list(running))
    warden.sweep()
    return results


class _Run:
    """A run in progress, and what it has reported so far.

    :param at: the number of its command.
    :param place: its place among those that run at the same time.
    """

    def __init__(self, command: Command, at: int, place: int) -> None:
        self.at = at
        self.place = place
        #: Whether it waits for the others.
        self.ready = False
        self._command = command
        self._read = 0
        self._tests: list[tuple[str, Outcome]] = []
        self._reports: list[list[ReportData]] = []
        self._likely: dict[str, str] = {}
        #: The running test, and when its start was read.
        self._running: str | None = None
        self._since = 0.0
        self._trouble = ""
        self._told_at: float | None = None
        self._order = command.order

    def give_order(self) -> None:
        """Give the program the order that it waits for, as soon as it does so."""
        if self._order is None:
            return
        path, data = self._order
        try:
            fifo = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # it is about to open it
            return
        self._order = None
        os.set_blocking(fifo, True)
        with suppress(BrokenPipeError), open(fifo, "wb") as stream:
            stream.write(data)

    @property
    def over(self) -> bool:
        """Whether a test hangs, or the process has reported all but does not end: it may have a thread."""
        self._listen()
        if self._told_at is not None:
            return monotonic() - self._told_at > _EXIT_SECONDS
        return self._hangs

    @property
    def _hangs(self) -> bool:
        limit = self._command.limit
        return bool(limit) and self._running is not None and monotonic() - self._since > limit

    def result(self, how: int | str | None, memory: OutOfMemory) -> FreshRun | NotSeen:
        """How its tests ended, once the process has ended: a test that was still running has crashed or hung.

        :param how: its exit code (negative: a signal), or why it never ran; None if it was ended.
        """
        hangs = self._hangs
        self._listen()
        if self._told_at is None and how is not None:
            which = memory.seen() if how == -signal.SIGKILL else ""
            if which:
                return NotSeen(f"the kernel has killed it: {which} was exhausted")
            if isinstance(how, str):
                return NotSeen(f"it could not be run: {how}")
            if self._running is None and not self._trouble:
                by = f"with exit status {how}" if how >= 0 else f"by signal {-how}"
                self._trouble = f"it ended {by}{self._last_words()}"
        if self._told_at is None and self._running is not None and not self._trouble:
            self._tests.append((self._running, Outcome.HUNG if hangs else Outcome.CRASHED))
        if not self._tests and self._trouble:
            return NotSeen(self._trouble)
        return FreshRun(tuple(self._tests), self._trouble, tuple(self._reports), self._likely)

    def _listen(self) -> None:
        with suppress(OSError), self._command.report.open("rb") as file:
            file.seek(self._read)
            *lines, _ = file.read().split(b"\n")
            for line in lines:
                self._read += len(line) + 1
                with suppress(ValueError, TypeError):
                    self._heed(*json.loads(line))

    def _heed(self, kind: str, text: str = "", word: str = "") -> None:
        if kind == "began":
            self._running, self._since = text, monotonic()
        elif kind == "ended":
            self._tests.append((text, Outcome(word)))
            self._running = None
        elif kind == "reported":
            (body,) = Decoder().feed(base64.b64decode(word))
            self._reports.append(cast("list[ReportData]", loads(body)))
        elif kind == "likely":
            self._likely[text] = word
        elif kind == "trouble":
            self._trouble = self._trouble or text
        elif kind == "ready":
            self.ready = True
        elif kind == "told":
            self._told_at = monotonic()

    def _last_words(self) -> str:
        """The last line with an error on its standard error, where pytest says why it cannot begin."""
        with suppress(OSError), _errors(self._command).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            lines = [
                line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()
            ]
            told = [line for line in lines if line.startswith(("ERROR", "Error", "E  "))] or lines
            return f": {told[-1][:_TROUBLE]}" if told else ""
        return ""


def _errors(command: Command) -> Path:
    return command.report.with_suffix(".stderr")


def _environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_PREFIXES) and name not in _NAMES
    }
