"""One measured command: its wall time, and what its whole process tree used.

Runs as a program of its own, once a measurement, so that the harness never becomes the reaper of
foreign processes. Imports nothing of this package, and knows nothing of pytest or contenders.

Linux only. As a *child subreaper* (prctl(2), PR_SET_CHILD_SUBREAPER) it inherits every process
whose parent ended first, so the CPU of workers that nobody waited for is counted too. The one
process it cannot see is a child whose parent ignores SIGCHLD: the kernel drops its times.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from types import FrameType

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_GRACE_S = 5.0  # what a runner's helpers may take to end after it; then they are killed
_KILL_S = 10.0  # a killed process that is not gone by then waits for a device


class _TimeUp(Exception):
    """The command ran out of time."""


def descendants(parents: Iterable[tuple[int, int]], root: int) -> list[int]:
    """All direct and indirect children of ``root``, given (process, its parent) pairs."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents:
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    queue = list(children.get(root, ()))
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue.extend(children.get(pid, ()))
    return found


def parent_of(stat: str) -> int:
    """The parent's id in the text of /proc/PID/stat (proc(5): the name may hold any character)."""
    return int(stat.rpartition(")")[2].split()[1])


def pss_of(rollup: str) -> int:
    """Bytes in the ``Pss:`` line of a smaps_rollup text; 0 where there is none (a zombie)."""
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def busy_seconds(stat: str, ticks: int) -> float:
    """Seconds all cores together were not idle, in the text of /proc/stat; stolen time is busy."""
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, stat.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / ticks


def _busy_now() -> float:
    return busy_seconds(_read("/proc/stat"), os.sysconf("SC_CLK_TCK"))


def _read(path: str) -> str:
    """The file's text, or nothing when the process is gone."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""


def _tree() -> list[int]:
    """Process ids of everything under this process."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    stats = ((pid, _read(f"/proc/{pid}/stat")) for pid in pids)
    return descendants(((pid, parent_of(stat)) for pid, stat in stats if stat), os.getpid())


def _wait(pid: int, options: int = 0) -> tuple[int, int, float]:
    """wait4: the process, its wait status, and the CPU seconds of it and all it had reaped."""
    found, status, usage = os.wait4(pid, options)
    return found, status, usage.ru_utime + usage.ru_stime


def _sample_until_end(pid: int, pause: float) -> tuple[int, float, int]:
    """Wait status and CPU seconds of ``pid``, and the largest sum of PSS over the tree (bytes)."""
    peak = 0
    while True:
        found, status, cpu = _wait(pid, os.WNOHANG)
        if found:
            return status, cpu, peak
        rollups = (_read(f"/proc/{one}/smaps_rollup") for one in _tree())
        peak = max(peak, sum(pss_of(rollup) for rollup in rollups))
        time.sleep(pause)


def _reap_rest(grace: float) -> tuple[float, int]:
    """Reap what outlived the command; kill it after ``grace`` seconds. CPU seconds, how many killed.

    Raises:
        TimeoutError: A process did not even react to SIGKILL.
    """
    cpu = 0.0
    killed: set[int] = set()
    start = time.monotonic()
    while True:
        try:
            found, _, used = _wait(-1, os.WNOHANG)
        except ChildProcessError:
            return cpu, len(killed)
        cpu += used
        if found:
            continue
        late = time.monotonic() - start - grace
        if late > _KILL_S:
            raise TimeoutError("a process outlived SIGKILL")
        if late >= 0:
            killed.update(_kill_tree())
        time.sleep(0.002)


def _kill_tree() -> list[int]:
    """SIGKILL to everything under this process; the ids it was sent to."""
    tree = _tree()
    for pid in tree:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return tree


def _time_up(_signum: int, _frame: FrameType | None) -> None:
    raise _TimeUp


def _terminated(_signum: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    """prctl(2).

    Raises:
        OSError: The kernel refuses the option.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def probe(command: list[str], log: str, timeout: float, pause: float) -> dict[str, object]:
    """Run ``command`` with its output in ``log``; see `benchmarks.measure.Measured` for the result.

    ``pause`` is the time between two memory samples in seconds; 0 takes none and disturbs nothing.
    """
    status, cpu, peak, timed_out = 0, 0.0, 0, False
    signal.signal(signal.SIGALRM, _time_up)
    with open(log, "wb") as output:
        signal.setitimer(signal.ITIMER_REAL, timeout)
        busy, start = _busy_now(), time.perf_counter()
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            if pause:
                status, cpu, peak = _sample_until_end(child.pid, pause)
            else:
                _, status, cpu = _wait(child.pid)
        except _TimeUp:
            timed_out = True
        wall, busy = time.perf_counter() - start, _busy_now() - busy
        signal.setitimer(signal.ITIMER_REAL, 0)
    child.returncode = os.waitstatus_to_exitcode(status)  # reaped here: Popen need not wait
    rest, killed = _reap_rest(0 if timed_out else _GRACE_S)
    return {
        "status": child.returncode,
        "wall": wall,
        "cpu": cpu + rest,
        "pss": peak,
        "others": max(0.0, busy - cpu - rest) / wall,
        "timed_out": timed_out,
        "left_behind": 0 if timed_out else killed,
    }


def main(arguments: list[str]) -> int:
    """Measure the command given after ``--`` and print the result as one line of JSON."""
    parser = argparse.ArgumentParser(description="Measure one command as a whole process tree.")
    parser.add_argument("--log", required=True)
    parser.add_argument("--timeout", type=float, required=True)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminated)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # a killed harness leaves nothing running
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        result = probe(options.command, options.log, options.timeout, options.pause)
    except BaseException:
        _kill_tree()
        _reap_rest(0)
        raise
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
