"""How many workers there is room for, and what is said when there is none."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest

from pytest_procpar.system.shortage import in_words, processes_granted, room_for_workers, room_within
from tests.process.helpers import child
from tests.process.test_oom import lay

HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


@pytest.mark.parametrize(
    ("wanted", "limit", "used", "fit"),
    [(2, 64, 20, 2), (40, 64, 12, 5), (40, 256, 16, 37), (40, 20, 16, 1), (1, 20, 16, 1), (40, 1024, 10, 40)],
)
def test_as_many_as_there_are_descriptors_for(wanted: int, limit: int, used: int, fit: int) -> None:
    assert room_within(wanted, 6, limit, used) == fit


@pytest.mark.parametrize(("limits", "least", "most"), [((64, HARD), 40, 40), ((64, 64), 2, 7)])
def test_room_of_a_process(limits: tuple[int, int], least: int, most: int) -> None:
    def look() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        os.closerange(3, 64)
        assert least <= room_for_workers(40) <= most

    with child(look):
        pass


@pytest.mark.parametrize(("limit", "fit"), [(10, 0), (22, 0), (60, 2)])
def test_a_limit_may_leave_no_room_at_all(limit: int, fit: int) -> None:
    def look() -> None:
        os.closerange(3, 64)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        assert room_for_workers(2) == fit

    with child(look):
        pass


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EMFILE, "no descriptors are left (ulimit -n: "),
        (errno.EAGAIN, "the system grants no more processes (ulimit -u: "),
        (errno.ENOMEM, "the system grants no more memory"),
        (errno.EACCES, os.strerror(errno.EACCES)),
    ],
)
def test_what_there_is_no_more_of_is_named(number: int, words: str) -> None:
    assert words in in_words(OSError(number, os.strerror(number)))


def test_the_tightest_control_group_grants_processes(tmp_path: Path) -> None:
    groups = {
        "proc/self/cgroup": "0::/box/inner\n",
        "proc/self/mountinfo": "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
        "sys/fs/cgroup/box/pids.max": "20\n",
        "sys/fs/cgroup/box/pids.current": "9\n",
        "sys/fs/cgroup/box/inner/pids.max": "max\n",
        "sys/fs/cgroup/box/inner/pids.current": "5\n",
    }
    lay(tmp_path, groups)
    assert processes_granted(tmp_path) == 11
    lay(tmp_path, {"sys/fs/cgroup/box/pids.max": "max\n"})
    assert processes_granted(tmp_path) is None
