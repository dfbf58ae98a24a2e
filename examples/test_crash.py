"""A test that takes its process with it. The tests around it are none the worse for that."""

from __future__ import annotations

import os
import signal


def test_before_the_crash() -> None:
    assert 1 + 1 == 2


def test_that_crashes() -> None:
    # What a bug in a C extension does. Under plain pytest the whole run ends here.
    os.kill(os.getpid(), signal.SIGSEGV)


def test_after_the_crash() -> None:
    assert 1 + 1 == 2
