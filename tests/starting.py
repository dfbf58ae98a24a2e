"""Starts whole runs of pytest, each by a fork of a process that has imported pytest and done nothing else.

Otherwise the import of pytest takes a third of the processor time of a small run, and there are thousands.
A forked run finds what one in a new interpreter finds (`tests/test_starting.py` compares them), and is a
child of whoever asked for it. What has to be there at an interpreter's start, such as a limit or a variable
that Python reads then, needs a new one.
"""

from __future__ import annotations

import atexit
import ctypes
import marshal
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import BinaryIO

__all__ = ["FLAGS", "MARKER", "ForkedRun", "Starter", "circumstances"]

#: The variable that tells whose run a process belongs to. Its value has 32 characters.
MARKER = "PROCPAR_END_TO_END"
#: How a run is started in a new interpreter.
FLAGS = (
    "-c",
    "import signal, sys, pytest; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "sys.exit(pytest.main())",
)

_PR_SET_CHILD_SUBREAPER = 36
#: Variables that matter at the start of an interpreter, of the C library or of coverage: their beginnings.
_READ_AT_START = ("PYTHON", "LC_", "LANG", "TZ", "LD_", "MALLOC_", "GLIBC_", "COV")
_LIMITS = sorted(value for name, value in vars(resource).items() if name.startswith("RLIMIT_"))


def circumstances(environ: Mapping[str, str]) -> object:
    """What a new process gets from the one that starts it, and a forked one from that which it copies."""
    variables = {
        name: value
        for name, value in environ.items()
        if name.startswith(_READ_AT_START) and name != "PYTHONPATH"
    }
    limits = [resource.getrlimit(limit) for limit in _LIMITS]
    return variables, limits, os.sched_getaffinity(0), signal.pthread_sigmask(signal.SIG_BLOCK, ())


class ForkedRun:
    """A run that was forked, with the part of `subprocess.Popen` that tests use."""

    def __init__(self, pid: int, stdout: int, stderr: int) -> None:
        self.pid = pid
        self.stdout: BinaryIO = open(stdout, "rb", buffering=0)  # noqa: SIM115
        self._stderr: BinaryIO = open(stderr, "rb", buffering=0)  # noqa: SIM115
        self.returncode: int | None = None
        self._read: dict[BinaryIO, bytes] = {self.stdout: b"", self._stderr: b""}

    def send_signal(self, signum: int) -> None:
        """Send a signal, unless the end is known."""
        if self.returncode is None:
            os.kill(self.pid, signum)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit status, or minus the number of the signal.

        :raises subprocess.TimeoutExpired: if that takes longer than `timeout` seconds.
        """
        if self.returncode is None:
            fd = os.pidfd_open(self.pid)
            try:
                if not select.select([fd], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired(FLAGS, timeout or 0.0)
            finally:
                os.close(fd)
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[bytes, bytes]:
        """Read all that is written until the end; what was read before a time-out is kept for the next call.

        :raises subprocess.TimeoutExpired: if that takes longer than `timeout` seconds.
        """
        end = None if timeout is None else monotonic() + timeout
        while files := [file for file in self._read if not file.closed]:
            left = None if end is None else max(0.0, end - monotonic())
            ready: list[BinaryIO] = select.select(files, [], [], left)[0]
            if not ready:
                raise subprocess.TimeoutExpired(FLAGS, timeout or 0.0)
            for file in ready:
                data = file.read(1 << 16)
                self._read[file] += data
                if not data:
                    file.close()
        self.wait(None if end is None else max(0.0, end - monotonic()))
        return self._read[self.stdout], self._read[self._stderr]

    def close(self) -> None:
        """Close what is left open."""
        for file in self._read:
            file.close()


class Starter:
    """A process that has imported pytest, from which runs are forked.

    :param environ: its environment; runs get their own.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._owner = os.getpid()
        requests, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        script = Path(__file__).with_name("starter.py").read_text(encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, str(requests), str(answers)],
            cwd="/", env={**environ, MARKER: "0" * 32}, pass_fds=(requests, answers),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip
        os.close(requests)
        os.close(answers)
        atexit.register(self.close)

    def start(
        self, args: Sequence[str], environ: Mapping[str, str], cwd: str, process_group: int | None = None
    ) -> ForkedRun:
        """Fork a run, which becomes a child of this process."""
        out, to_out = os.pipe()
        err, to_err = os.pipe()
        streams = [("/dev/null", os.O_RDONLY)]
        streams += [(f"/proc/{self._owner}/fd/{fd}", os.O_WRONLY) for fd in (to_out, to_err)]
        request = {
            "args": list(args), "environ": dict(environ), "cwd": cwd, "group": process_group, "flags": FLAGS,
            "streams": streams,
        }  # fmt: skip
        _adopt_orphans(True)
        try:
            _write(self._requests, marshal.dumps(request))
            pid = int.from_bytes(os.read(self._answers, 4), "little")
        finally:
            _adopt_orphans(False)
        if not pid:
            self.close()
            raise OSError("no run could be forked")
        os.close(to_out)
        os.close(to_err)
        return ForkedRun(pid, out, err)

    @property
    def is_usable(self) -> bool:
        """Whether this is the process that it was made in, and it has not been closed."""
        return os.getpid() == self._owner and self._process.returncode is None

    def close(self) -> None:
        """End the process. It would end by itself, but not while forks of this one hold the pipe to it."""
        if self.is_usable:
            atexit.unregister(self.close)
            os.close(self._requests)
            os.close(self._answers)
            self._process.kill()
            self._process.communicate()


def _adopt_orphans(on: bool) -> None:
    """Let processes whose parent ends become children of this one."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
