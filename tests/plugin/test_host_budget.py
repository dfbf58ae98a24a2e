"""Runs of one user on one machine share its processors, and a run knows how many workers are worth having."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from pathlib import Path
from time import monotonic_ns

import pytest

from pytest_procpar.core.sizing.claims import Claim
from pytest_procpar.host.registry import Registry
from tests.conftest import TIMEOUT, Suite

#: Makes the machine have four processors, and a run look at the others whenever something happens.
MACHINE = """
    import os

    import pytest

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(config):
        import pytest_procpar.config.workers as workers
        import pytest_procpar.core.sizing.sharing as sharing
        import pytest_procpar.host.staffing as staffing

        workers.machine_cpus = lambda logical: 4
        staffing.processors = lambda: 15
        staffing.quota_group = lambda: None
        sharing.LOOK_SECONDS = 0.01

    def pytest_runtest_logreport(report):
        if hasattr(report, "node") and report.when == "call" and os.path.exists("heard.fifo"):
            with open("heard.fifo", "w") as pipe:
                pipe.write(f"ended {report.node.gateway.id}\\n")
"""
#: Tests that say where they run, and go on when they are told to.
GATED = """
    import os

    import pytest

    def say(word):
        with open("heard.fifo", "w") as pipe:
            pipe.write(word + "\\n")

    @pytest.mark.parametrize("i", range(COUNT))
    def test(i, worker_id):
        say(f"runs {worker_id}")
        gate = os.open("gate.fifo", os.O_RDONLY)
        assert os.read(gate, 1)
        os.close(gate)
"""


class Gate:
    """The other side of the gated tests."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path / "heard.fifo")
        os.mkfifo(path / "gate.fifo")
        self._heard = os.open(path / "heard.fifo", os.O_RDWR | os.O_NONBLOCK)
        self._gate = os.open(path / "gate.fifo", os.O_RDWR)
        self._lines: list[str] = []
        self._rest = b""

    def hear(self) -> str:
        """What comes next."""
        poll = select.poll()
        poll.register(self._heard, select.POLLIN)
        while not self._lines:
            assert poll.poll(TIMEOUT * 1000), "nothing came"
            *lines, self._rest = (self._rest + os.read(self._heard, 4096)).split(b"\n")
            self._lines += [line.decode() for line in lines]
        return self._lines.pop(0)

    def hear_of(self, what: str) -> str:
        """The next word of a kind."""
        while not (word := self.hear()).startswith(what):
            pass
        return word

    def let(self, count: int) -> None:
        """Let so many tests end."""
        os.write(self._gate, b"x" * count)

    def close(self) -> None:
        os.close(self._heard)
        os.close(self._gate)


@pytest.fixture
def host(suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A machine whose other runs are those of the test."""
    place = tmp_path / "runtime"
    place.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    monkeypatch.setenv("PROCPAR_HOST_BUDGET", "on")
    suite.conftest(MACHINE)
    return {"XDG_RUNTIME_DIR": str(place)}


@pytest.fixture
def other(host: dict[str, str]) -> Iterator[Registry]:
    """Another run, as long as it has not left."""
    run = Registry(host)
    yield run
    run.leave()


@pytest.fixture
def gate(suite: Suite) -> Iterator[Gate]:
    suite.tests(GATED.replace("COUNT", "60"))
    made = Gate(suite.path)
    yield made
    made.close()


def test_a_run_grows_when_another_one_ends(suite: Suite, other: Registry, gate: Gate) -> None:
    other.tell(Claim(1, 4, 15))
    run = suite.start("-n", "auto", "--start-method=fork")
    assert {gate.hear() for _ in range(2)} == {"runs gw0", "runs gw1"}
    other.leave()
    assert {gate.hear() for _ in range(2)} == {"runs gw2", "runs gw3"}
    gate.let(60)
    finished = run.finish()
    finished.assert_summary(passed=60)
    finished.stdout.fnmatch_lines(["2 workers ?60 items? (of 4 processors: shared with 1 other run)"])


def test_a_run_keeps_the_workers_that_it_has(suite: Suite, other: Registry, gate: Gate) -> None:
    run = suite.start("-n", "auto", "--start-method=fork")
    workers = {gate.hear() for _ in range(4)}
    assert len(workers) == 4
    other.tell(Claim(1, 4, 15))
    again: set[str] = set()
    while again != workers:
        gate.let(1)
        again.add(gate.hear_of("runs"))
    gate.let(60)
    run.finish().assert_summary(passed=60)


@pytest.mark.parametrize("method", ["fork-early", "spawn"])
def test_where_workers_collect_all_are_started(
    suite: Suite, other: Registry, gate: Gate, method: str
) -> None:
    other.tell(Claim(1, 4, 15))
    run = suite.start("-n", "auto", f"--start-method={method}")
    assert len({gate.hear() for _ in range(4)}) == 4
    gate.let(60)
    run.finish().assert_summary(passed=60)


def test_a_given_number_stays_and_counts_for_others(suite: Suite, other: Registry, gate: Gate) -> None:
    other.tell(Claim(monotonic_ns(), 4, 15))
    run = suite.start("-n", "3")
    assert {gate.hear() for _ in range(3)} == {"runs gw0", "runs gw1", "runs gw2"}
    (claim,) = other.others()
    assert claim.want == 3
    gate.let(60)
    run.finish().assert_summary(passed=60)
    assert other.others() == []


@pytest.mark.parametrize(
    ("name", "value", "count"),
    [
        ("PROCPAR_HOST_BUDGET", "off", 4),
        ("PYTEST_XDIST_WORKER", "gw0", 4),  # a run inside a run
        ("PYTEST_XDIST_AUTO_NUM_WORKERS", "3", 3),
        ("XDG_RUNTIME_DIR", "/proc", 4),
    ],
)
def test_who_takes_no_notice_of_other_runs(
    suite: Suite, other: Registry, monkeypatch: pytest.MonkeyPatch, name: str, value: str, count: int
) -> None:
    if value == "/proc":  # nothing can be made there, nor in the folder for temporary files
        (suite.path / f"pytest-procpar-{os.geteuid()}").touch()
        monkeypatch.setenv("TMPDIR", str(suite.path))
    other.tell(Claim(1, 4, 15))
    monkeypatch.setenv(name, value)
    suite.trivial(20)
    finished = suite.run("-n", "auto", "-p", "no:cacheprovider")
    finished.assert_summary(passed=20)
    finished.stdout.fnmatch_lines([f"{count} workers ?20 items?"])


@pytest.mark.parametrize("budget", ["on", "off"])
def test_a_run_that_takes_longer_than_was_known_gets_the_rest_of_the_workers(
    suite: Suite, host: dict[str, str], monkeypatch: pytest.MonkeyPatch, budget: str
) -> None:
    monkeypatch.setenv("PROCPAR_HOST_BUDGET", budget)
    tests = """
        import os

        import pytest

        @pytest.mark.parametrize("i", range(6))
        def test(i, worker_id):
            WAIT
    """
    suite.tests(tests.replace("WAIT", "pass"))
    suite.run("-n", "auto").assert_summary(passed=6)
    gate = Gate(suite.path)
    suite.tests(GATED.replace("COUNT", "6"))
    run = suite.start("-n", "auto")
    assert gate.hear_of("runs") == "runs gw0"
    assert {gate.hear_of("runs") for _ in range(3)} == {"runs gw1", "runs gw2", "runs gw3"}
    gate.let(6)
    run.finish().stdout.fnmatch_lines(["1 worker ?6 items? (of 4 processors: more would gain nothing)"])
    gate.close()


def test_a_value_that_makes_no_sense_is_a_usage_error(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCPAR_HOST_BUDGET", "maybe")
    suite.trivial(1)
    finished = suite.run("-n", "2")
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert "PROCPAR_HOST_BUDGET (environment variable): invalid value 'maybe': give on or off" in finished.err


def test_a_run_takes_no_more_workers_than_gain_something(suite: Suite, host: dict[str, str]) -> None:
    suite.tests("""
        import os

        import pytest

        @pytest.mark.parametrize("i", range(6))
        def test(i):
            pass
    """)
    suite.run("-n", "auto").stdout.fnmatch_lines(["4 workers ?6 items?"])
    again = suite.run("-n", "auto")
    again.assert_summary(passed=6)
    again.stdout.fnmatch_lines(["1 worker ?6 items? (of 4 processors: more would gain nothing)"])
    suite.run("-n", "3").stdout.fnmatch_lines(["3 workers ?6 items?"])
    suite.run("-n", "auto", "--maxprocesses=2").assert_summary(passed=6)


@pytest.mark.parametrize("how", ["--dist=each", "--dist=stable"])
def test_where_it_is_settled_who_runs_what_all_workers_stay(suite: Suite, other: Registry, how: str) -> None:
    other.tell(Claim(1, 4, 15))
    for name in "abcd":
        suite.file(f"test_{name}.py", "def test(): pass")
    for _ in range(2):
        finished = suite.run("-n", "auto", how)
        finished.assert_summary(passed=16 if how == "--dist=each" else 4)
        finished.stdout.fnmatch_lines(["4 workers ?4 items?"])
