"""Whether a process stands still for good, seen from outside."""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_procpar.core.run.deadlock import Evidence
from pytest_procpar.system.stalled import Standing, futex_numbers, look_at
from tests.process.helpers import Gate, fork

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/syscall").exists() or not Path("/proc/self/syscall").read_bytes(),
    reason="the kernel does not show system calls",
)

libc = ctypes.CDLL(None)


def wait_for_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def wait_in_two_threads() -> None:
    threading.Thread(target=wait_for_lock).start()
    wait_for_lock()


def wait_for_mutex() -> None:
    mutex = ctypes.create_string_buffer(256)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)


def futex(address: int, operation: int) -> None:
    (number, *_) = futex_numbers(os.uname().machine, is_64bit=sys.maxsize > 1 << 32)
    libc.syscall(number, ctypes.c_void_p(address), operation, 0, None, None, 0)


def wait_as_if_memory_were_shared() -> None:
    memory = ctypes.create_string_buffer(8)
    futex(ctypes.addressof(memory), 0)


def wait_for_shared_memory() -> None:
    memory = mmap.mmap(-1, 4096)
    futex(ctypes.addressof(ctypes.c_char.from_buffer(memory)), 0)


def wait_for_a_lock_of_several_processes() -> None:
    lock = multiprocessing.get_context("fork").Lock()
    lock.acquire()
    lock.acquire()


def wait_with_a_limit() -> None:
    threading.Event().wait(1000)


def wait_for_a_timer() -> None:
    signal.signal(signal.SIGALRM, lambda *_: None)
    wait_for_lock()


def wait_with_a_thread_that_reads() -> None:
    threading.Thread(target=os.read, args=(os.pipe()[0], 1)).start()
    wait_for_lock()


def wait_with_a_child() -> None:
    if fork() == 0:
        signal.pause()
    wait_for_lock()


def sleep() -> None:
    signal.pause()


def spin() -> None:
    while True:
        pass


@contextmanager
def process(body: Callable[[], None]) -> Iterator[int]:
    """A process that does this, in a group of its own."""
    with Gate() as up:
        pid = fork()
        if pid == 0:
            os.setpgid(0, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the one by which this folder's tests are bounded
            up.open()
            body()
            os._exit(1)
        up.wait()
        try:
            yield pid
        finally:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def settled(pid: int) -> Standing:
    """How a process stands once it does not move any more."""
    before = look_at(pid)
    for _ in range(100_000):
        os.sched_yield()
        standing = look_at(pid)
        if standing == before and standing.evidence is not Evidence.NONE:
            return standing
        before = standing
    raise AssertionError("it moves")


@pytest.mark.parametrize(
    "body", [wait_for_lock, wait_in_two_threads, wait_for_mutex, wait_as_if_memory_were_shared]
)
def test_who_waits_for_its_own_threads_is_proven_to_stand_still(body: Callable[[], None]) -> None:
    with process(body) as pid:
        assert settled(pid).evidence is Evidence.PROVEN


def test_a_signal_that_may_come_leaves_it_likely() -> None:
    with process(wait_for_a_timer) as pid:
        assert settled(pid).evidence is Evidence.LIKELY


def test_a_limit_in_time_leaves_it_doubtful() -> None:
    with process(wait_with_a_limit) as pid:
        assert settled(pid).evidence is Evidence.DOUBTFUL


@pytest.mark.parametrize(
    "body",
    [
        wait_for_shared_memory, wait_for_a_lock_of_several_processes, wait_with_a_thread_that_reads,
        wait_with_a_child, sleep, spin,
    ],
)  # fmt: skip
def test_nothing_is_said_of_others(body: Callable[[], None]) -> None:
    with process(body) as pid:
        for _ in range(50):
            os.sched_yield()
            assert look_at(pid).evidence is Evidence.NONE


def test_children_may_be_left_out_of_account() -> None:
    with process(wait_with_a_child) as pid:
        for _ in range(100_000):
            if look_at(pid, alone=False).evidence is Evidence.PROVEN:
                break
            os.sched_yield()
        else:
            pytest.fail("it does not stand still")


def test_who_is_gone_does_not_stand() -> None:
    with process(wait_for_lock) as pid:
        pass
    assert look_at(pid).evidence is Evidence.NONE


def test_who_was_woken_up_has_moved_but_stands_where_it_stood() -> None:
    with process(wait_for_mutex) as pid:
        before = settled(pid)
        os.kill(pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGCONT)
        after = settled(pid)
        for _ in range(100_000):
            if (after := settled(pid)) != before:
                break
        assert after.evidence is Evidence.PROVEN
        assert after != before
        assert after.place == before.place


# --- other kernels -------------------------------------------------------------------------------------


def kernel(tmp_path: Path, syscall: str | None, wchan: str = "futex_do_wait", state: str = "S") -> str:
    """A ``/proc`` with one process, 7, that has one thread."""
    task = tmp_path / "7" / "task" / "7"
    task.mkdir(parents=True)
    (tmp_path / "self").symlink_to(str(os.getpid()))
    stat = f"7 (a) b) {state} " + " ".join(["0"] * 30)
    status = "SigCgt:\t0000000000000002\nvoluntary_ctxt_switches:\t4\nnonvoluntary_ctxt_switches:\t1\n"
    for folder in (task, tmp_path / "7"):
        (folder / "stat").write_text(stat)
        (folder / "status").write_text(status)
    (task / "wchan").write_text(wchan)
    (task / "children").write_text("")
    if syscall is not None:
        (task / "syscall").write_text(syscall)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("syscall", "wchan", "state", "evidence"),
    [
        ("{futex} 0x10 0x80 0x2 0x0 0x0 0x0 0x7f 0x7e", "0", "S", Evidence.PROVEN),
        ("{futex} 0x10 0x80 0x2 0x0 0x0 0x0 0x7f 0x7e", "0", "T", Evidence.NONE),
        ("{futex} 0x10 0x80 0x2 0x7fff 0x0 0x0 0x7f 0x7e", "0", "S", Evidence.DOUBTFUL),
        ("{futex} 0x10 0x81 0x2 0x0 0x0 0x0 0x7f 0x7e", "0", "S", Evidence.NONE),
        ("0 0x3 0x80 0x2 0x0 0x0 0x0 0x7f 0x7e", "futex_do_wait", "S", Evidence.NONE),
        ("running", "0", "S", Evidence.NONE),
        ("-1 0x7f 0x7e", "0", "S", Evidence.NONE),
        (None, "futex_wait_queue_me", "S", Evidence.LIKELY),
        ("", "futex_do_wait", "S", Evidence.LIKELY),
        ("what else", "futex_do_wait", "S", Evidence.NONE),
        ("a b c d e f g h i", "futex_do_wait", "S", Evidence.NONE),
        (None, "0", "S", Evidence.NONE),
        (None, "do_sys_poll", "S", Evidence.NONE),
        (None, "futex_do_wait", "R", Evidence.NONE),
    ],
)
def test_what_the_kernel_may_show(
    tmp_path: Path, syscall: str | None, wchan: str, state: str, evidence: Evidence
) -> None:
    numbers = futex_numbers(os.uname().machine, is_64bit=sys.maxsize > 1 << 32)
    text = None if syscall is None else syscall.format(futex=numbers[0])
    assert look_at(7, kernel(tmp_path, text, wchan, state)).evidence is evidence


def test_no_proc_says_nothing(tmp_path: Path) -> None:
    assert look_at(7, str(tmp_path)).evidence is Evidence.NONE


def test_the_numbers_are_those_of_the_machine() -> None:
    assert futex_numbers("x86_64", is_64bit=True) == (202,)
    assert futex_numbers("aarch64", is_64bit=True) == (98,)
    assert 240 in futex_numbers("x86_64", is_64bit=False)
    assert futex_numbers("vax", is_64bit=True) == ()
