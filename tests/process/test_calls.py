"""Descriptors out of the reach of tests, and wait statuses in words."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from pytest_procpar.core.protocol.worker import Ready
from pytest_procpar.ipc.link import Link
from pytest_procpar.ipc.port import Port
from pytest_procpar.system.calls import describe_status, far_places, out_of_reach, socket_pair
from tests.process.helpers import child, hear

SOFT, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)


def close_up_to_a_number() -> None:
    os.closerange(3, 256)


def close_up_to_the_limit() -> None:
    for fd in range(3, os.sysconf("SC_OPEN_MAX")):
        with suppress(OSError):
            os.close(fd)


def speak_after(close: Callable[[], object]) -> None:
    """A child makes a stream, gives one end to its own child, which closes all it knows of and speaks."""
    ours, theirs = socket_pair()

    def speak() -> None:
        ours.close()
        link = Link(theirs)
        close()
        link.put(Ready(1))
        link.flush()

    with ours, child(speak):
        theirs.close()
        assert hear(Port(ours)) == [Ready(1)]


def under_limits(soft: int, hard: int, body: Callable[..., object], *args: Any) -> None:
    """Run `body` in a child under these limits."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        body(*args)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)

    with child(limited):
        pass


def move(lowest: int, highest: int) -> None:
    moved = out_of_reach(os.dup(0))
    assert lowest <= moved < highest


def test_moved_descriptor_leads_to_the_same_and_the_old_one_is_closed() -> None:
    read, write = os.pipe()
    moved = out_of_reach(write)
    with pytest.raises(OSError):
        os.fstat(write)
    os.write(moved, b"x")
    assert os.read(read, 1) == b"x"
    os.close(moved)
    os.close(read)


@pytest.mark.parametrize("limits", [(1024, HARD), (1024, 1024)], ids=["soft", "hard"])
def test_moved_descriptor_is_closed_on_exec(limits: tuple[int, int]) -> None:
    def check() -> None:
        assert fcntl.fcntl(out_of_reach(os.dup(0)), fcntl.F_GETFD) & fcntl.FD_CLOEXEC

    under_limits(*limits, check)


def test_limit_is_as_it_was() -> None:
    os.close(out_of_reach(os.dup(0)))
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (SOFT, HARD)


@pytest.mark.skipif(0 <= HARD < 8192, reason="the hard limit is too low")
@pytest.mark.parametrize("soft", [256, 1024, 4096])
def test_descriptor_goes_above_a_soft_limit_that_can_be_raised(soft: int) -> None:
    under_limits(soft, 8192, move, soft, soft + 4096)


@pytest.mark.skipif(0 <= HARD < 16384, reason="the hard limit is too low")
@pytest.mark.parametrize("soft", [256, 1024, 4096])
def test_descriptor_goes_above_the_usual_numbers_where_it_can(soft: int) -> None:
    under_limits(soft, HARD, move, 8192, 16384)


@pytest.mark.parametrize("limit", [32, 256, 1024, 4096])
def test_descriptor_goes_far_up_where_the_limit_is_a_hard_one(limit: int) -> None:
    under_limits(limit, limit, move, limit // 2, limit)


def test_descriptor_stays_where_a_fork_is_cheap_however_high_the_limit_is() -> None:
    under_limits(HARD, HARD, move, 0, 1 << 16)


NONE = resource.RLIM_INFINITY
FAR_UP = [(8192, 8192 + (1 << 16)), (8192, 8192 + 4096)]


@pytest.mark.parametrize(
    ("limits", "places"),
    [
        ((1024, 1 << 30), [*FAR_UP, (1024, 1024 + (1 << 16)), (1024, 1024 + 4096), (512, 1024)]),
        ((1024, NONE), [*FAR_UP, (1024, 1024 + (1 << 16)), (1024, 1024 + 4096), (512, 1024)]),
        ((1024, 8200), [(8192, 8200), (1024, 8200), (1024, 5120), (512, 1024)]),
        ((9000, 1 << 30), [(9000, 9000 + (1 << 16)), (9000, 9000 + 4096), (4500, 9000)]),
        ((1024, 4096), [(1024, 4096), (512, 1024)]),
        ((64, 70), [(64, 70), (32, 64)]),
        ((64, 64), [(32, 64)]),
        ((4, 4), [(3, 4)]),
        ((20000, 20000), [(8192, 20000)]),
        ((1 << 30, 1 << 30), [(8192, 1 << 30)]),
        ((NONE, NONE), [(8192, NONE)]),
    ],
)
def test_places_out_of_reach(limits: tuple[int, int], places: list[tuple[int, int]]) -> None:
    assert far_places(*limits) == places


def test_descriptor_for_which_there_is_no_place_out_of_reach_stays() -> None:
    def fill_up() -> None:
        fd = os.dup(0)
        with suppress(OSError):
            while True:
                os.dup(0)
        resource.setrlimit(resource.RLIMIT_NOFILE, (fd + 1, 256))
        assert [out_of_reach(fd), fcntl.fcntl(fd, fcntl.F_GETFD)] == [fd, fcntl.FD_CLOEXEC]
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

    under_limits(256, 256, fill_up)


def test_where_there_is_little_room_above_the_soft_limit_the_rest_goes_below() -> None:
    def move_some() -> None:
        assert [out_of_reach(os.dup(0)) for _ in range(4)] == [128, 129, 64, 65]

    under_limits(128, 130, move_some)


def test_many_descriptors_find_room() -> None:
    def move_many() -> None:
        assert len({out_of_reach(os.dup(0)) for _ in range(200)}) == 200

    under_limits(512, 512, move_many)


def test_stream_survives_a_test_that_closes_what_it_thinks_is_all() -> None:
    under_limits(SOFT, HARD, speak_after, close_up_to_a_number)


def test_stream_survives_that_under_a_hard_limit() -> None:
    under_limits(1024, 1024, speak_after, close_up_to_a_number)


@pytest.mark.skipif(0 <= HARD < 8192, reason="the hard limit is too low")
def test_stream_survives_a_test_that_closes_all_up_to_the_limit() -> None:
    under_limits(1024, HARD, speak_after, close_up_to_the_limit)


def status_of(body: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            body()
        finally:
            os._exit(99)
    return os.waitpid(pid, 0)[1]


def test_exit_code_is_named() -> None:
    assert describe_status(status_of(lambda: os._exit(3))) == "exited with code 3"


def test_signal_is_named() -> None:
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    assert describe_status(status_of(die)) == "killed by SIGKILL"


def test_signal_without_a_name_goes_by_its_number() -> None:
    def die() -> None:
        os.kill(os.getpid(), signal.SIGRTMIN + 3)

    assert describe_status(status_of(die)) == f"killed by signal {signal.SIGRTMIN + 3}"
