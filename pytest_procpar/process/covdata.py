"""Coverage's data in processes that end without Coverage's own exit handler, and back in the first one.

Coverage is never imported here: who does not measure does not pay for it. Written against the private parts
of coverage 7; where they are gone, data is saved as Coverage itself would, in a file for each process.
"""

from __future__ import annotations

import atexit
import glob
import os
import socket
import sys
from typing import Any

from pytest_procpar.process.system import getpid

__all__ = ["collect_coverage", "leave_coverage", "save_coverage"]

#: What the names of this run's data files have in common.
_TOKEN = os.urandom(6).hex()


def _running() -> list[Any]:
    """The measurements that run in this process: by ``coverage run``, pytest-cov, or the API."""
    control = sys.modules.get("coverage.control")
    return list(getattr(getattr(control, "Coverage", None), "_instances", ()))


def save_coverage(group: int) -> None:
    """Write out what this process has measured, if anything measures.

    :param group: a pid. Processes of one group save to one file, never at the same time: for each of 10,000
        tests a file of its own would take a minute to combine.
    """
    for instance in _running():
        data = getattr(instance, "_data", None)
        try:
            if data is not None:
                _choose_file(data, group)
            instance.save()
        except Exception as error:  # a full disk, or what it needs is patched by a test
            sys.stderr.write(f"pytest-procpar: coverage data of a process could not be saved: {error!r}\n")


def _choose_file(data: Any, group: int) -> None:
    """Let data be added to the group's file. By itself it would overwrite: the file of the process before,
    or, if one file was asked for, that of the run.
    """
    try:
        given = f"{data._suffix}." if isinstance(data._suffix, str) else ""
        data._our_suffix = False  # else it is renamed when it is closed
        data._suffix = f"{given}{socket.gethostname()}.pid{group}.X{_TOKEN}x"
        data._reset()
        data._choose_filename()
        data._pid = getpid()
        data.read()
    except AttributeError:
        pass


def leave_coverage() -> None:
    """Let Coverage not save at this process's exit what others, which were forked from it, have saved."""
    for instance in _running():
        atexit.unregister(getattr(instance, "_atexit", None))  # type: ignore[arg-type]


def collect_coverage() -> None:
    """In the process that has started the others: take over their data, if one file was asked for.

    Otherwise whoever asked for several combines them.
    """
    for instance in _running():
        data = getattr(instance, "_data", None)
        if data is None or getattr(data, "_suffix", True):
            continue
        for path in glob.glob(f"{glob.escape(data.base_filename())}.*.X{_TOKEN}x"):
            other = type(data)(path)
            other.read()
            instance.get_data().update(other)
            other.close(force=True)
            os.unlink(path)
