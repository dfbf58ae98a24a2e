"""A process that starts programs for its owner, the controller, and cleans up if the owner dies.

However the owner ends, its end of a pipe is closed. Then the warden kills the programs and their descendants,
puts back the project's files that they have changed, removes the folder that they write to, and ends. It is
an interpreter of its own that imports little, in a session of its own: no signal to the controller reaches
it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypedDict

from pytest_procpar.forking.bare_interpreter import bare_interpreter
from pytest_procpar.system.calls import monotonic, pause
from pytest_procpar.system.descendants import bind_death, descendants, reap, set_subreaper
from pytest_procpar.system.genuine import READ, make_poll
from pytest_procpar.system.headroom import FIRST_TO_GO, be_expendable
from pytest_procpar.system.inherited import reap_inherited
from pytest_procpar.system.kept_files import put_back
from pytest_procpar.system.shortage import in_words

__all__ = ["Warden", "main"]


class _Order(TypedDict, total=False):
    """What the warden is told: to start a program, to end some, or to kill all that is left."""

    start: int
    command: list[str]
    cwd: str
    environ: dict[str, str]
    errors: str
    end: list[int]
    sweep: bool


class _Answer(TypedDict, total=False):
    """What it says: its folder or why it has failed, a program's end, and that all is killed."""

    folder: str
    failed: str
    number: int
    how: int | str
    swept: bool


_KEPT = "kept"
#: How long a program may take to end on SIGTERM, in seconds.
_GRACE = 2.0
#: How long killed processes may take to be gone, in seconds.
_LEFTOVER_SECONDS = 2.0


class Warden:
    """The owner's side of a warden. Programs have numbers. It is to be used only after `wait`.

    :raises OSError: if the process cannot be made.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            bare_interpreter("pytest_procpar.fresh.warden"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True, bufsize=0,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders, self._answers = self._process.stdin, self._process.stdout
        self._heard = b""
        self._count = 0
        self._running: set[int] = set()
        #: The folder that programs write to; removed at the end.
        self.folder: Path
        #: The folder for copies of changed files (see `system.kept_files`): the owner makes it, the warden
        #: restores from it.
        self.kept: Path

    def wait(self) -> None:
        """Wait until it is able to start programs.

        :raises OSError: if it cannot: it is closed then.
        """
        if hasattr(self, "folder"):
            return
        told = next(self._listen(None), {"failed": "the process that was to start it has died"})
        if "folder" not in told:
            self.close()
            raise OSError(told["failed"])
        self.folder = Path(told["folder"])
        self.kept = self.folder / _KEPT

    def __enter__(self) -> Warden:
        self.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(
        self, command: Sequence[str], cwd: Path, environ: Mapping[str, str], errors: Path | None = None
    ) -> int:
        """Start a program without input and output; `errors` is the file for its standard error.

        If it could not be started, `hear` says so.
        """
        number = self._count
        self._count += 1
        self._running.add(number)
        self._say(
            start=number, command=list(command), cwd=str(cwd), environ=dict(environ),
            errors=os.devnull if errors is None else str(errors),
        )  # fmt: skip
        return number

    def hear(self, seconds: float) -> list[tuple[int, int | str]]:
        """The programs that have ended: number, and exit code (negative: a signal) or why it never ran.

        Waits up to `seconds` for the first one.
        """
        told = [(told["number"], told["how"]) for told in self._listen(seconds)]
        found = [(number, how) for number, how in told if number in self._running]
        self._running.difference_update(number for number, _ in found)
        return found

    def end(self, numbers: Sequence[int]) -> None:
        """End programs with SIGTERM, then SIGKILL if that takes too long, and kill their process groups."""
        if numbers:
            self._say(end=list(numbers))
        self._running.difference_update(numbers)

    def sweep(self) -> None:
        """Kill everything that programs have left running, in any group or session; wait for its end."""
        self._say(sweep=True)
        while "swept" not in next(self._listen(None), {"swept": True}):
            pass

    def close(self) -> None:
        """End the warden, which kills what it has started, restores files and removes the folder."""
        for stream in (self._orders, self._answers):
            stream.close()
        self._process.wait()
        folder = getattr(self, "folder", None)
        if folder is not None:  # the warden may have been killed
            shutil.rmtree(folder, ignore_errors=True)

    def _say(self, **order: object) -> None:
        data = memoryview(json.dumps(order).encode() + b"\n")
        with suppress(BrokenPipeError):  # it is dead, as `_listen` will notice
            while data:  # a signal may cut a write short
                data = data[self._orders.write(data) :]

    def _listen(self, seconds: float | None) -> Iterator[_Answer]:
        """The warden's answers; waits up to `seconds` for the first one (None: forever)."""
        poll = make_poll()
        poll.register(self._answers, READ)
        while b"\n" not in self._heard:
            if not poll.poll(None if seconds is None else max(0.0, seconds) * 1000):
                return
            data = self._answers.read(1 << 16)
            if not data:  # it is dead, and so is what it has started
                why = "the process that has started it has died"
                yield from (_Answer(number=number, how=why) for number in sorted(self._running))
                return
            self._heard += data
        while b"\n" in self._heard:
            line, _, self._heard = self._heard.partition(b"\n")
            yield json.loads(line)


# --- the process ----------------------------------------------------------------------------------


def main() -> None:
    """Be the warden: orders come on standard input, answers go to standard output."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: None)  # programs inherit SIG_IGN, but no handler
    set_subreaper(True)
    try:
        folder = tempfile.mkdtemp(prefix="procpar-")
    except OSError as error:
        _tell(failed=in_words(error))
        return
    try:
        _tell(folder=folder)
        _Keeper().serve()
    except BrokenPipeError:
        pass
    finally:
        _sweep()
        with suppress(OSError):
            put_back(Path(folder, _KEPT))
        shutil.rmtree(folder, ignore_errors=True)


def _tell(**answer: object) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


class _Keeper:
    """Carries out orders until the owner is gone."""

    def __init__(self) -> None:
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._die_with, self._pid = bind_death(), os.getpid()
        self._woken, wake = os.pipe()
        for fd in (self._woken, wake):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Start and end programs, and report when they end."""
        poll = make_poll()
        for fd in (0, self._woken):
            poll.register(fd, READ)
        unread = b""
        while True:
            for fd, _ in poll.poll():
                data = os.read(fd, 1 << 16)
                if fd == 0:
                    if not data:
                        return
                    *lines, unread = (unread + data).split(b"\n")
                    for line in lines:
                        self._obey(json.loads(line))
            self._reap()

    def _obey(self, order: _Order) -> None:
        if "start" in order:
            self._start(order["start"], order["command"], order["cwd"], order["environ"], order["errors"])
        elif "end" in order:
            self._end([self._running.pop(number) for number in order["end"] if number in self._running])
        else:
            _sweep()
            _tell(swept=True)

    def _start(self, number: int, command: list[str], cwd: str, environ: dict[str, str], errors: str) -> None:
        try:
            with open(errors, "wb") as stderr:
                self._running[number] = subprocess.Popen(
                    command, cwd=cwd, env=environ, start_new_session=True, preexec_fn=self._prepare,
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
                )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            _tell(number=number, how=in_words(error))

    def _prepare(self) -> None:
        """Runs in the new process: die with the warden, and before others if memory runs out."""
        be_expendable(FIRST_TO_GO)
        self._die_with(self._pid)

    def _reap(self) -> None:
        for number, process in list(self._running.items()):
            code = process.poll()
            if code is not None:
                del self._running[number]
                _kill(os.killpg, process.pid)
                _tell(number=number, how=code)
        reap_inherited({process.pid for process in self._running.values()})

    def _end(self, processes: list[subprocess.Popen[bytes]]) -> None:
        for process in processes:
            process.terminate()
        deadline = monotonic() + _GRACE
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - monotonic()))
            _kill(os.killpg, process.pid)
            process.wait()


def _kill(how: Callable[[int, int], None], pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        how(pid, signal.SIGKILL)


def _sweep() -> None:
    """Kill all descendants of this process; where it can be a subreaper (Linux), these include orphans."""
    deadline = monotonic() + _LEFTOVER_SECONDS
    while (left := descendants(os.getpid())) and monotonic() < deadline:
        for pid in left:
            _kill(os.kill, pid)
            reap(pid)
        pause(0.001)
