"""How much memory check-points take, as the kernel tells, and which have to go for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

#: Forks check-points of a process that holds 32 MiB, of which it changes every page between any two.
_FORKING = """
import os, signal
from pytest_procpar.core.model import TestIndex
from pytest_procpar.system.calls import socket_pair
from pytest_procpar.ipc.port import Port
from pytest_procpar.recheck.probing.checkpoints import CheckpointTree, ProbeHandle

PAGES = range(0, 32 << 20, 4096)
data = bytearray(32 << 20)
port = Port(socket_pair()[0])
pids = []

def change():
    for place in PAGES:
        data[place] = (data[place] + 1) % 256

def forked(parent):
    pid = os.fork()
    if pid == 0:
        signal.pause()
    pids.append(pid)
    handle = ProbeHandle(port, parent)
    handle.found(pid)
    return handle

try:
    change()
    root = forked(None)
    {deed}
finally:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
"""

needs_figures = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="the kernel does not tell how memory is shared"
)


def told_by(deed: str) -> list[int]:
    """The numbers that a process prints which forks check-points and does this."""
    script = _FORKING.replace("{deed}", deed.strip().replace("\n", "\n    "))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return list(map(int, done.stdout.split()))


@needs_figures
def test_a_check_point_grows_when_what_it_shares_is_changed_elsewhere() -> None:
    at_its_fork, later = told_by("""
change()
handle = forked(root)
handle.measure()
print(handle.size)
change()
handle.measure()
print(handle.size)
""")
    assert later - at_its_fork > 12 << 20


@needs_figures
@pytest.mark.parametrize(("cap", "fewest", "most"), [(1 << 30, 6, 6), (80 << 20, 2, 4)])
def test_check_points_that_have_grown_too_large_have_to_go(cap: int, fewest: int, most: int) -> None:
    (left,) = told_by(f"""
tree = CheckpointTree(root, {cap})
for number in range(6):
    handle = forked(root)
    handle.tests = (TestIndex(number),)
    for gone in tree.keep(handle):
        os.kill(gone.pid, signal.SIGKILL)
        os.waitpid(gone.pid, 0)
        pids.remove(gone.pid)
    change()
print(len(tree.handles()) - 1)
""")
    assert fewest <= left <= most


@needs_figures
def test_what_all_share_with_the_root_counts_once_at_the_most() -> None:
    (left,) = told_by("""
tree = CheckpointTree(root, 1 << 20)
for number in range(6):
    handle = forked(root)
    handle.tests = (TestIndex(number),)
    assert not tree.keep(handle)
print(len(tree.handles()) - 1)
""")
    assert left == 6
