"""What a process has at two times, and what differs: processes, threads, descriptors, settings, files."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_procpar.leaks import audit_events as notes_module
from pytest_procpar.leaks import resources, snapshots
from pytest_procpar.leaks.audit_events import left_paths, take_notes
from pytest_procpar.leaks.resources import Descriptor, Leak, ResourceSnapshot, adopt, compare, describe
from pytest_procpar.leaks.snapshots import await_end, children_by_objects, take
from pytest_procpar.system import descendants as descendants_module
from pytest_procpar.system.descendants import Process, descendants, set_subreaper
from tests.process.helpers import Gate, child

pytestmark = pytest.mark.python_dependent


def process(pid: int, *, parent: int = 1, started: int = 0, ended: bool = False) -> Process:
    return Process(pid, started, parent, group=1, session=1, ended=ended, command=f"program{pid}")


def of_processes(*processes: Process) -> ResourceSnapshot:
    return ResourceSnapshot(processes={(each.pid, each.started): each for each in processes})


def texts(before: ResourceSnapshot, after: ResourceSnapshot) -> list[str]:
    return [change.text for change in compare(before, after)]


# --- comparing --------------------------------------------------------------------------------------


def test_same_state_has_no_changes() -> None:
    now = take()
    assert compare(now, take()) == []


def test_new_process_is_a_change_and_one_that_is_gone_is_none() -> None:
    assert texts(of_processes(process(5)), of_processes(process(6))) == ["process 6 (program6) still runs"]


def test_process_that_has_ended_is_said_to_have() -> None:
    assert texts(ResourceSnapshot(), of_processes(process(5, ended=True))) == [
        "process 5 (program5) has ended, but was not waited for"
    ]


def test_process_from_before_that_ends_is_no_change() -> None:
    assert texts(of_processes(process(5)), of_processes(process(5, ended=True))) == []


def test_process_of_a_process_from_before_is_no_change() -> None:
    before = of_processes(process(5))
    assert texts(before, of_processes(process(5), process(6, parent=5), process(7, parent=6))) == []


def test_another_process_of_the_same_pid_is_a_change() -> None:
    assert texts(of_processes(process(5, started=1)), of_processes(process(5, started=2)))


def test_renamed_or_deleted_file_is_no_change() -> None:
    before = ResourceSnapshot(descriptors={3: Descriptor("/some/log", 1, 2)})
    assert texts(before, ResourceSnapshot(descriptors={3: Descriptor("/some/log.1", 1, 2)})) == []


def test_file_that_was_made_anew_is_no_change() -> None:
    before = ResourceSnapshot(descriptors={3: Descriptor("/some/log", 1, 2)})
    assert texts(before, ResourceSnapshot(descriptors={3: Descriptor("/some/log", 1, 3)})) == []


def test_descriptors_without_a_name_differ_by_their_kind() -> None:
    before = ResourceSnapshot(descriptors={3: Descriptor("anon_inode:[eventpoll]", 1, 2)})
    after = ResourceSnapshot(descriptors={3: Descriptor("anon_inode:[timerfd]", 1, 2)})
    assert texts(before, after) == [
        "descriptor 3 leads to anon_inode:[timerfd] instead of anon_inode:[eventpoll]"
    ]


def test_closed_descriptor_is_no_change() -> None:
    assert texts(ResourceSnapshot(descriptors={3: Descriptor("/x", 1, 2)}), ResourceSnapshot()) == []


def test_changes_are_the_same_if_they_lead_to_the_same() -> None:
    first = compare(ResourceSnapshot(environment={"A": "1"}), ResourceSnapshot(environment={"A": "2"}))
    again = compare(ResourceSnapshot(environment={"A": "3"}), ResourceSnapshot(environment={"A": "2"}))
    other = compare(ResourceSnapshot(environment={"A": "1"}), ResourceSnapshot(environment={"A": "4"}))
    assert set(first) == set(again) != set(other)
    assert first[0].place == other[0].place


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (["a"], ["a", "b"], ["'b' was added to sys.path"]),
        (["a", "b"], ["b"], ["'a' was removed from sys.path"]),
        (["a"], ["a", "a"], ["'a' was added to sys.path"]),
        (["a", "b"], ["b", "a"], ["sys.path was put into another order"]),
        (["a", "b"], ["c", "b"], ["'c' was added to sys.path", "'a' was removed from sys.path"]),
        (["a"], ["a", Path("b")], [f"{str(repr(Path('b')))!r} was added to sys.path"]),
    ],
)
def test_paths_differ_by_entries_or_by_order(
    before: list[Any], after: list[Any], expected: list[str]
) -> None:
    assert texts(ResourceSnapshot(path=before), ResourceSnapshot(path=after)) == expected


def test_long_texts_are_cut_and_stay_in_one_line() -> None:
    (text,) = texts(ResourceSnapshot(), ResourceSnapshot(environment={"A": "x\n" * 1000}))
    assert len(text) < 150
    assert "\n" not in text
    assert text.endswith("...")


def test_handlers_are_named() -> None:
    def handle(*_: object) -> None: ...

    before = ResourceSnapshot(handlers={signal.SIGINT: signal.SIG_DFL, signal.SIGHUP: handle})
    after = ResourceSnapshot(handlers={signal.SIGINT: handle, signal.SIGHUP: None})
    assert texts(before, after) == [
        f"handler of SIGINT changed from SIG_DFL to {__name__}.test_handlers_are_named.<locals>.handle",
        f"handler of SIGHUP changed from {__name__}.test_handlers_are_named.<locals>.handle "
        "to one that is not Python's",
    ]


def test_few_foreign_threads_are_listed_and_many_are_counted() -> None:
    few = compare(ResourceSnapshot(), ResourceSnapshot(foreign_threads={1: "a", 2: "b"}))
    many = compare(ResourceSnapshot(), ResourceSnapshot(foreign_threads=dict.fromkeys(range(9), "a")))
    assert len(describe(few)) == 2
    assert describe(many) == ["9 threads that Python does not know still run"]


# --- adopting ---------------------------------------------------------------------------------------

STATES = {
    "processes": (of_processes(process(5)), of_processes(process(5), process(6))),
    "foreign threads": (ResourceSnapshot(), ResourceSnapshot(foreign_threads={1: "a"})),
    "descriptors": (ResourceSnapshot(), ResourceSnapshot(descriptors={1: Descriptor("/x", 1, 2)})),
    "moved descriptor": (
        ResourceSnapshot(descriptors={1: Descriptor("/x", 1, 2)}),
        ResourceSnapshot(descriptors={1: Descriptor("/y", 1, 3)}),
    ),
    "set variable": (ResourceSnapshot(), ResourceSnapshot(environment={"A": "1"})),
    "removed variable": (ResourceSnapshot(environment={"A": "1"}), ResourceSnapshot()),
    "directory": (ResourceSnapshot(directory="/a"), ResourceSnapshot(directory="/b")),
    "handler": (
        ResourceSnapshot(handlers={1: signal.SIG_DFL}),
        ResourceSnapshot(handlers={1: signal.SIG_IGN}),
    ),
    "added path": (ResourceSnapshot(path=["a"]), ResourceSnapshot(path=["b", "a"])),
    "removed path": (ResourceSnapshot(path=["b", "a"]), ResourceSnapshot(path=["a"])),
    "order of path": (ResourceSnapshot(path=["a", "b"]), ResourceSnapshot(path=["b", "a"])),
}


@pytest.mark.parametrize(("before", "after"), STATES.values(), ids=STATES)
def test_what_is_adopted_is_no_change(before: ResourceSnapshot, after: ResourceSnapshot) -> None:
    assert compare(before, after)
    assert compare(adopt(before, before, after), after) == []


def test_only_what_is_adopted_is_no_change() -> None:
    base = ResourceSnapshot(environment={}, path=["a"])
    before = ResourceSnapshot(environment={"MINE": "1"}, path=["mine", "a"])
    after = ResourceSnapshot(environment={"MINE": "1", "KEPT": "1"}, path=["kept", "mine", "a"])
    assert adopt(base, before, after) == ResourceSnapshot(environment={"KEPT": "1"}, path=["kept", "a"])


def test_what_was_taken_away_for_the_time_is_missed_afterwards() -> None:
    base, before, after = (
        ResourceSnapshot(path=["a", "b"]),
        ResourceSnapshot(path=["b"]),
        ResourceSnapshot(path=["kept", "b"]),
    )
    assert sorted(map(str, adopt(base, before, after).path)) == ["a", "b", "kept"]


def test_settings_keep_nothing_alive() -> None:
    taken = take()
    settings = taken.settings()
    assert (settings.threads, settings.descriptors) == ({}, {})
    assert (settings.environment, settings.path) == (taken.environment, taken.path)


# --- taking -----------------------------------------------------------------------------------------


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as gate:
        yield gate


def test_child_is_seen_and_then_that_it_has_ended(gate: Gate) -> None:
    before = take()
    with child(gate.wait) as pid:
        (change,) = compare(before, take())
        assert change.text.startswith(f"process {pid} (")
        assert change.text.endswith("still runs")
        gate.open()
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        (change,) = compare(before, take())
        assert change.text.endswith("has ended, but was not waited for")
    assert compare(before, take()) == []


@pytest.fixture
def subreaper() -> Iterator[None]:
    before = set_subreaper(True)
    yield
    set_subreaper(before)


def orphan(body: Callable[[], object], prepare: Callable[[], object]) -> int:
    """The pid of a process whose parent has called `prepare` before, and has ended."""
    read, write = os.pipe()

    def fork_and_end() -> None:
        prepare()
        with child(body) as pid:
            os.write(write, str(pid).encode())
            os._exit(0)

    with child(fork_and_end):
        pass
    pid = int(os.read(read, 100))
    os.close(read)
    os.close(write)
    return pid


@pytest.mark.usefixtures("subreaper")
def test_daemon_is_seen_and_waited_for_when_it_has_ended(gate: Gate) -> None:
    before = take()
    pid = orphan(gate.wait, os.setsid)
    (change,) = compare(before, take())
    assert change.text.startswith(f"process {pid} (")
    gate.open()
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert compare(before, take()) == []
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)


def test_subreaper_is_what_it_was() -> None:
    set_subreaper(False)
    assert [set_subreaper(wanted) for wanted in (True, True, False, False)] == [False, True, True, False]


def test_thread_is_seen(gate: Gate) -> None:
    before = take()
    thread = threading.Thread(target=gate.wait, name="poller")
    thread.start()
    assert texts(before, take()) == ["thread 'poller' (Gate.wait) still runs"]
    gate.open()
    thread.join()
    assert [change for change in compare(before, take()) if change.kind == "thread"] == []


class Poller(threading.Thread):
    pass


@pytest.mark.parametrize(
    ("thread", "name"),
    [
        (threading.Thread(), "thread 'Thread-[0-9]+'"),
        (threading.Thread(target=os.getpid), r"thread 'Thread-[0-9]+ \(getpid\)'"),
        (
            threading.Thread(target=os.getpid, name="its name", daemon=True),
            r"daemon thread 'its name' \(getpid\)",
        ),
        (Poller(name="its name"), r"thread 'its name' \(Poller\)"),
    ],
)
def test_threads_are_named_by_what_they_do(thread: threading.Thread, name: str) -> None:
    (text,) = texts(ResourceSnapshot(), ResourceSnapshot(threads={1: thread}))
    assert re.fullmatch(f"{name} still runs", text)


def test_descriptor_is_seen() -> None:
    before = take()
    with open(os.devnull) as file:
        assert texts(before, take()) == [f"descriptor {file.fileno()} ({os.devnull}) is still open"]
    assert compare(before, take()) == []


def test_descriptor_beyond_the_limit_is_not_seen() -> None:
    before = take()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull) as file:
        far = fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 200)
    assert [change.key for change in compare(before, take())] == [far]
    resource.setrlimit(resource.RLIMIT_NOFILE, (far, limits[1]))
    try:
        assert compare(before, take()) == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        os.close(far)


def test_settings_are_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = take()
    with monkeypatch.context() as patch:
        patch.setenv("SOME", "1")
        patch.chdir(tmp_path)
        patch.syspath_prepend(tmp_path)
        assert [change.kind for change in compare(before, take())] == ["environment", "directory", "sys.path"]
    assert compare(before, take()) == []


def test_variables_that_runners_set_are_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    before = take()
    with monkeypatch.context() as patch:
        for name in ("PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER"):
            patch.setenv(name, "another")
        assert compare(before, take()) == []


OS_NAMES = [
    "close", "fstat", "getcwd", "getpid", "getsid", "listdir", "lstat", "open", "pidfd_open", "read",
    "readlink", "waitid", "waitpid",
]  # fmt: skip


def refuse(*args: object, **kwargs: object) -> Any:
    raise AssertionError("what a test has patched was called")


def test_what_a_test_patches_is_not_used(gate: Gate) -> None:
    before = take()
    thread = threading.Thread(target=gate.wait, daemon=True)
    thread.start()
    with child(gate.wait):
        with pytest.MonkeyPatch.context() as patch:
            for name in OS_NAMES:
                patch.setattr(os, name, refuse)
            for module in (descendants_module, notes_module, resources, snapshots):
                for name in {"os", "resource", "select", "signal", "stat", "sys", "threading"} & vars(
                    module
                ).keys():
                    patch.setattr(module, name, None)
            for owner, name in ((threading, "enumerate"), (threading.Thread, "join"), (time, "sleep")):
                patch.setattr(owner, name, refuse)
            changes = compare(before, take())
            for change in changes:
                await_end(change, 0.001)
        gate.open()
        gate.open()
    thread.join()
    assert {change.kind for change in changes} == {"process", "thread"}


@pytest.mark.usefixtures("subreaper")
def test_process_of_anothers_group_that_has_ended_is_not_seen(gate: Gate) -> None:
    before = take()
    pid = orphan(gate.wait, os.setpgrp)
    assert [change.pid for change in compare(before, take())] == [pid]
    gate.open()
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert compare(before, take()) == []
    os.waitpid(pid, 0)


def test_whom_a_child_has_not_waited_for_is_the_childs_affair(gate: Gate) -> None:
    def neglect() -> None:
        grandchild = os.fork()
        if grandchild == 0:
            os._exit(0)
        os.waitid(os.P_PID, grandchild, os.WEXITED | os.WNOWAIT)
        reached.open()
        gate.wait()

    before = take()
    with Gate() as reached, child(neglect) as pid:
        reached.wait()
        assert [change.pid for change in compare(before, take()) if change.pid] == [pid]
        gate.open()


def test_children_are_known_by_the_objects_that_stand_for_them(gate: Gate) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as popen, child(gate.wait) as forked:
        process = multiprocessing.get_context("fork").Process(target=gate.wait)
        process.start()
        known = children_by_objects()
        gate.open()
        gate.open()
        process.join()
        assert {popen.pid, process.pid} <= known
        assert forked not in known


def test_forks_are_counted_and_programs_started_by_subprocess_are_not() -> None:
    notes, stop = take_notes()
    with child(os.getpid):
        pass
    assert notes.forks == 1
    for command in (["true"], ["/bin/sh", "-c", "true"]):  # by fork and exec, or by posix_spawn
        for close_fds in (True, False):
            subprocess.run(command, check=True, close_fds=close_fds)
    assert notes.forks == 1
    stop()


# --- waiting ----------------------------------------------------------------------------------------


def test_end_of_a_process_is_waited_for(gate: Gate) -> None:
    before = take()
    with child(gate.wait) as pid:
        (change,) = compare(before, take())
        gate.open()
        await_end(change, 60)
        assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def test_end_of_a_thread_is_waited_for(gate: Gate) -> None:
    before = take()
    thread = threading.Thread(target=gate.wait)
    thread.start()
    (change,) = compare(before, take())
    gate.open()
    await_end(change, 60)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    "subject", [process(2**22 + 1), process(1, ended=True), threading.main_thread(), None]
)
def test_what_cannot_be_waited_for_takes_a_moment_only(subject: Any) -> None:
    await_end(Leak("process", 1, None, "", subject), 60)


# --- who comes of whom ------------------------------------------------------------------------------


class Machine:
    """A folder that looks like ``/proc``, with the lists of children that not every kernel has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, pid: int, parent: int, name: str = "name", *, line: bytes = b"", state: str = "S") -> None:
        for path, data in (
            (f"{pid}/stat", f"{pid} ({name}) {state} {parent} 1 7 {'0 ' * 15}99 0\n".encode()),
            (f"{pid}/cmdline", line),
            (f"{pid}/task/{pid}/comm", name.encode()),
        ):
            self.folder.joinpath(path).parent.mkdir(parents=True, exist_ok=True)
            self.folder.joinpath(path).write_bytes(data)

    def list_children(self, pid: int, children: str = "", task: int | None = None) -> None:
        folder = self.folder / str(pid) / "task" / str(task or pid)
        folder.mkdir(exist_ok=True)
        folder.joinpath("children").write_text(children)


@pytest.fixture(params=["listed", "searched"])
def machine(tmp_path: Path, request: pytest.FixtureRequest) -> Machine:
    machine = Machine(tmp_path)
    for pid, parent in [(1, 0), (10, 1), (20, 10), (21, 10), (30, 21), (11, 1), (31, 11)]:
        machine.add(pid, parent)
    if request.param == "listed":
        for pid, children in [
            (1, "10 11 "),
            (10, "20 "),
            (20, ""),
            (21, "30 "),
            (30, ""),
            (11, "31 "),
            (31, ""),
        ]:
            machine.list_children(pid, children)
        machine.list_children(10, "21 ", task=12)
    return machine


def test_children_and_theirs_are_found(machine: Machine) -> None:
    assert sorted(descendants(10, str(machine.folder))) == [20, 21, 30]
    assert descendants(30, str(machine.folder)) == {}


def test_process_is_described(machine: Machine) -> None:
    machine.add(30, 21, "a) R (b", line=b"program\0--opt\nion\0", state="Z")
    assert descendants(21, str(machine.folder)) == {
        30: Process(
            pid=30, started=99, parent=21, group=1, session=7, ended=True, command="program --opt ion"
        )
    }


def test_process_without_a_command_line_goes_by_its_name(machine: Machine) -> None:
    machine.add(30, 21, "a) R (b")
    assert descendants(21, str(machine.folder))[30].command == "a) R (b"


def test_process_that_goes_meanwhile_is_left_out(machine: Machine) -> None:
    machine.folder.joinpath("30/stat").write_bytes(b"")
    assert sorted(descendants(10, str(machine.folder))) == [20, 21]


def test_where_a_number_of_ours_is_somebody_else_nobody_is_found(machine: Machine) -> None:
    link = machine.folder / "self"
    link.symlink_to(str(os.getpid()))
    assert sorted(descendants(10, str(machine.folder))) == [20, 21, 30]
    link.unlink()
    link.symlink_to(str(os.getpid() + 1))
    assert descendants(10, str(machine.folder)) == {}


def test_where_nothing_is_known_nothing_is_found(tmp_path: Path) -> None:
    assert descendants(10, str(tmp_path)) == {}


# --- temporary files --------------------------------------------------------------------------------


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    notes, stop = take_notes()
    yield notes.paths
    stop()


def left(paths: list[str], *kept: str) -> list[str]:
    return [change.text for change in left_paths(paths, lambda: kept)]


def test_what_tempfile_makes_is_noted(watched: list[str]) -> None:
    folder = tempfile.mkdtemp()
    descriptor, file = tempfile.mkstemp()
    os.close(descriptor)
    assert watched == [folder, file]
    assert left(watched) == [f"directory {folder} is still there", f"file {file} is still there"]


def test_what_is_gone_is_not_left(watched: list[str]) -> None:
    with tempfile.TemporaryDirectory(), tempfile.NamedTemporaryFile(), tempfile.TemporaryFile():
        pass
    assert watched
    assert left(watched) == []


def test_what_lies_in_a_folder_that_is_kept_is_not_left(watched: list[str], tmp_path: Path) -> None:
    tempfile.mkdtemp()
    assert left(watched, str(tmp_path)) == []
    assert left(watched, f"{tmp_path}-2") != []


def test_of_nested_folders_the_outermost_is_left(watched: list[str]) -> None:
    folder = tempfile.mkdtemp()
    tempfile.mkdtemp(dir=folder)
    assert left(watched) == [f"directory {folder} is still there"]


def test_relative_paths_and_bytes_are_understood(
    watched: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tempfile.mkdtemp(dir=".")
    tempfile.mkdtemp(dir=b".")
    assert all(os.path.dirname(path) == str(tmp_path) for path in watched)
    assert len(left(watched)) == 2


def test_who_stops_watching_gets_no_more_and_others_do(watched: list[str]) -> None:
    notes, stop = take_notes()
    tempfile.mkdtemp()
    stop()
    tempfile.mkdtemp()
    assert (len(notes.paths), len(watched)) == (1, 2)
