"""What holds for every test of the process layer: it ends, and leaves nothing behind."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import resource_tracker
from pathlib import Path
from types import FrameType

import pytest

from tests.process.projects import Project

#: How long a test may take, in seconds. The slowest takes two, on a quiet machine.
LIMIT = 120


def open_descriptors() -> dict[int, str]:
    """The descriptors of this process, and what they lead to."""
    found: dict[int, str] = {}
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # the one that listed the folder
            found[int(name)] = os.readlink(f"/dev/fd/{name}")
    return found


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    threads, descriptors = set(threading.enumerate()), open_descriptors()
    yield
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert set(threading.enumerate()) == threads
    if open_descriptors() != descriptors:
        gc.collect()  # an exception's traceback may hold a stream
    assert open_descriptors() == descriptors


@pytest.fixture(autouse=True)
def _nothing_hangs(_nothing_is_left_behind: None) -> Iterator[None]:
    def give_up(signum: int, frame: FrameType | None) -> None:
        pytest.fail(f"it takes longer than {LIMIT} seconds")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.delenv("PROCPAR_TRIED", raising=False)
    monkeypatch.setenv("PROCPAR_TRIED", "")
    monkeypatch.setenv("PROCPAR_TRIED_SECRET_KEY", "")
    monkeypatch.setenv("PROCPAR_GIVEN", "12345")
    for name in ("register", "unregister"):  # it would start a process
        monkeypatch.setattr(resource_tracker, name, lambda *args: None)
    (tmp_path / "project").mkdir()
    made = Project(tmp_path / "project")
    state = random.getstate()
    yield made
    random.setstate(state)
    for name in set(made.modules):
        for value in vars(sys.modules.pop(name)).values():
            if isinstance(value, tempfile.TemporaryDirectory):
                value.cleanup()
