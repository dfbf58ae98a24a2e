"""When a process may leave its heap to the kernel: only if nothing in a cycle would act when it is freed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TIMEOUT

pytestmark = pytest.mark.python_dependent

#: What is in a cycle, made in a fresh interpreter, where `keep` puts it.
MUTE = {
    "nothing": "pass",
    "plain objects": "class Plain: pass\nkeep(Plain(), [1], {2: 3})",
    "streams in memory": "import io; keep(io.StringIO('x'), io.BytesIO(b'x'))",
    "a closed file": "import os; file = open(os.devnull); file.close(); keep(file)",
    "a closed socket": "import socket; it = socket.socket(); it.close(); keep(it)",
    "a standard stream": "import sys; keep(sys.stdout, sys.stderr)",
    "an exhausted generator": "it = (x for x in ()); list(it); keep(it)",
    "a weak reference": "import weakref\nclass A: pass\na = A(); keep(a, weakref.ref(a))",
    "a weak dictionary": "import weakref\nclass A: pass\na = A(); keep(a, weakref.WeakValueDictionary(x=a))",
    "a class without a finalizer": "class A:\n    __slots__ = ()\nkeep(A())",
}
SPEAKING = {
    "a finalizer": "class A:\n    def __del__(self): pass\nkeep(A())",
    "a finalizer of a base class": "class A:\n    def __del__(self): pass\nclass B(A): pass\nkeep(B())",
    "an unseen finalizer": "class A:\n    __slots__ = ()\n    def __del__(self): pass\nkeep(A())",
    "an open file": "import os; keep(open(os.devnull, 'w'))",
    "a file of another class": "import io\nclass A(io.StringIO): pass\nkeep(A())",
    "what a standard stream has written to": "import sys; keep(sys.stdout.detach()); sys.stdout = None",
    "an open socket": "import socket; keep(socket.socket())",
    "a temporary file": "import tempfile; keep(tempfile.NamedTemporaryFile())",
    "a suspended generator": "def it():\n    yield\nmade = it(); next(made); keep(made)",
    "a coroutine": "async def it(): pass\nkeep(it())",
    "an asynchronous generator": "async def it(): yield\nkeep(it())",
    "a callback": "import weakref\nclass A: pass\na = A(); keep(a, weakref.ref(a, lambda _: None))",
    "a callback in C": "import weakref\nclass A: pass\na = A(); keep(a, weakref.ref(a, print))",
    "a database": "import sqlite3; keep(sqlite3.connect(':memory:'))",
    "who listens to collections": "import gc; gc.callbacks.append(lambda *_: None)",
    "debugging of the collector": "import gc; gc.set_debug(gc.DEBUG_UNCOLLECTABLE)",
    "a foreign module in C": """
import sys, types
from importlib.machinery import EXTENSION_SUFFIXES
made = sys.modules["foreign"] = types.ModuleType("foreign")
made.__file__ = f"foreign{EXTENSION_SUFFIXES[0]}"
""",
}  # fmt: skip
PROGRAM = """
import sys

KEPT = []

def keep(*things):
    cycle = [*things]
    cycle.append(cycle)
    KEPT.append(cycle)

from pytest_procpar.forking.heap_at_exit import is_mute
{made}
answer = is_mute()
with open({path!r}, "w") as file:
    file.write(str(answer))
"""


def answer(tmp_path: Path, made: str, *flags: str) -> str:
    path = tmp_path / "answer"
    program = PROGRAM.format(made=made, path=str(path))
    subprocess.run(
        [sys.executable, *flags, "-c", program], check=True, timeout=TIMEOUT, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONWARNINGS": "", "PYTHONDEVMODE": ""},
    )  # fmt: skip
    return path.read_text()


@pytest.mark.parametrize("what", MUTE)
def test_a_heap_in_which_nothing_acts_at_the_end_is_mute(tmp_path: Path, what: str) -> None:
    assert answer(tmp_path, MUTE[what]) == "True"


@pytest.mark.parametrize("what", SPEAKING)
def test_a_heap_in_which_something_acts_at_the_end_is_not(tmp_path: Path, what: str) -> None:
    assert answer(tmp_path, SPEAKING[what]) == "False"


@pytest.mark.parametrize("flags", [["-X", "dev"], ["-W", "default"]], ids=" ".join)
def test_who_wants_warnings_has_pythons_own_end(tmp_path: Path, flags: list[str]) -> None:
    assert answer(tmp_path, "pass", *flags) == "False"


LEAVING = """
import atexit, gc, os, sys
from pytest_procpar.system.frozen_heap import frozen_count

KEPT, BEFORE = {{1: [2]}}, frozen_count()

@atexit.register  # it runs after ours, which is registered later
def tell():
    os.write(1, b"frozen " if frozen_count() > BEFORE + 5000 else b"free ")
    {look}

from pytest_procpar.forking.heap_at_exit import leave_heap_at_exit
leave_heap_at_exit()
leave_heap_at_exit()
atexit.register(os.write, 1, b"handler ")
{more}
sys.stdout.write("flushed ")
sys.exit(3)
"""
LOOK = """if any(each is KEPT for each in gc.get_objects()):
        os.write(1, b"seen " if frozen_count() <= BEFORE else b"lost ")
"""


@pytest.mark.parametrize(
    ("more", "look", "said"),
    [
        ("", "", "handler frozen flushed"),
        ("FILE = open(os.devnull)", "", "handler free flushed"),
        ("", LOOK, "handler frozen seen flushed"),
        ("os.fork() and os.wait()", "", "handler free flushed handler frozen flushed"),
    ],
    ids=["mute", "speaking", "looked at", "forked"],
)
def test_the_process_that_asked_for_it_ends_with_a_frozen_heap_and_does_all_the_rest(
    more: str, look: str, said: str
) -> None:
    program = LEAVING.format(more=more, look=look)
    environ = {**os.environ, "PYTHONWARNINGS": "", "PYTHONDEVMODE": "", "PYTHONUNBUFFERED": ""}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=environ, check=False)
    assert done.returncode == 3, done.stderr
    assert done.stdout.split() == said.split()
