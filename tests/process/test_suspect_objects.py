"""What is named as inherited: what does not survive a fork, if the test's code touches it."""

from __future__ import annotations

import os
import random
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest

from pytest_procpar.start_method.suspect_objects import Inherited

PARENT = 4_000_000  # no process of this machine, so what has this number has been told so


@pytest.fixture
def project() -> Iterator[Callable[..., ModuleType]]:
    """Makes modules of a project, with these globals and this code."""
    made: list[str] = []

    def make(name: str, code: str, **values: object) -> ModuleType:
        module = ModuleType(name)
        module.__file__ = f"/project/{name}.py"
        vars(module).update(values)
        sys.modules[name] = module
        made.append(name)
        exec(code, vars(module))
        return module

    yield make
    for name in made:
        del sys.modules[name]


def item(module: ModuleType, name: str = "test") -> pytest.Item:
    return cast("pytest.Item", SimpleNamespace(function=getattr(module, name)))


def named(module: ModuleType) -> str:
    return Inherited(PARENT).of_test(item(module))


def held_lock() -> Any:
    lock = threading.Lock()
    lock.acquire()
    return lock


class Owned:
    def __init__(self) -> None:
        self.owner = PARENT


class Connection:
    pass


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: PARENT, "the id of the process"),
        (held_lock, "a lock that is held"),
        (lambda: random.Random(1), "a random generator"),
        (Owned, "its owner is the id of the process"),
        (Connection, "Connection"),
        (lambda: {"first": Connection()}, "it holds a "),
    ],
)
def test_what_does_not_survive_a_fork_is_named(
    project: Callable[..., ModuleType], make: Callable[[], object], word: str
) -> None:
    told = named(project("procpar_likely_a", "def test(): THING", THING=make()))
    assert told.startswith("procpar_likely_a.THING (")
    assert word in told


def test_open_files_and_sockets_are_named_as_long_as_they_are_open(
    project: Callable[..., ModuleType], tmp_path: Path
) -> None:
    with open(tmp_path / "file", "w") as file, socket.socket() as sock:
        module = project("procpar_likely_a", "def test(): FILE, SOCKET", FILE=file, SOCKET=sock)
        assert "an open file" in named(module)
        del vars(module)["FILE"]
        assert "a socket" in named(module)
    assert named(module) == ""


@pytest.mark.parametrize(
    "value", [1, "text", threading.Lock(), random.SystemRandom(), os, len, Connection, sys.stdout, {}, None]
)
def test_what_survives_is_not_named(project: Callable[..., ModuleType], value: object) -> None:
    assert named(project("procpar_likely_a", "def test(): THING", THING=value)) == ""


def test_what_the_test_does_not_touch_is_not_named(project: Callable[..., ModuleType]) -> None:
    assert named(project("procpar_likely_a", "def test(): OTHER", THING=PARENT, OTHER=1)) == ""


def test_it_is_found_behind_functions_and_modules(project: Callable[..., ModuleType]) -> None:
    store = project("procpar_likely_b", "def get(): return THING", THING=Connection())
    direct = project("procpar_likely_a", "def test(): store.THING", store=store)
    behind = project("procpar_likely_c", "def test(): store.get()", store=store)
    taken = project("procpar_likely_d", "def helper(): get()\ndef test(): helper()", get=store.get)
    for module in (direct, behind, taken):
        assert named(module).startswith("procpar_likely_b.THING (")


def test_of_a_traceback_the_last_frame_counts_most(project: Callable[..., ModuleType]) -> None:
    store = project(
        "procpar_likely_b",
        "class Store:\n    def __init__(self): self.owner = OWNER\n    def use(self): raise ValueError\n"
        "STORE = Store()",
        OWNER=PARENT,
    )
    module = project("procpar_likely_a", "def test(): FIRST, get()", FIRST=PARENT, get=store.STORE.use)
    inherited = Inherited(PARENT)
    with pytest.raises(ValueError) as raised:
        module.test()
    told = inherited.of_traceback(raised.value.__traceback__, item(module))
    assert told == "procpar_likely_b.STORE (its owner is the id of the process that was forked from)"


def test_what_has_no_code_names_nothing() -> None:
    nothing = cast("pytest.Item", SimpleNamespace())
    assert Inherited(PARENT).of_test(nothing) == ""
    assert Inherited(PARENT).of_traceback(None, nothing) == ""


def test_an_object_that_raises_whatever_is_asked_does_no_harm(project: Callable[..., ModuleType]) -> None:
    code = (
        "class Prickly:\n    def __getattribute__(self, name): raise RuntimeError(name)\n"
        "    def __eq__(self, other): raise RuntimeError\n    __hash__ = None\n"
        "THING = Prickly()\ndef test(): THING"
    )
    assert named(project("procpar_likely_a", code)) == ""
