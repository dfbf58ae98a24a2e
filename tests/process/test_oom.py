"""What the kernel's counters say of out-of-memory kills."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_procpar.system.oom import OutOfMemory

V2 = {
    "proc/self/cgroup": "0::/box/inner\n",
    "proc/self/mountinfo": "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
    "sys/fs/cgroup/box/inner/memory.events": "low 0\noom 3\noom_kill 2\n",
    "sys/fs/cgroup/box/memory.events": "low 0\noom 3\noom_kill 2\n",
    "sys/fs/cgroup/box/memory.max": "157286400\n",
    "sys/fs/cgroup/box/memory.current": "57286400\n",
    "proc/vmstat": "nr_free_pages 1\noom_kill 7\n",
}
#: Its group has no limit.
UNLIMITED = {**V2, "sys/fs/cgroup/box/memory.max": "max\n"}
#: The root of all groups, which has no counters.
NO_GROUP = {"proc/self/cgroup": "0::/\n", "proc/vmstat": V2["proc/vmstat"]}
V1 = {
    "proc/self/cgroup": "4:memory:/box\n1:cpu:/elsewhere\n",
    "proc/self/mountinfo": "30 1 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
    "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "157286400\n",
    "sys/fs/cgroup/memory/box/memory.usage_in_bytes": "57286400\n",
    "sys/fs/cgroup/memory/box/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
}


def lay(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def kill(root: Path, name: str) -> None:
    """Let the kernel count one more kill in a file."""
    path = root / name
    lines = path.read_text().splitlines()
    counted = [
        f"oom_kill {int(line.split()[1]) + 1}" if line.startswith("oom_kill ") else line for line in lines
    ]
    path.write_text("\n".join(counted) + "\n")


@pytest.mark.parametrize(
    ("files", "name", "which"),
    [
        (V2, "sys/fs/cgroup/box/inner/memory.events", "the memory limit of its control group"),
        (UNLIMITED, "sys/fs/cgroup/box/inner/memory.events", "the memory of the machine"),
        (NO_GROUP, "proc/vmstat", "the memory of the machine"),
        (V1, "sys/fs/cgroup/memory/box/memory.oom_control", "the memory limit of its control group"),
    ],
)
def test_a_kill_is_seen_once(tmp_path: Path, files: dict[str, str], name: str, which: str) -> None:
    lay(tmp_path, files)
    counters = OutOfMemory(tmp_path)
    assert counters.seen() == ""
    kill(tmp_path, name)
    assert counters.seen() == which
    assert counters.seen() == ""


def test_of_two_kills_each_is_told_of(tmp_path: Path) -> None:
    lay(tmp_path, V2)
    counters = OutOfMemory(tmp_path)
    for _ in range(2):
        kill(tmp_path, "sys/fs/cgroup/box/inner/memory.events")
    limit = "the memory limit of its control group"
    assert [counters.seen() for _ in range(3)] == [limit, limit, ""]


@pytest.mark.parametrize("name", ["sys/fs/cgroup/box/memory.events", "proc/vmstat"])
def test_where_the_own_group_is_counted_a_kill_among_strangers_says_nothing(
    tmp_path: Path, name: str
) -> None:
    lay(tmp_path, V2)
    counters = OutOfMemory(tmp_path)
    kill(tmp_path, name)
    assert counters.seen() == ""


@pytest.mark.parametrize(
    ("files", "name", "which"),
    [
        (V2, "sys/fs/cgroup/box/inner/memory.events", "the memory limit of its control group"),
        (NO_GROUP, "proc/vmstat", ""),
    ],
)
def test_if_nobody_of_ours_is_dead_only_a_kill_in_the_own_group_counts(
    tmp_path: Path, files: dict[str, str], name: str, which: str
) -> None:
    lay(tmp_path, files)
    counters = OutOfMemory(tmp_path)
    kill(tmp_path, name)
    assert counters.seen(killed=False) == which


def test_kills_before_the_run_are_not_its_own(tmp_path: Path) -> None:
    lay(tmp_path, V2)
    assert OutOfMemory(tmp_path).seen() == ""


@pytest.mark.parametrize("text", ["", "oom_kill many\n", "oom_kill\n", "\0\n"])
def test_a_kernel_without_counters_has_seen_nothing(tmp_path: Path, text: str) -> None:
    lay(tmp_path, {**NO_GROUP, "proc/vmstat": text})
    counters = OutOfMemory(tmp_path)
    lay(tmp_path, {"proc/vmstat": text})
    assert counters.seen() == ""


def test_this_machine_can_be_asked() -> None:
    assert isinstance(OutOfMemory().seen(), str)
