"""A throw-away process: runs tests in the order it is told, and can be forked at any point of it.

The first one, the root of a checkpoint tree, is forked from the collected suite; every other one is forked
from another of the tree. One that is left waiting is a checkpoint: the state after the tests that it has run,
to be forked again and again. Orders come over a stream of its own; when that is closed, it ends. Nothing that
it does is reported as a result of the run, and no session is finished here.
"""

from __future__ import annotations

import os
import random
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import pytest

from pytest_procpar.compat.pytest_private.items import (
    alive_nodes,
    holds_resources,
    late_teardown,
    refresh,
    watch_teardown,
)
from pytest_procpar.compat.pytest_reports.unseen import leave_out_tracebacks
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.protocol.common import Broke
from pytest_procpar.core.protocol.probe import (
    Changed,
    Compare,
    ForkChild,
    Perform,
    Performed,
    ProbeExited,
    ProbeReady,
    Rested,
    Restore,
    WaitChild,
    Watch,
)
from pytest_procpar.coverage_data.measuring import forget_coverage
from pytest_procpar.forking import file_positions
from pytest_procpar.forking.fork import default_signals, fork, let_setsid_work, let_setsid_work_again
from pytest_procpar.ipc.link import Link
from pytest_procpar.system.calls import adopt_socket, end_process, getpid
from pytest_procpar.system.genuine import close, waitpid
from pytest_procpar.system.shortage import in_words
from pytest_procpar.worker.output import RealStdout

if TYPE_CHECKING:
    from pytest_procpar.state.snapshot import StateSnapshot

__all__ = ["ProbeProcess"]

# Tests replace these, and forget to put them back.
_close, _setpgid, _waitpid = close, os.setpgid, waitpid
_get_random_state, _set_random_state = random.getstate, random.setstate

#: How much of a failure's message is reported, in characters.
_MESSAGE = 500

#: How many changes of the state are reported at most.
_SLOTS = 200


class ProbeProcess:
    """The plugin of one throw-away process, and its loop: `serve` never returns."""

    def __init__(self, session: pytest.Session, link: Link) -> None:
        self._session = session
        self._link = link
        self._stdout = RealStdout()
        #: The state to compare with, once a snapshot was requested.
        self._snapshot: StateSnapshot | None = None
        self._latest: pytest.Item | None = None
        self._born_alive = False
        self._words: set[Outcome] = set()
        self._message = ""
        #: What stays alive at the end of the running test.
        self._keep: pytest.Item | pytest.Session | None = None

    def serve(self) -> NoReturn:
        """Carry out orders until the stream is closed."""
        status = 1
        try:
            watch_teardown(self._session, self._decide_kept)
            leave_out_tracebacks(self._session.config)
            forget_coverage()
            default_signals()
            let_setsid_work()
            self._begin()
            while self._obey():
                pass
            status = 0
        finally:
            end_process(status)

    def _begin(self) -> None:
        """Make this a process with a group of its own, which ends with it, and report its pid."""
        _setpgid(0, 0)
        self._born_alive = bool(alive_nodes(self._session))
        self._link.put(ProbeReady(getpid()))
        self._link.flush()

    def _obey(self) -> bool:
        messages, is_open = self._link.receive()
        for message in messages:
            match message:
                case ForkChild():
                    self._fork_child()
                case Perform(tests, then):
                    self._perform(tests, then)
                case WaitChild(pid):
                    self._reap(pid)
                case Watch():
                    self._watch()
                case Compare(imports):
                    self._compare(imports=imports)
                case Restore(slots):
                    assert self._snapshot is not None
                    self._snapshot.restore(slots)
                case _:
                    raise AssertionError(f"not for a probe: {message!r}")
        self._link.flush()
        return is_open

    # --- the tree ---

    def _fork_child(self) -> None:
        fds = self._link.take_fds(1)
        if not fds:
            return  # no descriptor is left for it: the controller sees the stream closed
        (stream,) = fds
        # Python reseeds after a fork, but what tests have left is state like any other.
        numbers = None if self._latest is None else _get_random_state()
        file_positions.note()
        try:
            pid = fork()
        except OSError as error:
            self._tell_instead(stream, f"a process could not be forked: {in_words(error)}")
            return
        if pid == 0:
            self._link.close()
            self._link = Link(adopt_socket(stream))
            let_setsid_work_again()
            if numbers is not None:
                _set_random_state(numbers)
            self._begin()
        else:
            _close(stream)
            # The child does this too, but it must be done before the child and its group can be killed.
            with suppress(OSError):
                _setpgid(pid, pid)

    def _tell_instead(self, stream: int, problem: str) -> None:
        """Report on a child's stream why there is no child."""
        link = Link(adopt_socket(stream))
        link.put(Broke(problem))
        link.flush()
        link.close()

    def _reap(self, pid: int) -> None:
        try:
            _, status = _waitpid(pid, 0)
        except ChildProcessError:  # something has waited for all children
            status = 0
        self._link.put(ProbeExited(pid, status))

    # --- state ---

    def _watch(self) -> None:
        from pytest_procpar.state.snapshot import StateSnapshot

        self._snapshot = StateSnapshot()

    def _compare(self, *, imports: bool) -> None:
        assert self._snapshot is not None
        changes = self._snapshot.compare(imports=imports)[:_SLOTS]
        slots = tuple((c.name, c.before, c.after, c.restorable, c.way, c.module) for c in changes)
        self._link.put(Changed(slots))

    # --- tests ---

    def _perform(self, tests: tuple[int, ...], then: int | str | None) -> None:
        items = self._session.items
        order = [items[test] for test in tests]
        last: pytest.Item | pytest.Session | None
        if isinstance(then, int):
            last = items[then]
        else:
            last = self._session if then == "session" or self._born_alive else None
        first = order[0] if order else last
        if self._latest is not None and alive_nodes(self._session):
            late_teardown(self._latest, first)
            self._stdout.flush()
        for test, item, following in zip(tests, order, [*order[1:], last], strict=False):
            self._run(TestIndex(test), item, following)
        self._link.put(Rested(holds_resources(self._session)))

    def _run(
        self, test: TestIndex, item: pytest.Item, following: pytest.Item | pytest.Session | None
    ) -> None:
        session = self._session
        self._words, self._message = set(), ""
        self._latest = item
        self._keep = following
        if following is item:  # otherwise what the test itself needs would not be torn down
            self._keep = item.parent  # type: ignore[assignment]
        nextitem = following if isinstance(following, pytest.Item) else None
        refresh(item)
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)
        finally:
            if self._link.forked:  # a child that the test has forked: it has nothing to do here
                end_process(0)
        session.shouldfail = session.shouldstop = False
        word = next((w for w in (Outcome.FAILED, Outcome.SKIPPED) if w in self._words), Outcome.PASSED)
        self._link.put(Performed(test, word.value, self._message if word.bad else ""))
        self._link.flush()

    def _decide_kept(self, nextitem: pytest.Item | None) -> pytest.Item | pytest.Session | None:
        return self._keep

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a phase of the running test ended."""
        self._stdout.flush()
        if report.failed:
            self._words.add(Outcome.FAILED)
            self._message = self._message or _first_line(report.longrepr)
        elif report.skipped and not hasattr(report, "wasxfail"):
            self._words.add(Outcome.SKIPPED)


def _first_line(longrepr: object) -> str:
    crash = getattr(longrepr, "reprcrash", None)
    lines = str(longrepr if crash is None else crash.message).strip().splitlines()
    return lines[0][:_MESSAGE] if lines else ""
