"""Coverage's data in processes that are forked, may die, and end without Coverage's own exit handler.

Coverage is imported only by an interpreter that measures, so that others do not pay for it. Written against
the private parts of coverage 7 (`control.py`, `collector.py`, `sqldata.py`, `multiproc.py`).

- The measurement that runs at a fork goes on in the child, and saves to a file of the child's own. One that
  only waits for another one to end is not continued: in a plain run it would not measure that either.
- After each test a process notes the lines that are new, in memory that outlives it (`Journal`), since it
  writes its file only at its regular end. If Coverage distinguishes contexts, it writes each to the file
  itself when the context ends, so nothing more is done then.
- The first process takes over what dead processes noted and, if the user asked for one file, all files.
"""

from __future__ import annotations

import atexit
import base64
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pytest_procpar.compat.foreign_options import measures_coverage
from pytest_procpar.ipc.journal import Journal
from pytest_procpar.system.calls import getpid

if TYPE_CHECKING:
    import pytest

    from pytest_procpar.coverage_data.private_parts import Data, Instance, Lines

__all__ = [
    "LOST", "ONE_TEST", "SEVERAL_TESTS", "STATE", "TOKEN", "begin_beside", "coverage_looks_away",
    "forget_coverage", "join_coverage", "keep_coverage_of_terminated", "leave_coverage", "note_coverage",
    "own_coverage", "pass_on_coverage", "running_instances", "save_coverage", "save_shared_coverage",
    "suffix_of",
]  # fmt: skip

_VARIABLES = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
#: What the names of this run's data files share: with the letter after it, Coverage's six characters.
TOKEN = base64.b32encode(os.urandom(5)).decode()[:5]
# Bound here, since tests replace the originals.
_random = os.urandom
#: The roles of processes: one that runs one test, and one that runs several and is then replaced by another.
ONE_TEST, SEVERAL_TESTS = "i", "r"
_OTHER, LOST = "p", "l"


class _State:
    """What a process knows about its measurement."""

    #: Made before the first fork if something is measured then.
    journal: Journal | None = None
    mine: _Measurement | None = None
    #: Whether no process of ours has forked this one. A test may start a run of its own, with workers, in its
    #: process: what is said here about the first process does not hold for that run.
    first = True


STATE = _State()


def running_instances() -> list[Instance]:
    """The measurements that run in this process: by ``coverage run``, pytest-cov, or the API."""
    control = sys.modules.get("coverage.control")
    return list(getattr(getattr(control, "Coverage", None), "_instances", ()))


@contextmanager
def coverage_looks_away() -> Iterator[None]:
    """Keep coverage's own at-fork handler (``patch = fork``) from starting a second measurement.

    The inherited measurement goes on, and saves under the new process's name. See Coverage's `patch.py`. If
    its private list is gone, nothing is done.
    """
    control = sys.modules.get("coverage.control")
    instances: list[Instance] | None = getattr(getattr(control, "Coverage", None), "_instances", None)
    if not instances:
        yield
        return
    if STATE.journal is None:
        STATE.journal = Journal()
    saved = list(instances)
    hidden = {name: os.environ.pop(name) for name in _VARIABLES if name in os.environ}
    instances.clear()
    try:
        yield
    finally:
        instances.extend(saved)
        os.environ.update(hidden)


def own_coverage(group: int | None = None, role: str = _OTHER) -> None:
    """In a process that has just been forked, go on measuring, and save to a file of its own.

    :param group: a pid. Processes of one group and role save to one file, one after the other: to combine a
        file for each of 10,000 tests would take a minute. By default a process has a group to itself.
    :param role: a letter that says what the process is.
    """
    STATE.first = False
    running = running_instances()
    for instance in running[:-1]:
        _abandon(instance)
    STATE.mine = None
    if running:
        with suppress(AttributeError):  # other private parts in this version: left to Coverage
            STATE.mine = _Measurement(running[-1], group or getpid(), role)


def leave_coverage() -> None:
    """From now on, save nothing that this process, or one that it forks, measures."""
    STATE.mine = None
    for instance in running_instances():
        _abandon(instance)
        atexit.unregister(getattr(instance, "_atexit", None))  # type: ignore[arg-type]


def forget_coverage() -> None:
    """Do as `leave_coverage`, and also measure nothing in what tests start: the tests are only run again."""
    leave_coverage()
    for name in _VARIABLES:
        os.environ.pop(name, None)
    control = sys.modules.get("coverage.control")
    if control is not None:
        control.Coverage._instances.clear()
    patched = sys.modules.get("coverage.multiproc")
    if patched is not None:
        with suppress(AttributeError):
            patched.OriginalProcess._bootstrap = patched.original_bootstrap
    spawn = sys.modules.get("multiprocessing.spawn")
    if patched is not None and spawn is not None:
        prepare = spawn.get_preparation_data

        def prepare_without_coverage(name: str) -> dict[str, object]:
            data: dict[str, object] = prepare(name)
            data.pop("stowaway", None)
            return data

        vars(spawn)["get_preparation_data"] = prepare_without_coverage


def _abandon(instance: Instance) -> None:
    """Let a measurement go on for whatever uses it, but only in memory."""
    with suppress(AttributeError):
        instance._warn_no_data = instance._warn_unimported_source = False
        instance._collector.pid = getpid()
        data = instance._data
        data._no_disk, data._our_suffix = True, False
        data._reset()
        data._choose_filename()
        data._pid = getpid()


def keep_coverage_of_terminated() -> None:
    """Restore Coverage's handler of SIGTERM (``sigterm = true``) where the parent's handlers are dropped.

    It matters less for this process than for those that tests fork, which inherit it.
    """
    for instance in running_instances():
        with suppress(AttributeError):
            if instance.config.sigterm:
                signal.signal(signal.SIGTERM, instance._on_sigterm)


def pass_on_coverage(config: pytest.Config) -> tuple[str, str] | None:
    """What a fresh interpreter needs to take part in the measurement here; None if it needs nothing.

    Coverage starts there by itself if ``patch = subprocess`` says so, and pytest-cov in each worker.
    """
    if not running_instances() or any(name in os.environ for name in _VARIABLES):
        return None
    instance = running_instances()[-1]
    plugin = config.pluginmanager.getplugin("_cov")
    if instance is getattr(getattr(plugin, "cov_controller", None), "cov", None):
        return None
    serialize = getattr(instance.config, "serialize", None)  # since 7.10
    return None if serialize is None else (serialize(), TOKEN)


def begin_beside(config: pytest.Config) -> list[str]:
    """The options that keep a fresh interpreter from erasing what other processes of the run have saved.

    pytest-cov begins there as in the first process, before it knows of a worker: it would erase all data.
    """
    return ["--cov-append"] if measures_coverage(config) else []


def join_coverage(passed: tuple[str, str]) -> None:
    """Take part in the measurement, in a fresh interpreter."""
    global TOKEN
    config, TOKEN = passed
    from coverage import Coverage

    Coverage(config_file=f":data:{config}").start()
    own_coverage()


class _Measurement:
    """This process's part in what is measured."""

    def __init__(self, instance: Instance, group: int, role: str) -> None:
        self._instance = instance
        self._collector = instance._collector
        self._id = _random(8)
        self._role = role
        #: What has been noted, and how much there was of it at the last look.
        self._seen: dict[str, Lines] = {}
        self._sizes: list[int] = []
        # Otherwise Coverage takes the collector for the parent's as soon as a test measures something itself.
        self._collector.pid = getpid()
        # Another process may have data, so only the first process may warn that there is none.
        instance._warn_no_data = instance._warn_unimported_source = False
        _use_file(instance._data, group, role)

    def note(self) -> None:
        """Note the lines that are new."""
        collector = self._collector
        if self._role == ONE_TEST:  # it is about to save
            return
        lines = collector.data.copy()
        if self._in_context():
            if any(lines.values()):
                collector.flush_data()
            return
        sizes = [len(found) for found in lines.values()]
        if sizes == self._sizes or STATE.journal is None:
            return
        new: dict[str, Lines] = {}
        for name, found in lines.items():
            seen = self._seen.get(name)
            if seen is None or len(seen) != len(found):
                fresh = found.copy() if seen is None else found.difference(seen)
                if fresh:
                    new[name] = fresh
        tracers = {name: collector.file_tracers[name] for name in new if name in collector.file_tracers}
        if new and not STATE.journal.append((self._id, new, tracers)):
            return  # perhaps it works the next time
        for name, fresh in new.items():
            self._seen.setdefault(name, set()).update(fresh)
        self._sizes = sizes

    def _in_context(self) -> bool:
        """Whether contexts are distinguished: then memory holds only the lines of the current one."""
        collector = self._collector
        return (
            collector.should_start_context is not None
            or collector.covdata._current_context != collector.static_context
        )

    def save(self) -> None:
        """Write the data to the file.

        `Coverage.save` is not used: it also searches all folders for files that were not executed, which the
        first process does.
        """
        self._collector.flush_data()
        if STATE.journal is not None:
            unmatched = getattr(self._instance._inorout, "source_pkgs_unmatched", ())
            STATE.journal.append((self._id, list(unmatched)))


def _use_file(data: Data, group: int, role: str) -> None:
    """Make data be added to a file.

    By itself Coverage would overwrite it: the file of the process before or, if one file was asked for, that
    of the run. What a test forks without us still gets a name from Coverage, as under plain pytest.
    """
    data._our_suffix = False  # otherwise it is renamed when it is closed
    data._reset()
    data._filename = f"{data.base_filename()}.{suffix_of(data, group, role)}"
    data._pid = getpid()
    data._have_used = True  # otherwise what is there is erased


def suffix_of(data: Data, group: int, role: str) -> str:
    """The suffix of a data file that this process writes."""
    given = f"{data._suffix}." if isinstance(data._suffix, str) else ""
    host = socket.gethostname().replace(".", "_")
    return f"{given}{host}.pid{group}.X{TOKEN}{role}x"


def note_coverage() -> None:
    """After a test, note what was measured since the last one, so that it outlives this process."""
    mine = STATE.mine
    if mine is not None:
        try:
            mine.note()
        except Exception as error:
            STATE.mine = None
            sys.stderr.write(f"pytest-procpar: coverage data could not be noted: {error!r}\n")


def save_shared_coverage() -> None:
    """In a process from which others will be forked, write out what each of them would have to write."""
    own_coverage()
    _save()


def save_coverage() -> None:
    """Write out what this process has measured. What it measures from now on is not saved."""
    _save()
    leave_coverage()


def _save() -> None:
    if STATE.mine is not None:
        try:
            STATE.mine.save()
        except Exception as error:  # a full disk, or a test has patched what this needs
            sys.stderr.write(f"pytest-procpar: coverage data of a process could not be saved: {error!r}\n")
