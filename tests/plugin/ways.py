"""The table of what a test may do to its process, and what has to be reported of it.

The names complete a sentence: "nothing else is lost when ...". The code of a row stands in a module between
good tests; what it may use is in `HEAD`.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent, indent

__all__ = ["HEAD", "WAYS", "Way"]

HEAD = """
import atexit
import contextlib
import ctypes
import faulthandler
import gc
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import pytest
from tally import ran

C = ctypes.CDLL(None)
KEPT = []

def descriptors():
    return [int(name) for name in os.listdir("/proc/self/fd")]

def refuse(*args, **kwargs):
    raise AssertionError("what a test has patched was called")

"""

#: Seconds that a test which is going to hang is given.
LIMIT = 0.5

TWO = ("-n2",)
ONE = ("-n1",)
#: All tests of the bad one's module run in its process, so what comes after it shows what it has done.
LOADFILE = ("-n2", "--dist=loadfile")

#: Where a death is that comes after the teardown, in that of fixtures kept for tests that did not come.
SHARED = "teardown of fixtures that several tests share"
#: A conftest by which under `LOADFILE` the last test of the bad one's module is over before it is known that
#: there is no further one for its worker.
LATE = """
import os

BEGUN, OVER = os.pipe(), os.pipe()

def pytest_runtest_setup(item):
    if item.name == "test_elsewhere[12]":
        os.write(BEGUN[1], b"!")
    elif item.name == "test_before[0]":
        os.read(BEGUN[0], 1)
    elif item.name == "test_elsewhere[16]":
        os.read(OVER[0], 1)

def pytest_runtest_logfinish(nodeid):
    if nodeid.endswith("::test_bad"):
        os.write(OVER[1], b"!")
"""


@dataclass(frozen=True)
class Way:
    """What a test does, and what has to become of it.

    ``ends`` is how it ends: passed, failed, error, crashed, hung; with several words, any of them will do.
    ``words`` is a pattern: of the cause if it crashes, else of what its report says.
    """

    code: str
    ends: str
    words: str = ""
    #: Where it dies: a phase of the test, or `SHARED`; a pattern.
    phase: str = "call"
    status: int = 1
    args: tuple[str, ...] = TWO
    conftest: str = ""
    #: The seconds it may take, if it is going to hang.
    limit: float = LIMIT
    #: Whether the bad test is the last one of its module.
    last: bool = False
    #: Reports that come before a death.
    before: tuple[str, ...] = ()
    #: What the report's sections hold, by title: patterns.
    sections: tuple[tuple[str, str], ...] = ()
    #: Patterns of what the report of a death says beside its first line.
    stacks: tuple[str, ...] = ()
    #: A worker dies, and no test is blamed: a pattern of what is said of it.
    error: str = ""
    #: The run ends early: a pattern of the reason.
    reason: str = ""
    #: Whether the worker may be lost, and run tests of which nobody hears.
    may_cost_worker: bool = False


def _test(
    call: str = "", setup: str = "", teardown: str = "", scope: str = "function", marks: str = ""
) -> str:
    """The code of a bad test, and of the fixture that it uses."""
    parts = [
        f"@pytest.fixture(scope={scope!r})",
        "def around():",
        *(indent(dedent(body).strip(), "    ") for body in (setup or "pass", "yield", teardown or "pass")),
        marks,
        "def test_bad(around):",
        indent(dedent(call).strip() or "pass", "    "),
    ]
    return "\n".join(parts) + "\n"


def dies(
    call: str,
    cause: str,
    *,
    setup: str = "",
    teardown: str = "",
    scope: str = "function",
    marks: str = "",
    phase: str = "call",
    args: tuple[str, ...] = TWO,
    last: bool = False,
    before: tuple[str, ...] = (),
    sections: tuple[tuple[str, str], ...] = (),
    stacks: tuple[str, ...] = (),
) -> Way:
    """Its process dies, and it is to blame."""
    code = _test(call, setup, teardown, scope, marks)
    return Way(
        code, "crashed", cause, phase, args=args, last=last, before=before, sections=sections, stacks=stacks
    )


def hangs(
    call: str,
    *,
    setup: str = "",
    teardown: str = "",
    scope: str = "function",
    phase: str = "call",
    last: bool = False,
    cause: str = "killed by SIGTERM",
    stacks: tuple[str, ...] = (r"in (test_bad|around)\b",),
    args: tuple[str, ...] = TWO,
) -> Way:
    """It takes longer than it may."""
    code = _test(call, setup, teardown, scope, f"@pytest.mark.hang_timeout({LIMIT})")
    return Way(code, "hung", cause, phase, last=last, stacks=stacks, args=args)


def passes(call: str, *, setup: str = "", args: tuple[str, ...] = LOADFILE, status: int = 0) -> Way:
    """It passes as under plain pytest, and its worker goes on."""
    return Way(_test(call, setup), "passed", status=status, args=args)


def fails(call: str, words: str, *, setup: str = "", args: tuple[str, ...] = LOADFILE) -> Way:
    """It fails, or its setup does, as under plain pytest, and its worker goes on."""
    return Way(_test(call, setup), "error" if setup else "failed", words, args=args)


def costs(call: str, *, args: tuple[str, ...] = LOADFILE) -> Way:
    """It does no good to its worker, which may be lost by it, or not."""
    return Way(
        _test(call),
        "passed crashed",
        ".*(connection|stream).*",
        error=r"(connection|stream).*::test_bad' ran last there",
        args=args,
        may_cost_worker=True,
    )


# --- death ----------------------------------------------------------------------------------------

SIGNALS = {
    f"a test sends itself {name}": dies(f"os.kill(os.getpid(), signal.{name})", f"killed by {name}")
    for name in ("SIGSEGV", "SIGFPE", "SIGILL", "SIGKILL", "SIGTERM", "SIGUSR1", "SIGRTMIN")
} | {
    "a test reads address 0": dies(
        "ctypes.string_at(0)",
        "killed by SIGSEGV",
        stacks=("Fatal Python error: Segmentation fault", r"in test_bad\b"),
    ),
    "a test reads address 0 without faulthandler": dies(
        "ctypes.string_at(0)", "killed by SIGSEGV", args=("-n2", "-p", "no:faulthandler")
    ),
    "a test that has disabled faulthandler reads address 0": dies(
        "faulthandler.disable(); ctypes.string_at(0)", "killed by SIGSEGV"
    ),
    "a test aborts": dies("os.abort()", "killed by SIGABRT", stacks=(r"in test_bad\b",)),
    "a test reads a mapped file that has been cut off": dies(
        """
        with tempfile.TemporaryFile() as file:
            file.truncate(1 << 16)
            memory = mmap.mmap(file.fileno(), 1 << 16)
            file.truncate(0)
            memory[0]
        """,
        "killed by SIGBUS",
        stacks=("Fatal Python error: Bus error", r"in test_bad\b"),
    ),
    "a test frees memory twice": dies(
        """
        C.malloc.restype, C.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
        block = C.malloc(100)
        C.free(block)
        C.free(block)
        os.abort()  # if the C library has not noticed
        """,
        "killed by SIG(ABRT|SEGV)",
    ),
    "a test uses up the processor time that it has allowed itself": dies(
        """
        resource.setrlimit(resource.RLIMIT_CPU, (1, 5))
        while True:
            pass
        """,
        "killed by SIGXCPU",
    ),
    "an alarm goes off in a test": dies(
        "signal.setitimer(signal.ITIMER_REAL, 0.01); signal.pause()", "killed by SIGALRM"
    ),
    "a test overflows the stack in C": dies(
        """
        class Huge(ctypes.Structure):
            _fields_ = [("data", ctypes.c_char * (1 << 26))]

        resource.setrlimit(resource.RLIMIT_STACK, (1 << 23, resource.RLIM_INFINITY))
        C.abs(Huge())
        """,
        "killed by SIGSEGV",
        stacks=("Fatal Python error: Segmentation fault", r"in test_bad\b"),
    ),
    # Since Python 3.14 only code in C does: the interpreter knows how large a thread's stack is.
    "a thread of a test overflows its stack": dies(
        """
        class Huge(ctypes.Structure):
            _fields_ = [("data", ctypes.c_char * (1 << 20))]

        threading.stack_size(1 << 16)
        thread = threading.Thread(target=C.abs, args=(Huge(),))
        thread.start()
        thread.join()
        """,
        "killed by SIGSEGV",
    ),
    "a test meets a fatal error of the interpreter": dies(
        'ctypes.pythonapi.Py_FatalError(b"it is over")',
        "killed by SIGABRT",
        sections=(("Captured stderr call", r"Fatal Python error: .*it is over.*in test_bad\b"),),
    ),
    "a test kills its process group": dies("os.killpg(0, signal.SIGKILL)", "killed by SIGKILL"),
}

EXITS = {
    "a test exits with code 0": dies("os._exit(0)", "exited with code 0"),
    "a test exits with code 0 in the only worker": dies("os._exit(0)", "exited with code 0", args=ONE),
    "a test exits with code 1": dies("os._exit(1)", "exited with code 1", args=LOADFILE),
    "a test exits with code 3": dies("os._exit(3)", "exited with code 3", args=("-n2", "--dist=worksteal")),
    "a test exits with code 255": dies(
        "os._exit(255)", "exited with code 255", args=("-n2", "--dist=loadscope")
    ),
    "a test calls the exit of C": dies("C.exit(4)", "exited with code 4", args=("-n2", "--dist=loadgroup")),
    "a test becomes another program": dies('os.execvp("true", ["true"])', "exited with code 0"),
    "a test lets faulthandler end it": dies(
        "faulthandler.dump_traceback_later(0.1, exit=True); time.sleep(1000)",
        "exited with code 1",
        sections=(("Captured stderr call", r"Timeout \(0:00:00\.1.*in test_bad\b"),),
    ),
    "a test that is expected to fail exits": dies(
        "os._exit(1)", "exited with code 1", marks="@pytest.mark.xfail"
    ),
    "a thread of a test exits": dies(
        """
        thread = threading.Thread(target=os._exit, args=(7,))
        thread.start()
        thread.join()
        threading.Event().wait()
        """,
        "exited with code 7",
    ),
    "a thread of a test reads address 0": dies(
        """
        thread = threading.Thread(target=ctypes.string_at, args=(0,))
        thread.start()
        thread.join()
        """,
        "killed by SIGSEGV",
        stacks=("Fatal Python error: Segmentation fault", r"in test_bad\b"),
    ),
}

PLACES = {
    "a fixture dies in its setup": dies("", "exited with code 3", setup="os._exit(3)", phase="setup"),
    "a fixture dies in its teardown": dies(
        "", "killed by SIGSEGV", teardown="ctypes.string_at(0)", phase="teardown"
    ),
    "a fixture dies in its teardown after a failure": dies(
        'assert 0, "this must be seen"',
        "killed by SIGKILL",
        teardown="os.kill(os.getpid(), signal.SIGKILL)",
        phase="teardown",
        before=("setup passed", "call failed"),
    ),
    "a module fixture dies in its setup": dies(
        "", "exited with code 1", setup="os._exit(1)", scope="module", phase="setup"
    ),
    "a module fixture dies in its teardown": dies(
        "",
        "exited with code 1",
        teardown="os._exit(1)",
        scope="module",
        phase="teardown",
        last=True,
        args=ONE,
    ),
    "a session fixture dies in its setup": dies(
        "", "exited with code 1", setup="os._exit(1)", scope="session", phase="setup", args=ONE
    ),
    "a session fixture dies in its teardown": dies(
        "",
        "exited with code 1",
        teardown="os._exit(1)",
        scope="session",
        phase="teardown",
        last=True,
        args=("-n1", "test_two.py", "test_one.py"),
    ),
    "a session fixture dies in a late teardown": Way(
        _test(teardown="os._exit(1)", scope="session"),
        "crashed",
        "exited with code 1",
        SHARED,
        args=(*LOADFILE, "--start-method=fork"),
        conftest=LATE,
        last=True,
        before=("setup passed", "call passed", "teardown passed"),
    ),
    "a class dies in its setup": Way(
        "class TestBad(unittest.TestCase):\n"
        "    @classmethod\n    def setUpClass(cls):\n        os._exit(1)\n\n"
        "    def test_bad(self):\n        pass\n",
        "crashed",
        "exited with code 1",
        "setup",
    ),
}


def _conftest(hook: str, body: str) -> str:
    """A hook that does something in workers, or in the fork server, and nothing in the controller."""
    return (
        "import ctypes, os, signal, sys\n\n"
        f"def {hook}:\n"
        '    if os.environ.get("PYTEST_XDIST_WORKER") is None:\n        return\n'
        f"{indent(dedent(body).strip(), '    ')}\n"
    )


HOOKS = {
    "a hook dies before the setup": Way(
        _test(),
        "crashed",
        "exited with code 1",
        "setup",
        conftest=_conftest("pytest_runtest_logstart(nodeid)", 'if "test_bad" in nodeid:\n    os._exit(1)'),
    ),
    "a hook dies of the report of the call": Way(
        _test(),
        "crashed",
        "killed by SIGSEGV",
        "call",
        conftest=_conftest(
            "pytest_runtest_logreport(report)",
            'if "test_bad" in report.nodeid and report.when == "call":\n    ctypes.string_at(0)',
        ),
    ),
    "a hook dies between two tests": Way(
        _test(),
        "passed",
        conftest=_conftest("pytest_runtest_logfinish(nodeid)", 'if "test_bad" in nodeid:\n    os._exit(1)'),
        error=r"worker 'gw\d' died between two tests: exited with code 1; '.*test_bad' ran last there",
    ),
    "a worker dies before its first test": Way(
        _test(),
        "passed",
        conftest=_conftest(
            "pytest_procpar_worker_forked(config)",
            'if config.workerinput["workerid"] == "gw0":\n    os.kill(os.getpid(), signal.SIGKILL)',
        ),
        error=r"worker 'gw0' died before its first test: killed by SIGKILL; no test had run there",
    ),
    "a worker dies at the end of its session": Way(
        _test(),
        "passed",
        conftest=_conftest(
            "pytest_sessionfinish(session)",
            'if session.config.workerinput["workerid"] == "gw0":\n    os._exit(0)',
        ),
        error=r"worker 'gw0' died at the end of its session: exited with code 0; '.*' ran last there",
    ),
    "a worker hangs at the end of its session": Way(
        _test(),
        "passed",
        args=("-n2", "--hang-timeout=1"),
        conftest=_conftest(
            "pytest_sessionfinish(session)",
            'while session.config.workerinput["workerid"] == "gw0":\n    signal.pause()',
        ),
        error=r"worker 'gw0' hung at the end of its session: longer than 1 s; '.*' ran last there",
    ),
    "a worker dies after its session": Way(
        _test(),
        "passed",
        status=3,
        conftest=_conftest(
            "pytest_unconfigure(config)",
            'if config.workerinput["workerid"] == "gw1":\n    ctypes.string_at(0)',
        ),
        reason="worker gw1 failed at its exit: killed by SIGSEGV",
    ),
    "an exit handler dies": Way(
        _test("atexit.register(os._exit, 5)"),
        "passed",
        status=3,
        reason=r"worker gw\d failed at its exit: exited with code 5",
    ),
    "an exit handler hangs": Way(
        _test("atexit.register(time.sleep, 1000)"),
        "passed",
        args=("-n2", "--hang-timeout=1"),
        error=r"worker 'gw\d' hung at the end of its session: longer than 1 s; '.*' ran last there",
    ),
    "an exit handler dies after a failure": Way(
        _test('atexit.register(os._exit, 5); assert 0, "this must be seen"'),
        "failed",
        status=3,
        reason=r"E .*AssertionError: this must be seen.*worker gw\d failed at its exit: exited with code 5",
    ),
    "a module ends the process when it is imported": Way(
        "os._exit(0)\n" + _test(),
        "",
        status=3,
        reason=r"the fork server died while it collected test_one\.py: exited with code 0",
    ),
    "a module reads address 0 when it is imported": Way(
        "ctypes.string_at(0)\n" + _test(),
        "",
        status=3,
        reason=r"the fork server died while it collected test_one\.py: killed by SIGSEGV",
    ),
    "a hook of the collection ends the process": Way(
        _test(),
        "",
        status=3,
        conftest=_conftest("pytest_collection_modifyitems()", "os._exit(1)"),
        reason=r"the fork server died(?! while it collected test_two\.py).*: exited with code 1",
    ),
    "a test sends its parent SIGTERM": Way(
        _test("os.kill(os.getppid(), signal.SIGTERM); threading.Event().wait()"),
        "crashed",
        "killed, because the fork server died",
        args=ONE,
        status=3,
        reason=r"the fork server died: killed by SIGTERM",
    ),
    "a test kills its parent": Way(
        _test("os.kill(os.getppid(), signal.SIGKILL); threading.Event().wait()"),
        "crashed",
        "killed, because the fork server died",
        args=ONE,
        status=3,
        reason=r"the fork server died: killed by SIGKILL",
    ),
    "a test dies under -x": Way(
        _test("os._exit(3)"),
        "crashed",
        "exited with code 3",
        args=("-n1", "-x"),
        reason="stopping after 1 failures",
    ),
    "a test interrupts itself": Way(
        _test("os.kill(os.getpid(), signal.SIGINT); signal.pause()"),
        "interrupted",
        args=ONE,
        status=2,
        reason="KeyboardInterrupt",
    ),
}

# --- what it had said -----------------------------------------------------------------------------

SAY = """
print("this is {when} out")
print("this is {when} err, no newline", file=sys.stderr, end="")
"""

OUTPUT = {
    "a test has printed something and dies": dies(
        SAY.format(when="call") + 'os.write(2, b"written to 2")\nos._exit(1)',
        "exited with code 1",
        setup=SAY.format(when="setup"),
        before=("setup passed",),
        sections=(
            ("Captured stdout setup", "this is setup out"),
            ("Captured stderr setup", "this is setup err"),
            ("Captured stdout call", "this is call out"),
            ("Captured stderr call", "this is call err, no newlinewritten to 2"),
        ),
    ),
    "a test has logged something in its setup and dies": dies(
        "os._exit(1)",
        "exited with code 1",
        setup='import logging; logging.getLogger("some").warning("in the log")',
        before=("setup passed",),
        sections=(("Captured log setup", "in the log"),),
    ),
    "a test dies in its teardown after it has printed something": dies(
        'print("this is call out")',
        "killed by SIGKILL",
        teardown='print("this is teardown out"); os.kill(os.getpid(), signal.SIGKILL)',
        phase="teardown",
        before=("setup passed", "call passed"),
        sections=(
            ("Captured stdout call", "this is call out"),
            ("Captured stdout teardown", "this is teardown out"),
        ),
    ),
    "a test dies with its output not captured": dies(
        SAY.format(when="call") + "os._exit(1)",
        "exited with code 1",
        args=("-n2", "-s"),
        sections=(("Last lines on standard error", "this is call err, no newline"),),
    ),
    "a test dies with Python's output captured only": dies(
        'os.write(2, b"written to 2"); ctypes.string_at(0)',
        "killed by SIGSEGV",
        args=("-n2", "--capture=sys"),
        sections=(("Last lines on standard error", "written to 2"),),
        stacks=(r"in test_bad\b",),
    ),
    "a test dies with its output captured and shown": dies(
        'print("this is call out"); os._exit(1)', "exited with code 1", args=("-n2", "--capture=tee-sys")
    ),
}

# --- memory ---------------------------------------------------------------------------------------

MEMORY = {
    "a test may have no more memory": fails(
        """
        limits = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (1 << 20, limits[1]))
        try:
            bytearray(1 << 30)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, limits)
        """,
        "MemoryError",
    ),
    "a test recurses as far as it may": fails(
        """
        def endless():
            endless()

        endless()
        """,
        "RecursionError",
    ),
}

# --- hangs ----------------------------------------------------------------------------------------

HANGS = {
    "a test sleeps": hangs("time.sleep(1000)"),
    "a test is busy for ever": hangs("while True:\n    pass"),
    "a test holds the interpreter in one call": hangs(
        "libc = ctypes.PyDLL(None)\nwhile True:\n    libc.sleep(1000)"
    ),
    "a test computes without end": hangs("3 ** 10**9"),
    "a test catches whatever would end it": hangs(
        """
        while True:
            try:
                time.sleep(1000)
            except BaseException:
                pass
        """
    ),
    "a test ignores SIGTERM and sleeps": hangs(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)", cause="killed by SIGKILL"
    ),
    "a test blocks all signals and sleeps": hangs(
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); time.sleep(1000)",
        cause="killed by SIGKILL",
        stacks=("no stacks: it did not take the signal", "some of its signals are blocked"),
    ),
    "a test stops itself": hangs(
        "os.kill(os.getpid(), signal.SIGSTOP)",
        cause="killed by SIGKILL",
        stacks=("no stacks: it did not take the signal", r"state T \(stopped\)"),
    ),
    "a test waits for a lock that nobody releases": hangs(
        "lock = threading.Lock(); lock.acquire(); lock.acquire()"
    ),
    "a test waits for a thread that hangs": hangs(
        """
        def wait_for_ever():
            threading.Event().wait()

        thread = threading.Thread(target=wait_for_ever)
        thread.start()
        thread.join()
        """,
        stacks=(r"in test_bad\b", r"in wait_for_ever\b"),
    ),
    "a test waits for a child that hangs": hangs('subprocess.run(["sleep", "1000"])'),
    "a test waits for a child in a session of its own": hangs(
        'subprocess.run(["sleep", "1000"], start_new_session=True)'
    ),
    "a test waits for a forked child that ignores SIGTERM": hangs(
        """
        child = os.fork()
        while child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.pause()
        os.waitpid(child, 0)
        """
    ),
    "a test has made a session of its own and hangs": hangs("os.setsid(); time.sleep(1000)"),
    "a test has joined the process group of its parent and hangs": hangs(
        "os.setpgid(0, os.getpgid(os.getppid())); time.sleep(1000)"
    ),
    "a test hangs in the teardown of a session fixture": hangs(
        "",
        teardown="time.sleep(1000)",
        scope="session",
        phase="teardown",
        last=True,
        args=("-n1", "test_two.py", "test_one.py"),
    ),
    "a session fixture hangs in a late teardown": Way(
        _test(teardown="time.sleep(1000)", scope="session"),
        "hung",
        "killed by SIGTERM",
        SHARED,
        limit=2,
        args=(*LOADFILE, "--start-method=fork", "--hang-timeout=2"),
        conftest=LATE,
        last=True,
        before=("setup passed", "call passed", "teardown passed"),
        stacks=(r"in around\b",),
    ),
    "a test hangs in its setup": hangs("", setup="time.sleep(1000)", phase="setup"),
    "a test hangs in its teardown": hangs("", teardown="time.sleep(1000)", phase="teardown"),
    "a test hangs in the teardown of a module fixture": hangs(
        "", teardown="time.sleep(1000)", scope="module", phase="teardown", last=True, args=ONE
    ),
    "a test has patched the clock and hangs": hangs(
        """
        for name in ("time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "perf_counter_ns"):
            setattr(time, name, lambda: 0)
        time.sleep = lambda seconds: None
        while True:
            time.sleep(1)
        """
    ),
    "a test has patched what ends processes and hangs": hangs(
        """
        for name in ("_exit", "abort", "getpid", "kill", "killpg", "write"):
            setattr(os, name, refuse)
        signal.signal = signal.pthread_sigmask = refuse
        while True:
            time.sleep(1000)
        """
    ),
    "a test has disabled faulthandler and hangs": hangs("faulthandler.disable(); time.sleep(1000)"),
    "a test hangs without faulthandler": hangs("time.sleep(1000)", args=("-n2", "-p", "no:faulthandler")),
    "a test hangs with its output not captured": hangs("time.sleep(1000)", args=("-n2", "-s")),
}

# --- descriptors ----------------------------------------------------------------------------------

DESCRIPTORS = {
    "a test closes the descriptors from 3 to 255": passes("os.closerange(3, 256)"),
    "a test closes the descriptors from 3 to 69999": costs("os.closerange(3, 70000)"),
    "a test closes every descriptor": costs(
        """
        for fd in descriptors():
            with contextlib.suppress(OSError):
                os.close(fd)
        """
    ),
    "a test writes junk to every descriptor": costs(
        """
        for fd in descriptors():
            with contextlib.suppress(OSError):
                if fd > 2:
                    os.set_blocking(fd, False)
                    os.write(fd, b"junk" * 100)
        """
    ),
    "a test reads from every descriptor": costs(
        """
        for fd in descriptors():
            with contextlib.suppress(OSError):
                if fd > 2:
                    os.set_blocking(fd, False)
                    while os.read(fd, 1 << 16):
                        pass
        """
    ),
    "a test puts /dev/null in the place of every descriptor": costs(
        """
        null = os.open("/dev/null", os.O_RDWR)
        for fd in descriptors():
            with contextlib.suppress(OSError):
                os.dup2(null, fd)
        """
    ),
    "a test shuts every socket down": passes(
        """
        for fd in descriptors():
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(fd)) as sock:
                sock.shutdown(socket.SHUT_RDWR)
        """
    ),
    "a test makes every descriptor non-blocking": passes(
        """
        for fd in descriptors():
            with contextlib.suppress(OSError):
                os.set_blocking(fd, False)
        """
    ),
    "a test closes the standard descriptors": passes("os.closerange(0, 3)"),
    "a test closes the standard descriptors under -s": passes("os.closerange(0, 3)", args=(*LOADFILE, "-s")),
    "a test puts /dev/null in the place of the standard descriptors": passes(
        'null = os.open("/dev/null", os.O_RDWR)\nfor fd in range(3):\n    os.dup2(null, fd)'
    ),
    "a test may open no descriptor": passes("resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))"),
    "a test uses up its descriptors": passes(
        """
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        with contextlib.suppress(OSError):
            while True:
                KEPT.append(os.open("/dev/null", os.O_RDONLY))
        """
    ),
    "a test may write no file": passes("resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"),
    "a test replaces the standard streams": passes("sys.stdin = sys.stdout = sys.stderr = None"),
    "a test replaces the standard streams under -s": passes(
        "sys.stdin = sys.stdout = sys.stderr = None", args=(*LOADFILE, "-s")
    ),
    "a test reads standard input": fails("input()", "reading from stdin while output is captured"),
    "a test reads standard input under -s": fails("input()", "EOFError", args=(*LOADFILE, "-s")),
}

# --- the process's state --------------------------------------------------------------------------

STATE = {
    "a test goes to a folder that is then deleted": passes(
        "folder = tempfile.mkdtemp(); os.chdir(folder); os.rmdir(folder)"
    ),
    "a test lets nobody open what it makes": passes("os.umask(0o777)"),
    "a test clears the environment": passes("os.environ.clear()"),
    "a test clears the import path": passes("sys.path.clear()"),
    "a test may have no child": passes("resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))"),
    "a test allows itself little recursion": passes("sys.setrecursionlimit(120)"),
    "a test ignores signals": passes(
        """
        for name in ("SIGINT", "SIGTERM", "SIGCHLD", "SIGHUP", "SIGUSR1", "SIGALRM"):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        """
    ),
    "a test handles signals": passes(
        """
        for name in ("SIGINT", "SIGTERM", "SIGCHLD", "SIGHUP", "SIGUSR1", "SIGALRM"):
            signal.signal(getattr(signal, name), refuse)
        """
    ),
    "a test blocks all signals": passes("signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())"),
    "a test is stopped by an alarm of its own": fails(
        """
        def stop(signum, frame):
            raise TimeoutError("that takes too long")

        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        signal.pause()
        """,
        "TimeoutError: that takes too long",
    ),
    "a test disables faulthandler": passes("faulthandler.disable()"),
    "a test unfreezes and disables the garbage collector": passes(
        "gc.unfreeze(); gc.collect(); gc.freeze(); gc.disable()"
    ),
    "a test makes the garbage collector run all the time": passes("gc.set_threshold(1, 1, 1)"),
    "a test shuts logging down": passes("import logging; logging.shutdown()"),
    "a test leaves": fails("sys.exit(0)", "SystemExit: 0"),
    "a fixture leaves": fails("", "SystemExit: 3", setup="sys.exit(3)"),
    "a test freezes time in all modules": passes(
        """
        frozen = {
            time.time: lambda: 0.0, time.monotonic: lambda: 0.0, time.perf_counter: lambda: 0.0,
            time.sleep: lambda seconds: None,
        }
        for module in list(sys.modules.values()):
            for name, value in list(vars(module).items()):
                if type(value) is type(time.time) and value in frozen:
                    setattr(module, name, frozen[value])
        """
    ),
    "a test has patched the functions of os": passes(
        """
        for name in ("_exit", "abort", "dup", "fork", "getpid", "getppid", "kill", "killpg", "pipe",
                     "read", "setpgid", "waitpid", "write"):
            setattr(os, name, refuse)
        """
    ),
    "a test has patched sockets": passes(
        """
        for name in ("close", "recv", "send", "sendall", "sendmsg", "setblocking"):
            setattr(socket.socket, name, refuse)
        socket.socket = socket.socketpair = refuse
        """
    ),
    "a test sets a default timeout for sockets": passes("socket.setdefaulttimeout(0.001)"),
    "a test has patched signals and exit handlers": passes(
        """
        signal.signal = signal.getsignal = signal.set_wakeup_fd = refuse
        atexit._run_exitfuncs = refuse
        """
    ),
    "a test forgets modules": passes(
        """
        for name in [name for name in sys.modules if name.startswith("pytest_procpar")]:
            del sys.modules[name]
        """
    ),
}

# --- processes and threads ------------------------------------------------------------------------

DAEMON = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            signal.pause()
    os._exit(0)
os.wait()
"""

PROCESSES = {
    "a child of a test reads address 0": passes(
        """
        child = os.fork()
        if child == 0:
            ctypes.string_at(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGSEGV
        """
    ),
    "a child of a test exits": passes("if os.fork() == 0:\n    os._exit(1)\nos.wait()"),
    "a child of a test is left dead": passes("if os.fork() == 0:\n    os._exit(1)"),
    "a child of a test leaves": passes("if os.fork() == 0:\n    sys.exit(1)\nos.wait()"),
    "a child of a test fails": passes("if os.fork() == 0:\n    assert 0\nos.wait()"),
    "a child of a test goes on in the test runner": passes("os.fork()"),
    "a child of a test goes on in the test runner of the only worker": passes("os.fork()", args=ONE),
    "a child of a fixture goes on in the test runner": passes("", setup="os.fork()"),
    "a child of a test outlives it": passes("while os.fork() == 0:\n    signal.pause()"),
    "a stopped child of a test outlives it": passes(
        "if os.fork() == 0:\n    os.kill(os.getpid(), signal.SIGSTOP)\n    os._exit(0)"
    ),
    "a test starts a daemon": passes(DAEMON),
    "a test starts a daemon and dies": dies(DAEMON + "os._exit(1)", "exited with code 1"),
    "a program of a test outlives it": passes('KEPT.append(subprocess.Popen(["sleep", "1000"]))'),
    "a program of a test outlives it under -s": passes(
        'KEPT.append(subprocess.Popen(["sleep", "1000"]))', args=(*LOADFILE, "-s")
    ),
    "a program in a session of its own outlives the run": passes(
        'KEPT.append(subprocess.Popen(["sleep", "1000"], start_new_session=True))'
    ),
    "a test makes a session of its own": passes("os.setsid()"),
    "a test makes a process group of its own": passes("os.setpgid(0, 0)"),
    "a test joins the process group of its parent": passes("os.setpgid(0, os.getpgid(os.getppid()))"),
    "a test waits for children that it does not have": passes(
        "with pytest.raises(ChildProcessError):\n    os.wait()"
    ),
    "a daemon thread outlives the run": passes(
        "threading.Thread(target=threading.Event().wait, daemon=True).start()"
    ),
    "a thread outlives the run": passes("threading.Thread(target=threading.Event().wait).start()"),
    "a thread outlives its test and dies": passes("threading.Thread(target=refuse).start()"),
    "a test uses multiprocessing with fork": passes(
        """
        import multiprocessing

        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(abs, [-1, -2]) == [1, 2]
        """
    ),
    "a test uses multiprocessing with spawn": passes(
        """
        import multiprocessing

        process = multiprocessing.get_context("spawn").Process(target=os._exit, args=(3,))
        process.start()
        process.join()
        assert process.exitcode == 3
        """
    ),
    "a test uses multiprocessing with a fork server": passes(
        """
        import multiprocessing

        process = multiprocessing.get_context("forkserver").Process(target=os._exit, args=(3,))
        process.start()
        process.join()
        assert process.exitcode == 3
        """
    ),
    "a daemon of multiprocessing outlives the run": passes(
        """
        import multiprocessing

        multiprocessing.get_context("fork").Process(target=signal.pause, daemon=True).start()
        """
    ),
    "a pool of threads is left open": passes(
        """
        from concurrent.futures import ThreadPoolExecutor

        KEPT.append(ThreadPoolExecutor(1))
        assert KEPT[0].submit(abs, -1).result() == 1
        """
    ),
    "a pool of processes is left open": passes(
        """
        from concurrent.futures import ProcessPoolExecutor

        KEPT.append(ProcessPoolExecutor(1))
        assert KEPT[0].submit(abs, -1).result() == 1
        """
    ),
}

WAYS = SIGNALS | EXITS | PLACES | HOOKS | OUTPUT | MEMORY | HANGS | DESCRIPTORS | STATE | PROCESSES
