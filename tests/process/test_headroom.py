"""How much memory is left, by what kernels say of it, and what is made of that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_procpar.system.headroom import be_expendable, fitting, headroom, private, resident
from tests.process.helpers import child
from tests.process.test_oom import lay

MB = 1 << 20
MACHINE = {"proc/meminfo": f"MemTotal: {4 << 20} kB\nMemAvailable:    {1 << 20} kB\n"}
V2 = {
    "proc/self/cgroup": "0::/box/inner\n",
    "proc/self/mountinfo": "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
    "sys/fs/cgroup/box/memory.max": f"{300 * MB}\n",
    "sys/fs/cgroup/box/memory.high": "max\n",
    "sys/fs/cgroup/box/memory.current": f"{260 * MB}\n",
    "sys/fs/cgroup/box/memory.stat": f"anon 1\ninactive_file {10 * MB}\nactive_file {20 * MB}\n",
    "sys/fs/cgroup/box/inner/memory.max": f"{200 * MB}\n",
    "sys/fs/cgroup/box/inner/memory.high": "max\n",
    "sys/fs/cgroup/box/inner/memory.current": f"{50 * MB}\n",
    "sys/fs/cgroup/box/inner/memory.stat": "anon 1\ninactive_file 0\nactive_file 0\n",
}
V1 = {
    "proc/self/cgroup": "4:memory:/box\n1:cpu:/elsewhere\n0::/\n",
    "proc/self/mountinfo": "30 1 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{2000 * MB}\n",
    "sys/fs/cgroup/memory/box/memory.limit_in_bytes": f"{150 * MB}\n",
    "sys/fs/cgroup/memory/box/memory.usage_in_bytes": f"{100 * MB}\n",
    "sys/fs/cgroup/memory/box/memory.stat": f"inactive_file 0\ntotal_inactive_file {5 * MB}\n",
}


@pytest.mark.parametrize(
    ("files", "room"),
    [
        (MACHINE, 1024),
        ({"proc/meminfo": f"{MACHINE['proc/meminfo']}SwapFree: {512 << 10} kB\n"}, 1536),
        ({**V2, **MACHINE}, 60),  # of the outer group, less than of the inner one
        ({**V2, "sys/fs/cgroup/box/memory.current": f"{310 * MB}\n", **MACHINE}, 10),
        ({**V2, "sys/fs/cgroup/box/memory.current": f"{400 * MB}\n", **MACHINE}, 0),
        ({**V2, "sys/fs/cgroup/box/inner/memory.high": f"{60 * MB}\n", **MACHINE}, 10),
        ({**V2, "sys/fs/cgroup/box/memory.max": "max\n", **MACHINE}, 150),
        ({**V1, **MACHINE}, 55),
        ({**V1, "proc/meminfo": f"MemAvailable: {20 << 10} kB\n"}, 20),
        ({**V1, "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "-1\n", **MACHINE}, 1024),
    ],
)
def test_the_least_room_of_all_groups_and_of_the_machine_counts(
    tmp_path: Path, files: dict[str, str], room: int
) -> None:
    lay(tmp_path, files)
    assert headroom(tmp_path) == room * MB


@pytest.mark.parametrize("files", [{}, {"proc/meminfo": "\0\nMemAvailable: some kB\n"}])
def test_what_the_kernel_does_not_tell_is_no_limit(tmp_path: Path, files: dict[str, str]) -> None:
    lay(tmp_path, files)
    assert headroom(tmp_path) is None


def test_this_machine_has_some_memory_left_and_this_process_takes_some() -> None:
    room = headroom()
    assert room is None or room > 0
    assert MB < resident() < (64 << 30)


@pytest.mark.parametrize(
    ("wanted", "room", "size", "fit"),
    [
        (4, None, 50, 4),
        (4, 1000, 50, 4),
        (4, 120, 50, 2),
        (4, 60, 50, 1),
        (4, 57, 50, 0),
        (4, 0, 50, 0),
        (0, 90, 9, 0),
    ],
)
def test_as_many_processes_as_fit_leave_a_little_to_the_others(
    wanted: int, room: int | None, size: int, fit: int
) -> None:
    assert fitting(wanted, None if room is None else room * MB, size * MB) == fit


def test_a_process_lets_the_kernel_take_it_first_and_what_it_starts() -> None:
    own = Path("/proc/self/oom_score_adj")
    before = int(own.read_text())

    def put_first() -> None:
        be_expendable(300)
        assert int(own.read_text()) == min(1000, before + 300)
        with child(lambda: be_expendable(2000)):
            pass
        with child(lambda: os._exit(int(own.read_text()) != min(1000, before + 300))):
            pass

    with child(put_first):
        pass
    assert int(own.read_text()) == before


def test_where_there_is_no_such_file_nothing_happens(tmp_path: Path) -> None:
    be_expendable(300, tmp_path / "none")
    (tmp_path / "odd").write_text("some")
    be_expendable(300, tmp_path / "odd")
    assert (tmp_path / "odd").read_text() == "some"


def test_what_a_process_has_for_itself_at_its_peak(tmp_path: Path) -> None:
    folder = tmp_path / "proc/7"
    folder.mkdir(parents=True)
    (folder / "smaps_rollup").write_text(
        "55d0-7ffd ---p 00000000 00:00 0 [rollup]\nRss: 900 kB\nPrivate_Clean: 10 kB\nPrivate_Dirty: 90 kB\n"
    )
    (folder / "status").write_text("VmHWM:\t 1000 kB\nVmRSS:\t 960 kB\n")
    assert private(7, tmp_path) == 140 << 10
    assert private(8, tmp_path) == 0
