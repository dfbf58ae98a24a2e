"""The isolating runner: a worker that runs no test itself, but forks a process for each, or for several.

To the controller it is one worker. The child at work speaks for it, over the same connection and with the
same slot and black box, while the isolating runner waits. The process that claims a test makes sure that it
runs. When a child dies, the isolating runner dies the same way, so that everything that is known and done
about a worker's death applies to a child's, too.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NoReturn

import pytest

from pytest_procpar.compat.foreign_options import tell_internal_error
from pytest_procpar.compat.pytest_private.items import watch_teardown
from pytest_procpar.compat.pytest_private.output import captured_kept
from pytest_procpar.compat.pytest_private.session import shared_basetemp, tear_down_all
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.protocol.records import Record
from pytest_procpar.core.protocol.worker import Ready, Starved
from pytest_procpar.core.protocol.worker_status import Stage
from pytest_procpar.coverage_data.measuring import ONE_TEST, SEVERAL_TESTS, own_coverage, save_coverage
from pytest_procpar.forking import file_positions
from pytest_procpar.forking.child_runner import Child, ChildResult, ChildRunner, die_of
from pytest_procpar.forking.children import SessionOver
from pytest_procpar.forking.fork import run_exit_handlers
from pytest_procpar.ipc.board import Board, BoardSlot
from pytest_procpar.ipc.inbox import WorkerLink
from pytest_procpar.role import Role, take_role
from pytest_procpar.start_method.thread_warning import tell_of_threads, thread_warning
from pytest_procpar.system.calls import end_process, getpid, make_pipe, monotonic, pause
from pytest_procpar.system.genuine import read, write
from pytest_procpar.system.shortage import in_words, is_shortage
from pytest_procpar.worker.runner import ItemRunner
from pytest_procpar.worker.session_reporter import SessionReporter

__all__ = ["IsolatingRunner"]

#: A test's index, or `_GO_ON` or `_STOP`; and the number of failures so far.
_NOTE = struct.Struct("<ii")
_GO_ON = 0
_STOP = 1
#: How long to wait before asking the system again for a process, in seconds.
_PAUSE = 0.02


def patience(slot: int) -> float:
    """How long the worker in this slot waits for the system to grant it another process, in seconds.

    The worker in the first slot waits longest: if all wait, some must end so that others get their processes.
    """
    return 10.0 if slot <= 1 else max(0.5, 3.0 - slot / 2)


class IsolatingRunner(ItemRunner):
    """The isolating runner and, in the processes that it forks, what runs their tests.

    Tests that need no process of their own run in a shared child.

    :param alone: the tests that get a process of their own; the others run in the shared child.
    :param limit: after how many tests the shared child is renewed; None: never.
    :param vouched: what the project says is safe to fork.
    """

    def __init__(
        self,
        session: pytest.Session,
        link: WorkerLink,
        board: Board,
        slot: BoardSlot,
        reporter: SessionReporter,
        stacks: int,
        alone: frozenset[int],
        limit: int | None,
        vouched: tuple[str, ...] = (),
    ) -> None:
        super().__init__(session, link, board, slot)
        take_role(session.config, Role.ISOLATING_RUNNER)
        self._reporter = reporter
        self._alone = alone
        self._limit = limit
        self._vouched = vouched
        self._child_runner = ChildRunner(self._adopt, stacks)
        self._pid = getpid()
        #: Whether this process ends with the running test.
        self._is_last = False
        #: A pipe between isolating runner and shared child, if there are tests that the latter must not run.
        self._asked: int | None = None
        if 0 < len(alone) < len(session.items):
            self._asked, asking = make_pipe()
            answered, answering = make_pipe()
            # Bound here, before a test can patch them.
            self._ask, self._await_answer = partial(write, asking), partial(read, answered, _NOTE.size)
            self._hear, self._answer = partial(read, self._asked, _NOTE.size), partial(write, answering)

    # --- the isolating runner ---

    def loop(self) -> None:
        """Have tests run until the controller says that there will be no more; raise what has ended them."""
        watch_teardown(self._session, self._decide_kept)
        shared_basetemp(self._config)  # the first process to ask for it empties it
        own_coverage()  # coverage may have begun after the fork
        tell_of_threads(self._config, thread_warning(self._vouched))
        self._awaits_finish = True
        file_positions.note()  # it runs no test, so it will open no other files
        self._link.put(Ready(getpid()))
        with self._child_runner.passing_on_signals():
            while (record := self._next_record()) != "finish":
                if isinstance(record, int) and self._have_run(TestIndex(record)).finish:
                    break
        self._awaits_finish = False

    def _have_run(self, test: TestIndex) -> ChildResult:
        self._locations.of(self._item(test))  # all children then share what it finds in the test's file
        self._flush()
        if self._needs_own(test):
            word, status = self._run_child(test)
        else:
            word, status = self._attend(self._fork(lambda: self._work(self._run_several, test)))
        return self._settle(word, status)

    def _run_child(self, test: TestIndex, beside: Child | None = None) -> tuple[ChildResult | None, int]:
        return self._child_runner.wait(self._fork(lambda: self._work(self._run_last, test), beside))

    def _fork(self, work: Callable[[], ChildResult], beside: Child | None = None) -> Child:
        """Fork a child as soon as the system grants it; if it does not, end this worker.

        Waiting helps because other processes may end. If this worker ends, others run the tests that it has
        claimed.

        :param beside: the shared child, if one is waiting: it ends first.
        """
        deadline = None
        while True:
            try:
                return self._child_runner.fork(work)
            except OSError as error:
                if deadline is None:
                    deadline = monotonic() + patience(self._slot.number)
                    self._slot.enter(Stage.PREPARING, self._current)
                if not is_shortage(error) or monotonic() >= deadline:
                    self._starve(in_words(error), beside)
            pause(_PAUSE)

    def _starve(self, reason: str, beside: Child | None) -> NoReturn:
        self._link.put(Starved(f"there was no process for a test that needs its own: {reason}"))
        self._flush()
        if beside is not None:
            self._dismiss(beside)
        end_process(0)

    def _settle(self, word: ChildResult | None, status: int) -> ChildResult:
        """Take over the result of a child."""
        if word is None:
            die_of(status)
        self._take_over(word)
        if word.status is not None:
            raise SessionOver(word.status, word.interrupted)
        return word

    def _take_over(self, word: ChildResult) -> None:
        session = self._session
        self._current = TestIndex(word.latest)
        self._failures = session.testsfailed = word.failed
        session.shouldfail, session.shouldstop = word.shouldfail, word.shouldstop

    def _needs_own(self, test: int) -> bool:
        return test % len(self._session.items) in self._alone

    def _attend(self, runner: Child) -> tuple[ChildResult | None, int]:
        """Wait for the shared child's end, and run in the meantime what it must not run."""
        asked = self._asked
        while asked is not None and self._child_runner.wait_or_read(runner, asked):
            test, failed = _NOTE.unpack(self._hear())
            self._session.testsfailed = self._failures = failed
            word, status = self._run_child(TestIndex(test), runner)
            if word is None:
                self._dismiss(runner)
                die_of(status)
            self._take_over(word)
            if word.status is not None:
                self._dismiss(runner)
                raise SessionOver(word.status, word.interrupted)
            self._answer(_NOTE.pack(_GO_ON, word.failed))
        return self._child_runner.wait(runner)

    def _dismiss(self, runner: Child) -> None:
        """Let the shared child tear down and end, with no trace in what is known of the test that died."""
        noted = self._slot.copy()
        with captured_kept(self._config):
            with suppress(OSError):
                self._answer(_NOTE.pack(_STOP, 0))
            self._child_runner.wait(runner)
        self._slot.restore(noted)

    # --- its children ---

    def _adopt(self) -> None:
        take_role(self._config, Role.TEST_PROCESS)
        self._link.belong_to_this_process()
        self._slot.belong_to_this_process()
        self._prepare()

    def _prepare(self) -> None:
        """Tell plugins and checks about a new process, before it runs anything."""
        self._slot.enter(Stage.PREPARING, self._current)
        self._config.hook.pytest_procpar_worker_forked(config=self._config, session=self._session)

    def _work(self, run: Callable[[TestIndex], bool], test: TestIndex) -> ChildResult:
        """Run tests, tear everything down, and return the result."""
        session, status, interrupted, finish = self._session, None, False, False
        own_coverage(self._pid, ONE_TEST if run == self._run_last else SEVERAL_TESTS)
        try:
            finish = run(test)
        except BaseException as error:
            interrupted = isinstance(error, (KeyboardInterrupt, pytest.exit.Exception))
            status = self._reporter.ended_by(session, error)
            self._end_teardown()
        save_coverage()
        run_exit_handlers()
        self._flush()  # not before: what an exit handler does still counts for the test
        wishes = session.shouldfail, session.shouldstop
        return ChildResult(status, interrupted, self._current, session.testsfailed, *wishes, finish)

    def _end_teardown(self) -> None:
        try:
            tear_down_all(self._session)
        except BaseException:
            tell_internal_error(self._config)

    def _run_last(self, test: TestIndex) -> bool:
        self._is_last = True
        self._run_one(test)
        return False

    def _run_several(self, test: TestIndex) -> bool:
        """Run this test and those that follow; return whether the controller has said there are no more."""
        left = self._limit
        record: Record = test
        while record != "finish":
            if record == "last":
                self._tear_down_late(None)
            elif isinstance(record, int) and self._needs_own(record):
                if not self._pass_on(record):
                    break
            elif isinstance(record, int):
                self._is_last = left == 1
                self._run_one(TestIndex(record))
                if self._is_last:
                    return False
                left = None if left is None else left - 1
            record = self._next_record()
        self._tear_down_late(None)
        return record == "finish"

    def _pass_on(self, test: int) -> bool:
        """Have the isolating runner run a test, and wait; return whether to go on afterwards."""
        self._flush()
        self._ask(_NOTE.pack(test, self._session.testsfailed))
        answer = self._await_answer()
        if len(answer) != _NOTE.size:
            return False
        what, failed = _NOTE.unpack(answer)
        if what == _GO_ON:
            self._session.testsfailed = self._failures = failed
        return bool(what == _GO_ON)

    # --- what stays set up ---

    def _look_ahead(self) -> Record | None:
        return None if self._is_last else super()._look_ahead()

    def _await_hint(self) -> Record:
        return "last" if self._is_last else super()._await_hint()

    def _decide_kept(self, nextitem: pytest.Item | None) -> pytest.Item | pytest.Session | None:
        return nextitem if self._is_last else super()._decide_kept(nextitem)
