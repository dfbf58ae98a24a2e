"""What holds for every test of the process layer: it ends, and leaves nothing behind."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType

import pytest

from tests.conftest import end_starter

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
    end_starter()  # tests of whole runs that this process has run before, or this test itself
    threads, descriptors = set(threading.enumerate()), open_descriptors()
    yield
    end_starter()
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
