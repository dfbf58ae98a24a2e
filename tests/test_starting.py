"""A run that is forked from a process that has imported pytest finds what one in a new interpreter finds."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess

import pytest

from tests.conftest import Suite, processes_with, starter_of
from tests.starting import MARKER, ForkedRun

#: A conftest that writes down, before pytest reads options, what it finds.
LOOK = """
    import gc, json, os, resource, signal, sys, threading

    main = sys.modules["__main__"]
    found = {
        "arguments": sys.argv, "original arguments": sys.orig_argv, "path": sys.path, "flags": str(sys.flags),
        "environment": dict(os.environ), "modules": sorted(sys.modules), "main": sorted(vars(main)),
        "folder": os.getcwd(), "parent": os.getppid(), "group is own": os.getpgid(0) == os.getpid(),
        "descriptors": sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1],
        "streams": [os.fstat(fd).st_mode for fd in range(3)], "threads": threading.active_count(),
        "handlers": {number: str(signal.getsignal(number)) for number in signal.valid_signals()},
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())), "umask": os.umask(0o22),
        "ways to write": [
            [file.name, file.encoding, file.errors, file.line_buffering, file.write_through, file.isatty()]
            for file in (sys.__stdin__, sys.__stdout__, sys.__stderr__)
        ],
        "limits": {name: resource.getrlimit(value) for name, value in vars(resource).items()
                   if name.startswith("RLIMIT_")},
        "collector": [gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()],
        "warnings": [str(entry) for entry in __import__("warnings").filters], "prefix": sys.prefix,
        "caches": sorted({os.path.abspath(key) for key in sys.path_importer_cache}),
        "hooks": len(sys.path_hooks),
        "finders": [str(type(finder)) for finder in sys.meta_path],
    }
    with open("found.json", "w") as file:
        json.dump(found, file)
"""


def look(suite: Suite, *, afresh: bool, group: int | None = None) -> dict[str, object]:
    """What a run finds at its start."""
    running = suite.start("-q", process_group=group, by=("env",) if afresh else ())
    assert isinstance(running.process, ForkedRun) is not afresh
    assert running.finish().summary == {"passed": 1}
    found: dict[str, object] = json.loads((suite.path / "found.json").read_text())
    return found


@pytest.mark.python_dependent
def test_a_forked_run_finds_what_one_in_a_new_interpreter_finds(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"lib{os.pathsep}{os.pathsep}lib{os.pathsep}/other")
    monkeypatch.setenv("SAID", "one\udcff\nand another")
    suite.conftest(LOOK)
    suite.tests("def test(): pass")
    forked, fresh = look(suite, afresh=False), look(suite, afresh=True)
    assert {name: (here, fresh[name]) for name, here in forked.items() if here != fresh[name]} == {}


def test_a_forked_run_may_lead_a_process_group(suite: Suite) -> None:
    suite.conftest(LOOK)
    suite.tests("def test(): pass")
    assert look(suite, afresh=False)["group is own"] is False
    assert look(suite, afresh=False, group=0)["group is own"] is True


def test_processes_of_a_forked_run_are_told_by_their_environment(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("from recorder import block, reached\ndef test(): reached(), block()")
    running = suite.start("-n2")
    assert isinstance(running.process, ForkedRun)
    (line,) = suite.await_reached()
    assert {running.pid, int(line.split()[0])} <= set(suite.processes())
    running.signal(signal.SIGTERM)
    running.finish()
    assert suite.await_gone() == []


@pytest.mark.parametrize(("deed", "status"), [("os._exit(7)", 7), ("os.kill(os.getpid(), 9)", -9)])
def test_how_a_forked_run_ended_is_told_as_of_any_child(suite: Suite, deed: str, status: int) -> None:
    suite.tests(f"import os, time\ndef test():\n    os.write(1, b'x' * 100000)\n    {deed}")
    running = suite.start("-s")
    with pytest.raises(subprocess.TimeoutExpired):
        running.process.communicate(timeout=0)
    finished = running.finish()
    assert finished.ret == status
    assert "x" * 100000 in finished.out


def test_a_run_that_is_over_gets_no_signal(suite: Suite) -> None:
    running = suite.start("--version")
    assert running.finish().ret == 0
    running.signal(signal.SIGKILL)


def test_what_works_at_an_interpreters_start_gets_one(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = dict(os.environ)
    assert starter_of({**environ, "PYTHONPATH": "anything", "HOME": "/"}) is not None
    for name in ("PYTHONWARNINGS", "PYTHONUTF8", "TZ", "LC_ALL", "LANG", "LD_PRELOAD", "COVERAGE_RCFILE"):
        assert starter_of({**environ, name: "anything"}) is None
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    assert soft != 0 or hard != 0, "there is nothing to try it with"
    resource.setrlimit(resource.RLIMIT_CORE, (hard - 1 if soft == hard else hard, hard))
    try:
        assert starter_of(environ) is None
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def test_the_mark_of_a_starter_is_nobodys(suite: Suite) -> None:
    assert starter_of(dict(os.environ)) is not None
    assert processes_with(MARKER, "0" * 32) != []
    assert suite.processes() == []
