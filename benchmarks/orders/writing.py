"""Writes a made suite to disk: test files whose tests do what their `Behaviour` says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.orders.model import HEALTHY, Behaviour
from benchmarks.orders.planting import A_FILE

_SHARED = '''\
"""What the tests do, and the state that they share: in the environment, a class and a module."""

import fcntl
import importlib
import os
import random
import resource
import time
from pathlib import Path

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
HERE = Path(__file__).parent
#: Bytes of this file are locked by tests that may not run beside each other.
BUSY = HERE / "busy"


class Settings:
    pass


def is_set(flag):
    place, name = flag.split(":")
    if place == "environ":
        return name in os.environ
    if place == "attribute":
        return hasattr(Settings, name)
    return name in vars(importlib.import_module("test_000"))


def put(flag):
    place, name = flag.split(":")
    if place == "environ":
        os.environ[name] = "set"
    elif place == "attribute":
        setattr(Settings, name, True)
    else:
        setattr(importlib.import_module("test_000"), name, [1])


def clear(flag):
    place, name = flag.split(":")
    if place == "environ":
        os.environ.pop(name, None)
    elif place == "attribute":
        if hasattr(Settings, name):
            delattr(Settings, name)
    else:
        vars(importlib.import_module("test_000")).pop(name, None)


def play(wrong=False, crashes=False, victim_of=(), needs=(), clears=(), sets=(), once=()):
    """Judge by the flags that are found, then clear some and set some."""
    polluted = bool(victim_of) and all(map(is_set, victim_of))
    missing = [flag for flag in needs if not is_set(flag)]
    bad = wrong or polluted or missing
    if bad and crashes:
        os.abort()
    for flag in clears:
        clear(flag)
    if all(map(is_set, once)):
        for flag in sets:
            put(flag)
    assert not polluted, f"found {sorted(victim_of)}"
    assert not missing, f"missed {missing}"
    assert not wrong, "as ever"


def by_turns(name, pattern):
    """End as the pattern says, one execution after the other in whatever process."""
    with open(HERE / f"count-{name}", "a+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        file.write(b".")
        file.flush()
        count = file.tell() - 1
    assert pattern[count % len(pattern)] == "P", f"execution {count}"


def by_chance(chance):
    assert random.SystemRandom().random() >= chance


def watch():
    """Fail if a test that occupies runs at the moment."""
    with open(BUSY, "a+b") as file:
        for _ in range(100):
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.lockf(file, fcntl.LOCK_UN)
            time.sleep(0.001)


def occupy():
    with open(BUSY, "a+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        time.sleep(0.005)
'''


def nodeid(test: int) -> str:
    """The nodeid of a test."""
    return f"test_{test // A_FILE:03}.py::test_{test:05}"


def write(suite: Sequence[Behaviour], folder: Path) -> None:
    """Put the suite into an empty folder."""
    (folder / "shared.py").write_text(_SHARED, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    for start in range(0, len(suite), A_FILE):
        tests = range(start, min(start + A_FILE, len(suite)))
        lines = ["import shared\n"]
        lines += [f"\ndef test_{test:05}():\n    {_body(suite[test], test)}\n" for test in tests]
        (folder / f"test_{start // A_FILE:03}.py").write_text("\n".join(lines), encoding="utf-8")


def _body(one: Behaviour, test: int) -> str:
    if one == HEALTHY:
        return "assert True"
    if one.pattern:
        return f"shared.by_turns({test}, {one.pattern!r})"
    if one.chance:
        return f"shared.by_chance({one.chance})"
    if one.watches:
        return "shared.watch()"
    if one.occupies:
        return "shared.occupy()"
    words = [f"{name}=True" for name in ("wrong", "crashes") if getattr(one, name)]
    names = ("victim_of", "needs", "clears", "sets", "once")
    words += [f"{name}={sorted(flags)!r}" for name in names if (flags := getattr(one, name))]
    return f"shared.play({', '.join(words)})"
