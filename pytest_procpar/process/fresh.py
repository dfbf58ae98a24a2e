"""Runs pytest in fresh processes, as a user would, and reads how tests ended there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pytest_procpar.core.probes import Word
from pytest_procpar.core.record import record
from pytest_procpar.process.descendants import descendants, line_of, reap, set_subreaper
from pytest_procpar.process.system import monotonic, pause

__all__ = ["FreshRun", "run_fresh"]

_PREFIXES = ("PYTEST_XDIST_", "COVERAGE_", "COV_CORE_")
_NAMES = ("PYTEST_CURRENT_TEST", "PYTEST_VERSION")
_POLL_SECONDS = 0.05
#: How long a run may take to exit after it has told its results, in seconds.
_EXIT_SECONDS = 2.0
#: How long the kernel may take to let go of processes that were killed, in seconds.
_LEFTOVER_SECONDS = 2.0
_WORDS = {
    "passed": Word.PASSED, "xfailed": Word.PASSED, "xpassed": Word.PASSED, "skipped": Word.SKIPPED,
    "failed": Word.FAILED, "error": Word.FAILED, "crashed": Word.CRASHED, "hung": Word.HUNG,
}  # fmt: skip


@record
class FreshRun:
    """How the tests of a fresh run ended: nodeid and word of each, in the order in which they began."""

    tests: tuple[tuple[str, Word], ...]


def run_fresh(
    commands: Sequence[tuple[Sequence[str], Path]],
    folder: Path,
    lanes: int,
    deadline: float,
    ended: Callable[[], bool],
) -> list[FreshRun | None]:
    """Run commands, `lanes` at a time, each of which writes a report to the path given with it.

    None stands for a run that has written none, or was ended: at `deadline` (of `monotonic`), or when `ended`
    says so.
    """
    with _nothing_left_running():
        return _run_all(commands, folder, lanes, deadline, ended)


def _run_all(
    commands: Sequence[tuple[Sequence[str], Path]],
    folder: Path,
    lanes: int,
    deadline: float,
    ended: Callable[[], bool],
) -> list[FreshRun | None]:
    waiting = list(enumerate(commands))
    running: dict[int, _Run] = {}
    results: list[FreshRun | None] = [None] * len(commands)
    try:
        while waiting or running:
            while waiting and len(running) < lanes:
                number, (command, report) = waiting.pop(0)
                running[number] = _Run(_start(command, folder), report)
            with suppress(subprocess.TimeoutExpired):
                next(iter(running.values())).process.wait(_POLL_SECONDS)
            for number in [number for number, run in running.items() if run.over]:
                run = running.pop(number)
                _end(run.process)
                results[number] = _read(run.report)
            if ended() or monotonic() >= deadline:
                break
    finally:
        for run in running.values():
            _end(run.process)
    return results


class _Run:
    """A run in progress."""

    def __init__(self, process: subprocess.Popen[bytes], report: Path) -> None:
        self.process = process
        self.report = report
        self._reported_at: float | None = None

    @property
    def over(self) -> bool:
        """Whether it has ended, or has told its results and does not end: a test may have left a thread."""
        if self.process.poll() is not None:
            return True
        if self._reported_at is None and _read(self.report) is not None:
            self._reported_at = monotonic()
        return self._reported_at is not None and monotonic() - self._reported_at > _EXIT_SECONDS


def _start(command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_PREFIXES) and name not in _NAMES
    }
    return subprocess.Popen(
        command, cwd=folder, env=environ, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a run, if it has not ended, and what it has left running."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(2.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    _end_leftovers(process)


def _end_leftovers(process: subprocess.Popen[bytes]) -> None:
    """End what tests have left running: the run had a session, and so a process group, of its own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _nothing_left_running() -> Iterator[None]:
    """End what processes that were started meanwhile have left running, in whatever group or session.

    Where the kernel tells: what loses its parent comes to this process.
    """
    older = set(descendants(os.getpid()))
    before = set_subreaper(True)
    try:
        yield
    finally:
        deadline = monotonic() + _LEFTOVER_SECONDS
        while (left := _newer(older)) and monotonic() < deadline:
            for pid in left:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                reap(pid)
            pause(0.001)
        set_subreaper(before)


def _newer(older: set[int]) -> list[int]:
    """The processes below this one that none of the `older` ones has started."""
    below = descendants(os.getpid())
    return [pid for pid, process in below.items() if older.isdisjoint(line_of(process, below))]


def _read(path: Path) -> FreshRun | None:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        return FreshRun(tuple(_tests(report)))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _tests(report: dict[str, object]) -> list[tuple[str, Word]]:
    found = []
    for test in report["tests"]:  # type: ignore[attr-defined]
        for attempt in test["attempts"]:
            if attempt["outcome"] == "rerun":  # the next attempt counts
                continue
            start = attempt["phases"].get("setup", {}).get("start", float("inf"))
            found.append((start, test["nodeid"], _WORDS.get(attempt["outcome"], Word.LOST)))
    return [(nodeid, word) for _, nodeid, word in sorted(found, key=lambda entry: entry[0])]
