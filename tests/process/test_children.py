"""The processes of workers: how they ended, that they end, and what they have started with them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pytest_procpar.core.model import WorkerId
from pytest_procpar.forking import children as module
from pytest_procpar.forking.children import Children
from pytest_procpar.system.descendants import Process, descendants, is_childless, set_subreaper
from tests.process.helpers import Gate, child, ready

pytestmark = pytest.mark.python_dependent

GW0, GW1, GW9 = WorkerId(0), WorkerId(1), WorkerId(9)


@pytest.fixture(params=[True, False], ids=["pidfd", "no pidfd"], autouse=True)
def has_pidfd(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the system tells when a child is dead."""
    if not request.param:
        monkeypatch.setattr(module, "open_pidfd", lambda pid: None)
    return request.param and hasattr(os, "pidfd_open")


def is_dead(pid: int) -> None:
    """Wait for a child's death without reaping it."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def reap(children: Children) -> list[tuple[WorkerId, int]]:
    """Reap, and close the descriptors, which are the caller's."""
    found = []
    for dead in children.reap():
        found.append((dead.worker, dead.status))
        if dead.fd is not None:
            os.close(dead.fd)
    return found


def die_by(signum: int) -> None:
    os.kill(os.getpid(), signum)


class Family:
    """Whether anybody lives of those forked in `member`: they hold the end of a pipe."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    @contextmanager
    def member(self, body: Callable[[], object]) -> Iterator[int]:
        with child(body, expect=None) as pid:
            os.close(self._write)
            yield pid
            assert os.read(self._read, 1) == b""  # or hangs
            os.close(self._read)


def wait_for_ever() -> None:
    while True:
        signal.pause()


def ignore(signum: int) -> None:
    signal.signal(signum, signal.SIG_IGN)


# --- reaping ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 3, 255])
def test_exit_code_of_a_dead_child_is_told(code: int) -> None:
    children = Children()
    with child(lambda: os._exit(code), expect=None) as pid:
        children.add(GW0, pid)
        is_dead(pid)
        assert reap(children) == [(GW0, code << 8)]


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
def test_signal_that_killed_a_child_is_told(signum: signal.Signals) -> None:
    children = Children()
    with child(lambda: die_by(signum), expect=None) as pid:
        children.add(GW0, pid)
        is_dead(pid)
        assert reap(children) == [(GW0, signum)]


def test_child_is_reaped_once() -> None:
    children = Children()
    with child(lambda: None) as pid:
        children.add(GW0, pid)
        is_dead(pid)
        reap(children)
        assert reap(children) == []


def test_child_that_lives_is_not_reaped() -> None:
    children = Children()
    with Gate() as gate, child(gate.wait) as pid:
        children.add(GW0, pid)
        assert reap(children) == []
        gate.open()
        is_dead(pid)
        assert reap(children) == [(GW0, 0)]


def test_only_the_dead_are_reaped() -> None:
    children = Children()
    with Gate() as gate, child(gate.wait) as first, child(lambda: os._exit(5), expect=None) as second:
        children.add(GW0, first)
        children.add(GW1, second)
        is_dead(second)
        assert reap(children) == [(GW1, 5 << 8)]
        gate.open()
        is_dead(first)
        assert reap(children) == [(GW0, 0)]


def test_child_that_somebody_else_has_waited_for_is_gone_too() -> None:
    children = Children()
    with child(lambda: os._exit(5), expect=None) as pid:
        children.add(GW0, pid)
        os.waitpid(pid, 0)
        assert reap(children) == [(GW0, 0)]


def test_descriptor_tells_when_a_child_is_dead(has_pidfd: bool) -> None:
    children = Children()
    with Gate() as gate, child(gate.wait) as pid:
        fd = children.add(GW0, pid)
        assert (fd is not None) == has_pidfd
        if fd is not None:
            assert not ready(fd, timeout=0)
            gate.open()
            assert ready(fd)
            (dead,) = children.reap()
            assert (dead.worker, dead.status, dead.fd) == (GW0, 0, fd)
            assert dead.peak_memory is not None
            assert 1 << 20 < dead.peak_memory < 1 << 34
            os.close(fd)
        gate.open()


def test_looking_again_is_due_only_where_nothing_tells(has_pidfd: bool) -> None:
    children = Children()
    nobody = children.poll_seconds
    with child(lambda: None) as pid:
        children.add(GW0, pid)
        somebody = children.poll_seconds
        is_dead(pid)
        reap(children)
    assert (nobody, somebody is None, children.poll_seconds) == (None, has_pidfd, None)


# --- signals ----------------------------------------------------------------------------------------


def test_child_leads_a_process_group_though_it_has_not_done_anything_yet() -> None:
    children = Children()
    with Gate() as gate, child(gate.wait) as pid:
        children.add(GW0, pid)
        assert os.getpgid(pid) == pid
        gate.open()
        is_dead(pid)
        reap(children)


def test_child_that_is_dead_already_can_be_added() -> None:
    children = Children()
    with child(lambda: None) as pid:
        is_dead(pid)
        children.add(GW0, pid)
        assert reap(children) == [(GW0, 0)]


def test_signal_reaches_that_worker_only() -> None:
    children = Children()
    with Gate() as gate, child(gate.wait) as first, child(gate.wait, expect=None) as second:
        children.add(GW0, first)
        children.add(GW1, second)
        children.signal(GW1, signal.SIGUSR1)
        is_dead(second)
        assert reap(children) == [(GW1, signal.SIGUSR1)]
        gate.open()
        is_dead(first)
        assert reap(children) == [(GW0, 0)]


@pytest.mark.parametrize("group", [True, False])
def test_signal_reaches_what_a_worker_has_started_if_it_is_meant_to(group: bool) -> None:
    children = Children()
    with Gate() as started, Gate() as go_on, Gate() as got:

        def start() -> None:
            def wait() -> None:
                signal.signal(signal.SIGUSR1, lambda *_: got.open())
                started.open()
                go_on.wait()

            os.setpgid(0, 0)  # as workers do, before they start anything
            ignore(signal.SIGUSR1)
            with child(wait):
                pass

        with child(start) as pid:
            children.add(GW0, pid)
            started.wait()
            children.signal(GW0, signal.SIGUSR1, group=group)
            go_on.open()
            is_dead(pid)
            assert reap(children) == [(GW0, 0)]
        assert got.is_open == group


@pytest.mark.parametrize("group", [True, False])
def test_signal_to_a_dead_worker_does_nothing(group: bool) -> None:
    children = Children()
    with child(lambda: None) as pid:
        children.add(GW0, pid)
        is_dead(pid)
        children.signal(GW0, signal.SIGKILL, group=group)
        assert reap(children) == [(GW0, 0)]
        children.signal(GW0, signal.SIGKILL, group=group)
        children.signal(GW9, signal.SIGKILL, group=group)


# --- the end of all ---------------------------------------------------------------------------------


def test_killing_nobody_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "pause", pytest.fail)
    Children().kill_all()


def test_worker_gets_the_chance_to_end_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GRACE", 20.0)
    children = Children()
    with Gate() as started, Gate() as ended:

        def work() -> None:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            started.open()
            signal.sigwait({signal.SIGTERM})
            ended.open()

        with child(work, expect=None) as pid:
            children.add(GW0, pid)
            started.wait()
            children.kill_all()
            assert ended.is_open


@pytest.mark.parametrize("who", ["worker", "program", "both"])
def test_nobody_survives_who_does_not_care_about_a_polite_request(
    who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_GRACE", 0.05)
    children, family = Children(), Family()
    with Gate() as started:

        def work() -> None:
            os.setpgid(0, 0)  # as workers do, before they start anything
            if who != "program":
                ignore(signal.SIGTERM)
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_DFL if who == "worker" else signal.SIG_IGN)
                started.open()
            wait_for_ever()

        with family.member(work) as pid:
            children.add(GW0, pid)
            started.wait()
            children.kill_all()
            with pytest.raises(ChildProcessError):
                os.waitpid(pid, 0)


def test_all_are_killed_and_none_is_known_after_it() -> None:
    children = Children()
    with child(wait_for_ever, expect=None) as first, child(wait_for_ever, expect=None) as second:
        children.add(GW0, first)
        children.add(GW1, second)
        children.kill_all()
        assert reap(children) == []
        for pid in (first, second):
            with pytest.raises(ChildProcessError):
                os.waitpid(pid, 0)


def test_what_belongs_to_others_is_not_killed() -> None:
    children = Children()
    with Gate() as gate, child(gate.wait), child(wait_for_ever, expect=None) as ours:
        children.add(GW0, ours)
        children.kill_all()
        gate.open()


# --- in a worker ------------------------------------------------------------------------------------


def test_forgotten_children_are_neither_reaped_nor_killed() -> None:
    children = Children()
    with Gate() as gate, child(gate.wait) as pid:
        children.add(GW0, pid)
        children.forget()
        children.signal(GW0, signal.SIGKILL)
        children.kill_all()
        gate.open()
        is_dead(pid)
        assert (reap(children), children.poll_seconds) == ([], None)


def test_worker_that_forgets_closes_its_copies_only() -> None:
    children = Children()
    with Gate() as gate, child(gate.wait) as first:
        fd = children.add(GW0, first)

        def forget() -> None:
            children.forget()
            if fd is not None:
                with pytest.raises(OSError):
                    os.fstat(fd)

        with child(forget):
            pass
        gate.open()
        is_dead(first)
        assert reap(children) == [(GW0, 0)]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody inherits a process")
def test_a_process_whose_parent_ends_while_it_is_looked_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = iter([False, True])

    def listed(ancestor: int) -> dict[int, Process]:
        """As the kernel lists a family: whose parent ends meanwhile is in nobody's list."""
        return {
            pid: found for pid, found in descendants(ancestor).items() if found.ended or next(lists, True)
        }

    def body() -> None:
        set_subreaper(True)
        parent = os.fork()
        if parent == 0:
            if os.fork() == 0:
                os.setsid()
                wait_for_ever()
            os._exit(0)
        is_dead(parent)
        monkeypatch.setattr(module, "descendants", listed)
        Children().end_leftovers()
        assert is_childless()

    with Family().member(body):
        pass
