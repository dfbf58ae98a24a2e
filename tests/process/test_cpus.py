"""How `-n auto` is answered, from fake `/proc` and `/sys` trees and from this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_procpar.system.cpus import cgroup_quota, machine_cpus, requested_count, smallest_limit

AUTO = "PYTEST_XDIST_AUTO_NUM_WORKERS"
MANY = 100_000  # more CPUs than the machine under test has

V1_MOUNT = "33 32 0:30 {group} /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct"
V2_MOUNT = "35 24 0:28 {group} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
OTHER_MOUNTS = [
    "24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
    "25 24 0:5 / /proc rw - proc proc rw",
]


class Machine:
    """A tree of files as the kernel shows them; `root` is what takes the place of `/`."""

    def __init__(self, root: Path, *, groups: list[str], mounts: list[str]) -> None:
        self.root = root
        self.write("proc/self/cgroup", "".join(f"{line}\n" for line in groups))
        self.write("proc/self/mountinfo", "".join(f"{line}\n" for line in OTHER_MOUNTS + mounts))

    def write(self, name: str, text: str) -> None:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def limit_v1(self, directory: str, quota: str, period: str) -> None:
        self.write(f"{directory}/cpu.cfs_quota_us", f"{quota}\n")
        self.write(f"{directory}/cpu.cfs_period_us", f"{period}\n")

    def limit_v2(self, directory: str, text: str) -> None:
        self.write(f"{directory}/cpu.max", f"{text}\n")


def machine_v1(root: Path, group: str, *, mounted: str = "/") -> Machine:
    groups = ["7:memory:/elsewhere", f"4:cpu,cpuacct:{group}", "3:cpuset:/elsewhere"]
    return Machine(root, groups=groups, mounts=[V1_MOUNT.format(group=mounted)])


def machine_v2(root: Path, group: str, *, mounted: str = "/") -> Machine:
    return Machine(root, groups=[f"0::{group}"], mounts=[V2_MOUNT.format(group=mounted)])


def count_in_child(*options: str, logical: bool = True, path: Path | None = None) -> int:
    """Count in a fresh interpreter started with `options`, with `path` first among its modules."""
    code = f"""if True:
        from pathlib import Path
        from pytest_procpar.system.cpus import machine_cpus, requested_workers
        requested = requested_workers({{}}, print)
        print(requested or machine_cpus(logical={logical}, root=Path("/nonexistent")))
    """
    modules = [str(path)] if path is not None else []
    environ = {"PYTHONPATH": os.pathsep.join([*modules, *sys.path])}
    child = subprocess.run(
        [sys.executable, *options, "-c", code], env=environ, check=True, stdout=subprocess.PIPE
    )
    return int(child.stdout)


# Limits


def test_quota_smaller_than_affinity_wins() -> None:
    assert smallest_limit(usable=8, physical=None, quota=3) == 3


def test_affinity_smaller_than_quota_wins() -> None:
    assert smallest_limit(usable=2, physical=None, quota=8) == 2


def test_physical_cores_count_where_they_are_known() -> None:
    assert smallest_limit(usable=16, physical=8, quota=None) == 8


def test_physical_cores_never_exceed_the_affinity() -> None:
    assert smallest_limit(usable=2, physical=8, quota=None) == 2


def test_physical_cores_never_exceed_the_quota() -> None:
    assert smallest_limit(usable=16, physical=8, quota=1) == 1


def test_without_other_limits_every_usable_cpu_counts() -> None:
    assert smallest_limit(usable=5, physical=None, quota=None) == 5


def test_there_is_always_one_worker() -> None:
    assert smallest_limit(usable=0, physical=0, quota=0) == 1


# What the user asked for


def requested(
    environ: dict[str, str], xoptions: dict[str, str | bool] | None = None
) -> tuple[int | None, list[str]]:
    warnings: list[str] = []
    return requested_count(environ, xoptions or {}, warnings.append), warnings


def test_xdist_variable_sets_the_count() -> None:
    assert requested({AUTO: "3"}) == (3, [])


def test_xdist_variable_may_ask_for_no_worker() -> None:
    assert requested({AUTO: "0"}) == (0, [])


def test_xdist_variable_precedes_the_option_of_python() -> None:
    assert requested({AUTO: "3"}, {"cpu_count": "4"}) == (3, [])


def test_option_of_python_precedes_its_variable() -> None:
    assert requested({"PYTHON_CPU_COUNT": "5"}, {"cpu_count": "4"}) == (4, [])


def test_variable_of_python_sets_the_count() -> None:
    assert requested({"PYTHON_CPU_COUNT": "5"}) == (5, [])


def test_option_default_hides_the_variable_of_python() -> None:
    assert requested({"PYTHON_CPU_COUNT": "5"}, {"cpu_count": "default"}) == (None, [])


def test_option_default_does_not_hide_the_xdist_variable() -> None:
    assert requested({AUTO: "3"}, {"cpu_count": "default"}) == (3, [])


def test_variable_default_leaves_the_count_to_the_machine() -> None:
    assert requested({"PYTHON_CPU_COUNT": "default"}) == (None, [])


def test_nothing_set_leaves_the_count_to_the_machine() -> None:
    assert requested({}) == (None, [])


def test_empty_variables_are_unset() -> None:
    assert requested({AUTO: "", "PYTHON_CPU_COUNT": ""}) == (None, [])


@pytest.mark.parametrize("value", ["many", "1.5", "-1", "auto", "default"])
def test_invalid_xdist_variable_is_skipped_with_a_warning(value: str) -> None:
    assert requested({AUTO: value, "PYTHON_CPU_COUNT": "5"}) == (
        5,
        [f"ignoring {AUTO}={value!r}: expected a whole number, 0 or more"],
    )


@pytest.mark.parametrize("value", ["many", "0", "-2"])
def test_invalid_variable_of_python_is_skipped_with_a_warning(value: str) -> None:
    assert requested({"PYTHON_CPU_COUNT": value}) == (
        None,
        [f"ignoring PYTHON_CPU_COUNT={value!r}: expected a whole number, 1 or more"],
    )


@pytest.mark.parametrize("value", ["many", "0", True])
def test_invalid_option_of_python_is_skipped_with_a_warning(value: str | bool) -> None:
    assert requested({"PYTHON_CPU_COUNT": "5"}, {"cpu_count": value}) == (
        5,
        [f"ignoring -X cpu_count={value!r}: expected a whole number, 1 or more"],
    )


def test_each_invalid_setting_has_its_own_warning() -> None:
    _, warnings = requested({AUTO: "a", "PYTHON_CPU_COUNT": "b"}, {"cpu_count": "c"})
    assert [warning.split("=")[0] for warning in warnings] == [
        f"ignoring {AUTO}",
        "ignoring -X cpu_count",
        "ignoring PYTHON_CPU_COUNT",
    ]


# Quotas, version 2


def test_v2_quota_of_the_own_group_is_found(tmp_path: Path) -> None:
    machine = machine_v2(tmp_path, "/user.slice/app.scope")
    machine.limit_v2("sys/fs/cgroup/user.slice/app.scope", "300000 100000")
    assert cgroup_quota(tmp_path) == 3


def test_v2_quota_of_an_ancestor_holds_too(tmp_path: Path) -> None:
    machine = machine_v2(tmp_path, "/a/b/c")
    machine.limit_v2("sys/fs/cgroup/a", "200000 100000")
    machine.limit_v2("sys/fs/cgroup/a/b", "max 100000")
    machine.limit_v2("sys/fs/cgroup/a/b/c", "600000 100000")
    assert cgroup_quota(tmp_path) == 2


def test_v2_quota_smaller_than_that_of_the_ancestor_holds(tmp_path: Path) -> None:
    machine = machine_v2(tmp_path, "/a/b")
    machine.limit_v2("sys/fs/cgroup/a", "600000 100000")
    machine.limit_v2("sys/fs/cgroup/a/b", "200000 100000")
    assert cgroup_quota(tmp_path) == 2


def test_v2_quota_of_a_sibling_or_child_does_not_count(tmp_path: Path) -> None:
    machine = machine_v2(tmp_path, "/a/b")
    machine.limit_v2("sys/fs/cgroup/a/b", "400000 100000")
    machine.limit_v2("sys/fs/cgroup/a/sibling", "100000 100000")
    machine.limit_v2("sys/fs/cgroup/a/b/child", "100000 100000")
    assert cgroup_quota(tmp_path) == 4


def test_v2_quota_above_the_mount_is_not_looked_for(tmp_path: Path) -> None:
    machine = machine_v2(tmp_path, "/a")
    machine.limit_v2("sys/fs", "100000 100000")
    machine.limit_v2("sys/fs/cgroup/a", "400000 100000")
    assert cgroup_quota(tmp_path) == 4


def test_v2_container_with_its_own_namespace_reads_the_top_of_the_mount(tmp_path: Path) -> None:
    machine = machine_v2(tmp_path, "/")
    machine.limit_v2("sys/fs/cgroup", "400000 100000")
    assert cgroup_quota(tmp_path) == 4


def test_v2_container_named_as_on_the_host_reads_the_top_of_the_mount(tmp_path: Path) -> None:
    machine = machine_v2(tmp_path, "/docker/1f2e", mounted="/docker/1f2e")
    machine.limit_v2("sys/fs/cgroup", "400000 100000")
    assert cgroup_quota(tmp_path) == 4


def test_group_within_the_group_of_a_container_is_found(tmp_path: Path) -> None:
    machine = machine_v2(tmp_path, "/docker/1f2e/init", mounted="/docker/1f2e")
    machine.limit_v2("sys/fs/cgroup/init", "400000 100000")
    assert cgroup_quota(tmp_path) == 4


@pytest.mark.parametrize(
    ("group", "mounted"), [("/", "/docker/1f2e"), ("/docker/1f2e", "/docker/other"), ("/../x", "/")]
)
def test_group_no_mount_has_by_its_name_is_the_top_of_the_mount(
    tmp_path: Path, group: str, mounted: str
) -> None:
    machine = machine_v2(tmp_path, group, mounted=mounted)
    machine.limit_v2("sys/fs/cgroup", "400000 100000")
    machine.limit_v2("sys/fs/x", "100000 100000")
    assert cgroup_quota(tmp_path) == 4


def test_mount_of_another_group_is_passed_over_if_one_has_ours(tmp_path: Path) -> None:
    other = "36 24 0:28 /other /srv/other rw - cgroup2 cgroup2 rw"
    machine = Machine(tmp_path, groups=["0::/a"], mounts=[V2_MOUNT.format(group="/"), other])
    machine.limit_v2("sys/fs/cgroup/a", "400000 100000")
    machine.limit_v2("srv/other", "100000 100000")
    assert cgroup_quota(tmp_path) == 4


def test_mount_point_with_a_space_is_found(tmp_path: Path) -> None:
    mount = r"35 24 0:28 / /my\040groups rw - cgroup2 cgroup2 rw"
    machine = Machine(tmp_path, groups=["0::/"], mounts=[mount])
    machine.limit_v2("my groups", "400000 100000")
    assert cgroup_quota(tmp_path) == 4


def test_mounted_group_with_a_backslash_is_found(tmp_path: Path) -> None:
    machine = machine_v2(tmp_path, r"/a\x2db.slice/c", mounted=r"/a\134x2db.slice")
    machine.limit_v2("sys/fs/cgroup/c", "400000 100000")
    assert cgroup_quota(tmp_path) == 4


@pytest.mark.parametrize("name", ["docker:1f2e", "with space", "with\x1cseparator"])
def test_group_with_an_unusual_name_is_found(tmp_path: Path, name: str) -> None:
    machine = machine_v2(tmp_path, f"/{name}")
    machine.limit_v2(f"sys/fs/cgroup/{name}", "400000 100000")
    assert cgroup_quota(tmp_path) == 4


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("1000 100000", 1), ("100000 100000", 1), ("100001 100000", 2), ("75000 50000", 2)],
)
def test_quota_is_rounded_up_to_whole_cpus(tmp_path: Path, text: str, cpus: int) -> None:
    machine_v2(tmp_path, "/").limit_v2("sys/fs/cgroup", text)
    assert cgroup_quota(tmp_path) == cpus


# Quotas, version 1


def test_v1_quota_of_the_own_group_is_found(tmp_path: Path) -> None:
    machine = machine_v1(tmp_path, "/jobs/one")
    machine.limit_v1("sys/fs/cgroup/cpu/jobs/one", "250000", "100000")
    assert cgroup_quota(tmp_path) == 3


def test_v1_quota_of_an_ancestor_holds_too(tmp_path: Path) -> None:
    machine = machine_v1(tmp_path, "/jobs/one")
    machine.limit_v1("sys/fs/cgroup/cpu/jobs", "200000", "100000")
    machine.limit_v1("sys/fs/cgroup/cpu/jobs/one", "-1", "100000")
    assert cgroup_quota(tmp_path) == 2


def test_v1_container_with_its_own_namespace_reads_the_top_of_the_mount(tmp_path: Path) -> None:
    machine_v1(tmp_path, "/").limit_v1("sys/fs/cgroup/cpu", "400000", "100000")
    assert cgroup_quota(tmp_path) == 4


def test_v1_container_named_as_on_the_host_reads_the_top_of_the_mount(tmp_path: Path) -> None:
    machine = machine_v1(tmp_path, "/docker/1f2e", mounted="/docker/1f2e")
    machine.limit_v1("sys/fs/cgroup/cpu", "400000", "100000")
    assert cgroup_quota(tmp_path) == 4


def test_v1_container_seeing_the_path_of_the_host_reads_the_top_of_the_mount(
    tmp_path: Path,
) -> None:
    machine = machine_v1(tmp_path, "/docker/1f2e", mounted="/")
    machine.limit_v1("sys/fs/cgroup/cpu", "400000", "100000")
    assert cgroup_quota(tmp_path) == 4


def test_v1_controllers_other_than_cpu_are_not_read(tmp_path: Path) -> None:
    mount = "34 32 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset"
    machine = Machine(tmp_path, groups=["3:cpuset:/", "4:cpu:/"], mounts=[mount])
    machine.limit_v1("sys/fs/cgroup/cpuset", "100000", "100000")
    assert cgroup_quota(tmp_path) is None


def test_v1_groups_of_other_controllers_are_not_looked_for(tmp_path: Path) -> None:
    machine = machine_v1(tmp_path, "/a")
    machine.limit_v1("sys/fs/cgroup/cpu/a", "400000", "100000")
    machine.limit_v1("sys/fs/cgroup/cpu/elsewhere", "100000", "100000")
    assert cgroup_quota(tmp_path) == 4


def test_group_is_looked_for_only_in_mounts_of_its_version(tmp_path: Path) -> None:
    unified = "41 31 0:38 /docker/1f2e /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
    mounts = [V1_MOUNT.format(group="/"), unified]
    machine = Machine(tmp_path, groups=["4:cpu,cpuacct:/", "0::/"], mounts=mounts)
    machine.limit_v2("sys/fs/cgroup/unified", "400000 100000")
    assert cgroup_quota(tmp_path) == 4


@pytest.mark.parametrize(("v1", "v2"), [("200000", "max"), ("-1", "200000"), ("200000", "900000")])
def test_hybrid_host_is_held_by_either_version(tmp_path: Path, v1: str, v2: str) -> None:
    unified = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
    mounts = [V1_MOUNT.format(group="/"), unified]
    machine = Machine(tmp_path, groups=["4:cpu,cpuacct:/a", "0::/b"], mounts=mounts)
    machine.limit_v1("sys/fs/cgroup/cpu/a", v1, "100000")
    machine.limit_v2("sys/fs/cgroup/unified/b", f"{v2} 100000")
    assert cgroup_quota(tmp_path) == 2


# What is not a limit

NO_LIMIT = ["", "max", "max 100000", "100000", "100000 0", "0 100000", "-1 100000", "100000 -1"]


@pytest.mark.parametrize("text", [*NO_LIMIT, "a b", "1 2 3", "1.5 1", "9" * 5000 + " 1\0"])
def test_v2_file_without_a_quota_limits_nothing(tmp_path: Path, text: str) -> None:
    machine = machine_v2(tmp_path, "/a")
    machine.limit_v2("sys/fs/cgroup/a", text)
    assert cgroup_quota(tmp_path) is None


@pytest.mark.parametrize(
    ("quota", "period"), [("-1", "100000"), ("100000", "0"), ("", "100000"), ("x", "y"), ("0", "1")]
)
def test_v1_files_without_a_quota_limit_nothing(tmp_path: Path, quota: str, period: str) -> None:
    machine_v1(tmp_path, "/").limit_v1("sys/fs/cgroup/cpu", quota, period)
    assert cgroup_quota(tmp_path) is None


def test_group_whose_files_are_missing_is_held_by_its_ancestors(tmp_path: Path) -> None:
    machine = machine_v2(tmp_path, "/a/b (deleted)")
    machine.limit_v2("sys/fs/cgroup/a", "200000 100000")
    assert cgroup_quota(tmp_path) == 2


def test_garbage_does_not_hide_the_lines_around_it(tmp_path: Path) -> None:
    groups = ["", "::", "x", "0::/a", "1:name=systemd:/", "2:cpu"]
    mounts = ["", " - ", "1 2 3 / - cgroup2", V2_MOUNT.format(group="/"), "1 1 1 a b - cgroup2 c d"]
    machine = Machine(tmp_path, groups=groups, mounts=mounts)
    machine.limit_v2("sys/fs/cgroup/a", "200000 100000")
    assert cgroup_quota(tmp_path) == 2


def test_machine_without_proc_has_no_quota(tmp_path: Path) -> None:
    assert cgroup_quota(tmp_path) is None


PATHS = st.text(alphabet="/.a \\0\t\0", max_size=6)


@settings(deadline=None)  # it writes files
@given(group=PATHS, mounted=PATHS, point=PATHS, junk=st.binary())
@example(group="/\0", mounted="/", point="/", junk=b"")
@example(group="/", mounted="/", point="//", junk=b"\xff\n0::")
def test_unreadable_trees_never_raise(
    tmp_path_factory: pytest.TempPathFactory, group: str, mounted: str, point: str, junk: bytes
) -> None:
    root = tmp_path_factory.mktemp("root")
    mount = f"35 24 0:28 {mounted} {point} rw - cgroup2 cgroup2 rw"
    machine = Machine(root, groups=[f"0::{group}"], mounts=[mount])
    for name in ("cgroup", "mountinfo"):
        with (root / "proc/self" / name).open("ab") as file:
            file.write(junk)
    machine.limit_v2("a", "not a quota")
    assert cgroup_quota(root) is None


# All of it


def test_quota_cuts_the_count_of_cpus(tmp_path: Path) -> None:
    machine_v2(tmp_path, "/").limit_v2("sys/fs/cgroup", "10000 100000")
    for logical in (True, False):
        assert machine_cpus(logical=logical, root=tmp_path) == 1


def test_quota_beyond_the_machine_adds_no_cpu(tmp_path: Path) -> None:
    machine_v2(tmp_path, "/").limit_v2("sys/fs/cgroup", f"{MANY}00000 100000")
    assert machine_cpus(logical=True, root=tmp_path) < MANY


@pytest.mark.parametrize("logical", [True, False])
def test_this_machine_has_a_cpu_and_no_more_than_the_system_knows(logical: bool) -> None:
    count = machine_cpus(logical=logical)
    assert 1 <= count <= (os.cpu_count() or 1)


def test_option_given_to_the_interpreter_is_read() -> None:
    assert count_in_child("-X", f"cpu_count={MANY}") == MANY


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_process_pinned_to_one_cpu_counts_one() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert count_in_child() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_auto_is_the_physical_cores_psutil_knows(tmp_path: Path) -> None:
    (tmp_path / "psutil.py").write_text("def cpu_count(logical): return 99 if logical else 1\n")
    assert count_in_child(logical=False, path=tmp_path) == 1


def test_logical_does_not_ask_psutil(tmp_path: Path) -> None:
    (tmp_path / "psutil.py").write_text("raise SystemExit('imported')\n")
    assert count_in_child(logical=True, path=tmp_path) >= 1


@pytest.mark.parametrize(
    "text",
    [
        "raise ImportError",
        "def cpu_count(logical): return None",
        "def cpu_count(logical): raise FileNotFoundError('/proc/cpuinfo')",
    ],
)
def test_auto_is_logical_where_psutil_does_not_know(tmp_path: Path, text: str) -> None:
    (tmp_path / "psutil.py").write_text(f"{text}\n")
    assert count_in_child(logical=False, path=tmp_path) == count_in_child(logical=True)
