"""A suite whose libraries have threads is not forked where they would be missing; the line says whose."""

from __future__ import annotations

import ctypes
import os

import pytest

from tests.conftest import Suite, unless_in_one_file
from tests.plugin.test_start_methods import is_unusual, said_method

#: GNU's OpenMP, which cannot compute in a forked process after it has had threads: `use` has so many.
GOMP = """
    import ctypes

    def use(threads=3):
        libc = ctypes.CDLL(None)
        ctypes.CDLL("libgomp.so.1").GOMP_parallel(ctypes.cast(libc.getpid, ctypes.c_void_p), None, threads, 0)
"""

#: A thread that nobody knows, which waits for ever.
UNKNOWN = """
    import ctypes

    libc, ident, semaphore = ctypes.CDLL(None), ctypes.c_ulong(), ctypes.create_string_buffer(32)
    libc.sem_init(semaphore, 0, 0)
    routine = ctypes.cast(libc.sem_wait, ctypes.c_void_p)
    libc.pthread_create(ctypes.byref(ident), None, routine, semaphore)
"""

pytestmark = [
    pytest.mark.python_dependent,
    pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="only Linux shows threads"),
]


@pytest.fixture
def gomp(suite: Suite) -> Suite:
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        pytest.skip("needs libgomp")
    suite.file("gomp.py", GOMP)
    suite.tests("from gomp import use\ndef test(): use()\ndef test_too(): use()\n")
    return suite


def test_of_a_test_module(gomp: Suite) -> None:
    gomp.tests("from gomp import use\nuse()\ndef test(): use()\ndef test_too(): use()\n")
    finished = gomp.run("-n2")
    finished.assert_summary(passed=2)
    is_unusual(finished, "fork-early", "libgomp has 2 threads, which a fork loses")


def test_of_a_conftest(gomp: Suite) -> None:
    gomp.conftest("import gomp\ngomp.use()\n")
    finished = gomp.run("-n2")
    finished.assert_summary(passed=2)
    is_unusual(finished, "spawn", "libgomp has 2 threads, which a fork loses")


def test_of_a_plugin_that_is_loaded_before_conftests(gomp: Suite) -> None:
    gomp.file("early_plugin.py", "import gomp\ngomp.use()\n")
    finished = gomp.run("-n2", "-p", "early_plugin")
    finished.assert_summary(passed=2)
    is_unusual(finished, "spawn", "libgomp has 2 threads, which a fork loses")


def test_a_library_that_has_had_no_threads_is_no_reason(gomp: Suite) -> None:
    gomp.conftest("import gomp\ngomp.use(1)\n")
    finished = gomp.run("-n2")
    finished.assert_summary(passed=2)
    assert said_method(finished) is None


@pytest.mark.parametrize("vouched", ["libgomp", "native-threads"])
def test_a_library_that_is_vouched_for_is_no_reason(gomp: Suite, vouched: str) -> None:
    gomp.conftest("import gomp\ngomp.use()\n")
    gomp.tests("def test(): pass\ndef test_too(): pass\n")
    finished = gomp.run("-n2", "-o", f"procpar_fork_safe=recorder.py\n{vouched}")
    finished.assert_summary(passed=2)
    assert said_method(finished) is None


@unless_in_one_file
def test_a_thread_of_nobody_known_is_one_unless_it_was_there_before_conftests(suite: Suite) -> None:
    suite.file("unknown.py", UNKNOWN)
    suite.trivial(2)
    assert said_method(suite.run("-n2", "-p", "unknown")) is None
    suite.conftest("import unknown\n")
    is_unusual(
        suite.run("-n2"), "spawn", "an unknown library (threads named ", "has 1 thread, which a fork loses"
    )
