"""A soak: workers are killed at random, run after run, and after each run everything must be accounted for.

    python -m benchmarks.soak

The workers of the suite that is run say what happens in them: who was forked, which test began and ran.
`Killer` listens, and sends signals to workers while they go on. What the controller is told is noted by
`tests/recorder.py`. `examine` compares the two afterwards, and knows nothing of how the plugin works.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from json import loads
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

from benchmarks.environments import clean_environ

CHECKOUT = Path(__file__).resolve().parent.parent
#: The recorder asks which worker it is in before there is one, and means no harm.
_OPTIONS = ("--recheck=none", "-o", "procpar_fork_safe=recorder.py")
RECORDER = CHECKOUT / "tests" / "recorder.py"
MODES = ("load", "worksteal", "loadscope", "loadfile", "loadgroup", "stable", "each")
ALL = "all"
SIGNALS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGABRT)

#: How likely each word that a worker says costs some worker its life.
CHANCE = 0.2
#: Seconds that a run may take: far more than any does.
TIMEOUT = 300.0

_MARK = "PROCPAR_SOAK"
_FIFO = "reached.fifo"
_MODULES = 6
_TEMPORARY = "temporary"
#: What folders that runs share are called there, before a user's name or number.
_SHARED = ("pytest-of-", "pytest-procpar-")
#: Entries of the suite's folder that a run is expected to make.
_USUAL = {"records.jsonl", "__pycache__", ".pytest_cache"}


# --- the suite ------------------------------------------------------------------------------------

_WORDS = """\
import json

from recorder import reached, worker


# Not `recorder.note`: a signal that kills may cut a write to a file short, and what is written next would be
# in the same line. What goes into a pipe goes in whole, if it is short.
def say(kind, **facts):
    reached(json.dumps({"kind": kind, "worker": worker(), **facts}))
"""

_CONFTEST = """\
import os
import resource
import time

import pytest
from recorder import note, worker
from words import say

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def peak_memory():
    with open("/proc/self/status") as file:
        (line,) = (line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def pytest_sessionstart():
    if worker() == "main":
        note("controller-starts", descriptors=descriptors())


def pytest_sessionfinish():
    if worker() == "main":
        note("controller-ends", descriptors=descriptors(), peak=peak_memory())


def pytest_collection_finish(session):
    note("collected", tests=[item.nodeid for item in session.items])


def pytest_procpar_worker_forked():
    say("forked", at=time.monotonic(), descriptors=descriptors())


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    say("begin", test=item.nodeid)


@pytest.fixture(scope="session", autouse=True)
def of_the_session():
    yield
    say("torn down", fixture="session")
"""

_MODULE = """\
import pytest
from words import say


@pytest.fixture(scope="module")
def of_the_module():
    yield
    say("torn down", fixture="module")


class TestAlone:
    @pytest.fixture(scope="class")
    def of_the_class(self):
        yield
        say("torn down", fixture="class")

    @pytest.mark.parametrize("i", range({size}))
    def test_in_a_class(self, i, of_the_class, request):
        say("ran", test=request.node.nodeid)


class TestTogether:
    @pytest.mark.parametrize("i", range({size}))
    def test_busy(self, i, of_the_module, request):
        assert sum(range(20_000))
        say("ran", test=request.node.nodeid)


@pytest.mark.parametrize(
    "i", [pytest.param(i, marks=pytest.mark.xdist_group(f"group-{{i % 5}}")) for i in range({size})]
)
def test_grouped(i, of_the_module, request):
    say("ran", test=request.node.nodeid)


@pytest.mark.parametrize("i", range({size}))
def test_that_says_more(i, tmp_path, record_property, request):
    print("something")
    record_property("i", i)
    (tmp_path / "file").write_text("something")
    say("ran", test=request.node.nodeid)
"""


def suite_files(size: int) -> dict[str, str]:
    """The suite, by file name: `tests_in` tests of that size, with classes, groups and shared fixtures."""
    modules = {f"test_{number}.py": _MODULE.format(size=size) for number in range(_MODULES)}
    return {"conftest.py": _CONFTEST, "words.py": _WORDS, "pytest.ini": "[pytest]\n", **modules}


def tests_in(size: int) -> int:
    """How many tests the suite of that size has."""
    return _MODULES * 4 * size


def write_suite(folder: Path, size: int) -> None:
    """Put the suite into a folder, with the fifo that `Killer` listens to and a place for temporary files."""
    for name, text in suite_files(size).items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / _TEMPORARY).mkdir()
    os.mkfifo(folder / _FIFO)


def temporary_folder(folder: Path) -> Path:
    """What ``TMPDIR`` has to be for `leftovers`."""
    return folder / _TEMPORARY


def leftovers(folder: Path, before: Container[str]) -> list[str]:
    """The files that a run has left in the suite's folder, beside those of `before`, and in its TMPDIR."""
    new = (path.name for path in folder.iterdir() if path.name not in before)
    temporary = (path.name for path in temporary_folder(folder).iterdir())
    return [
        *(name for name in new if name not in _USUAL),
        *(f"{_TEMPORARY}/{name}" for name in temporary if not name.startswith(_SHARED)),
    ]


# --- killing --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kill:
    """A signal that was sent to a worker, and when, on the monotonic clock."""

    worker: str
    signum: signal.Signals
    at: float


@dataclass
class _Target:
    pidfd: int
    has_begun: bool = False


class Killer:
    """While entered, sends signals to random workers of a run, whenever one of its workers says something.

    No worker gets two signals, so its death must be reported as what was sent. Never are two workers in a row
    killed before their first test: after some of those a run is given up, as it should be.

    Args:
        folder: The suite's.
        seed: Decides about every word that comes whether it kills, whom and how.
        chance: How likely a word kills.
        processes: The suite's living processes: nobody else is ever killed.
    """

    def __init__(
        self, folder: Path, seed: str, processes: Callable[[], Container[int]], chance: float = CHANCE
    ) -> None:
        self._random = random.Random(seed)
        self._chance = chance
        self._processes = processes
        self._fifo = os.open(folder / _FIFO, os.O_RDWR | os.O_NONBLOCK)
        self._stopped, self._stop = os.pipe()
        self._targets: dict[str, _Target] = {}
        self._newcomer_killed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._watch)
        self.kills: list[Kill] = []
        #: What the workers have said.
        self.notes: list[dict[str, Any]] = []

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._stop)
        self._thread.join()
        for fd in (self._fifo, self._stopped, *(target.pidfd for target in self._targets.values())):
            os.close(fd)
        if self._error is not None:
            raise self._error

    def _watch(self) -> None:
        try:
            self._listen()
        except BaseException as error:  # it is raised where somebody sees it
            self._error = error

    def _listen(self) -> None:
        poll = select.poll()
        poll.register(self._fifo, select.POLLIN)
        poll.register(self._stopped, select.POLLIN)
        rest = b""
        while self._fifo in (ready := [fd for fd, _ in poll.poll()]) or self._stopped not in ready:
            *lines, rest = (rest + os.read(self._fifo, 4096)).split(b"\n")
            for line in lines:
                pid, _, said = line.decode().partition(" ")
                self._heard(int(pid), loads(said))

    def _heard(self, pid: int, said: dict[str, Any]) -> None:
        self.notes.append(said)
        worker = said["worker"]
        if said["kind"] == "forked":
            self._meet(pid, worker)
        elif worker in self._targets:
            self._targets[worker].has_begun = True
            self._newcomer_killed = False
        if self._random.random() < self._chance and self._targets:
            self._kill(self._random.choice(list(self._targets)), self._random.choice(SIGNALS))

    def _meet(self, pid: int, worker: str) -> None:
        with suppress(ProcessLookupError):
            pidfd = os.pidfd_open(pid)
            if pid in self._processes():
                self._targets[worker] = _Target(pidfd)
            else:
                os.close(pidfd)

    def _kill(self, worker: str, signum: signal.Signals) -> None:
        target = self._targets[worker]
        if not target.has_begun and self._newcomer_killed:
            return
        self._newcomer_killed = not target.has_begun
        at = monotonic()
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(target.pidfd, signum)
            self.kills.append(Kill(worker, signum, at))
        os.close(self._targets.pop(worker).pidfd)


# --- accounting -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    """A run that has ended: how it was run, what it said, what was noted in it, and what was done to it."""

    dist: str
    workers: int
    tests: int
    status: int
    out: str
    records: Sequence[Mapping[str, Any]]
    kills: Sequence[Kill]

    def notes(self, kind: str) -> list[Mapping[str, Any]]:
        """The notes of a kind, in order."""
        return [record for record in self.records if record["kind"] == kind]


@dataclass
class Findings:
    """What became of the tests and workers of a run, and everything that must not be."""

    settled: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    #: The workers that died, and of what.
    deaths: dict[str, str] = field(default_factory=dict)
    #: Seconds from each kill until the worker's replacement was forked and ready for tests.
    recoveries: list[float] = field(default_factory=list)
    #: The most memory that the controller had, in bytes.
    peak: int = 0
    wrong: list[str] = field(default_factory=list)


#: A copy of a test: under ``--dist each`` there is one in every partition.
_Copy = tuple[int, str]


def partitions_of(out: str, workers: int, dist: str) -> dict[str, int]:
    """Every worker's partition: under ``--dist each`` that of the worker it replaces, else 0."""
    partitions = {f"gw{number}": number if dist == "each" else 0 for number in range(workers)}
    for worker, dead in replaced(out, workers).items():
        partitions[worker] = partitions[dead]
    return partitions


def replaced(out: str, workers: int) -> dict[str, str]:
    """Which worker each replacement replaced: they are numbered in the order in which they come."""
    dead = re.findall(r"^replacing crashed worker (gw\d+)$", out, re.MULTILINE)
    return {f"gw{number}": worker for number, worker in enumerate(dead, workers)}


def examine(run: Ended) -> Findings:
    """See whether everything is accounted for, exactly once."""
    found = Findings()
    found.deaths = dict(re.findall(r"\[(gw\d+)\] node down: (.+)", run.out))
    partitions = partitions_of(run.out, run.workers, run.dist)
    crashes = _examine_tests(run, partitions, found)
    _examine_deaths(run, crashes, found)
    _examine_status(run, found)
    _examine_descriptors(run, found)
    found.recoveries = _recoveries(run)
    found.peak = max((note["peak"] for note in run.notes("controller-ends")), default=0)
    return found


def _examine_tests(run: Ended, partitions: Mapping[str, int], found: Findings) -> dict[str, str]:
    """Every copy of a test has one verdict, that of what happened to it. The crashed test of each worker."""
    collected = [test for note in run.notes("collected") for test in note["tests"]]
    if len(collected) != run.tests:
        found.wrong.append(f"{len(collected)} tests were collected, not {run.tests}")
    reports: dict[_Copy, list[Mapping[str, Any]]] = {
        (partition, test): [] for partition in set(partitions.values()) for test in collected
    }
    for report in run.notes("report"):
        copy = partitions.get(report["by"], -1), report["nodeid"]
        if copy in reports:
            reports[copy].append(report)
        else:
            found.wrong.append(f"{report['nodeid']} has a report of {report['by']}: {report['longrepr']}")
    begun = Counter((partitions.get(note["worker"], -1), note["test"]) for note in run.notes("begin"))
    ran = Counter((partitions.get(note["worker"], -1), note["test"]) for note in run.notes("ran"))
    latest = {note["worker"]: note["test"] for note in run.notes("begin")}
    crashes: dict[str, str] = {}
    for copy, own in reports.items():
        _, test = copy
        letters = "".join(_letter(report) for report in own)
        if begun[copy] > 1 or ran[copy] > 1:
            found.wrong.append(f"{test} began {begun[copy]} times and ran {ran[copy]} times")
        if not own:
            found.lost.append(test)
        elif letters == "sct":
            found.settled += 1
            if not ran[copy]:
                found.wrong.append(f"{test} is reported as passed and has not run")
        elif re.fullmatch("(s(ct?)?)?X", letters):
            found.settled += 1
            by = own[-1]["by"]
            crashes[by] = test
            if latest.get(by) != test and begun[copy]:
                found.wrong.append(f"{by} is said to have died of {test} and ran {latest.get(by)}")
            if ran[copy] and own[-1]["longrepr"].split("\n")[0].endswith(" in its setup"):
                found.wrong.append(f"{test} is said to have died in its setup and ran to its end")
        elif letters.count("X") > 1 or letters.count("s") > 1:
            found.twice.append(test)
        else:
            found.wrong.append(f"{test} has the reports {_words(own)}")
    return crashes


def _letter(report: Mapping[str, Any]) -> str:
    if report["when"] == "???" and report["outcome"] == "failed":
        return "X"
    return str(report["when"])[0] if report["outcome"] == "passed" else "?"


def _words(reports: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{report['when']} {report['outcome']}" for report in reports) or "none"


def _examine_deaths(run: Ended, crashes: Mapping[str, str], found: Findings) -> None:
    """Every worker that died was killed, and of that; a test or the run itself has it as an error."""
    sent = {kill.worker: f"killed by {kill.signum.name}" for kill in run.kills}
    # At SIGABRT faulthandler writes down the stacks, and at an unlucky moment dies of it (Python 3.13).
    broke = {kill.worker: "killed by SIGSEGV" for kill in run.kills if kill.signum is signal.SIGABRT}
    errors = Counter(note["nodeid"] for note in run.notes("collectreport"))
    for worker, cause in found.deaths.items():
        if cause not in (sent.get(worker), broke.get(worker)):
            found.wrong.append(f"{worker} is said to be {cause}; it was {sent.get(worker, 'left alone')}")
        blamed = int(worker in crashes) + errors.pop(f"worker {worker}", 0)
        if blamed != 1:
            found.wrong.append(f"the death of {worker} is reported {blamed} times")
    for worker in set(crashes) - set(found.deaths):
        found.wrong.append(f"{crashes[worker]} is said to have died with {worker}, which is alive")
    if errors:
        found.wrong.append(f"there are errors of {', '.join(errors)}")
    ended = {note["worker"] for note in run.notes("sessionfinish")}
    for worker in set(sent) - set(found.deaths) - ended:
        found.wrong.append(f"{worker} was {sent[worker]}, and nothing says so")


def _examine_status(run: Ended, found: Findings) -> None:
    """Who dies after it has ended its session is no test's failure, but the machinery's."""
    late = "failed at its exit: killed by" in run.out
    expected = 3 if late else int(bool(found.deaths))
    if run.status != expected:
        found.wrong.append(f"the exit status is {run.status}, not {expected}")


def _examine_descriptors(run: Ended, found: Findings) -> None:
    """Nothing stays open in the controller, nor in the fork server, whose descriptors its workers inherit."""
    counts = [note["descriptors"] for kind in ("starts", "ends") for note in run.notes(f"controller-{kind}")]
    if len(counts) != 2 or counts[0] < counts[1]:  # pytest may have let go of its own before
        found.wrong.append(f"descriptors of the controller at its start and end: {counts}")
    inherited = {note["descriptors"] for note in run.notes("forked")}
    if len(inherited) != 1:
        found.wrong.append(f"workers were forked with different numbers of descriptors: {sorted(inherited)}")


def _recoveries(run: Ended) -> list[float]:
    ready = {note["worker"]: note["at"] for note in run.notes("forked")}
    killed = {kill.worker: kill.at for kill in run.kills}
    pairs = replaced(run.out, run.workers).items()
    return [ready[new] - killed[dead] for new, dead in pairs if new in ready and dead in killed]


# --- one run --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """How to soak, for all runs alike."""

    kills: int
    seed: int
    dist: str
    workers: int
    size: int

    def mode(self, number: int) -> str:
        """The ``--dist`` of a run."""
        return MODES[number % len(MODES)] if self.dist == ALL else self.dist

    def tests(self, mode: str) -> int:
        """How many tests the suite has; under ``each`` fewer, since all workers run all of them."""
        return tests_in(self.size_in(mode))

    def size_in(self, mode: str) -> int:
        """The size of the suite."""
        return max(1, self.size // self.workers) if mode == "each" else self.size


@dataclass
class Totals:
    """What all runs have come to."""

    runs: int = 0
    deaths: int = 0
    settled: int = 0
    lost: int = 0
    twice: int = 0
    processes: int = 0
    files: int = 0
    wall: float = 0.0
    recoveries: list[float] = field(default_factory=list)
    peak: int = 0

    def add(self, found: Findings, processes: int, files: Sequence[str], wall: float) -> list[str]:
        """Count a run in; everything that broke in it, in words."""
        self.runs += 1
        self.deaths += len(found.deaths)
        self.settled += found.settled
        self.lost += len(found.lost)
        self.twice += len(found.twice)
        self.processes += processes
        self.files += len(files)
        self.wall += wall
        self.recoveries += found.recoveries
        self.peak = max(self.peak, found.peak)
        broken = [f"{test} has no result" for test in found.lost]
        broken += [f"{test} has two results" for test in found.twice]
        broken += [f"{name} was left behind" for name in files]
        broken += [f"{processes} processes were left behind"] if processes else []
        return broken + found.wrong


def marked(mark: str) -> list[int]:
    """The living processes with this entry in the environment they were started with."""
    alive = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                alive.append(int(folder.name))
    return alive


def soak_once(plan: Plan, number: int, folder: Path, totals: Totals) -> list[str]:
    """One run under fire in an empty folder, counted in; everything that broke in it."""
    mode, mark = plan.mode(number), f"{_MARK}={uuid.uuid4().hex}"
    write_suite(folder, plan.size_in(mode))
    shutil.copy(RECORDER, folder)
    out = folder / "out.txt"
    before = {path.name for path in folder.iterdir()} | {out.name}
    start = monotonic()
    with (
        out.open("wb") as file,
        Killer(folder, str(plan.seed + number), lambda: marked(mark)) as killer,
        _all_ended(mark),
    ):
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", f"-n{plan.workers}", f"--dist={mode}", *_OPTIONS],
            cwd=folder,
            env=_environ(folder, mark),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        hangs = not _ends(process, mark)
        wall, left = monotonic() - start, len(marked(mark))
    text = out.read_text(encoding="utf-8", errors="replace")
    notes = [*killer.notes, *map(loads, _lines(folder / "records.jsonl"))]
    ended = Ended(mode, plan.workers, plan.tests(mode), process.returncode, text, notes, killer.kills)
    broken = totals.add(examine(ended), left, leftovers(folder, before), wall)
    return [*([f"it did not end within {TIMEOUT:g} s"] if hangs else []), *broken]


def _environ(folder: Path, mark: str) -> dict[str, str]:
    name, _, value = mark.partition("=")
    return {
        **clean_environ(os.environ),
        name: value,
        "COLUMNS": "100",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_PLUGINS": "pytest_procpar.plugin,recorder",
        "PYTHONPATH": str(CHECKOUT),
        "TMPDIR": str(temporary_folder(folder)),
    }


def _ends(process: subprocess.Popen[bytes], mark: str) -> bool:
    """Wait for the end; if it does not come, bring it about, with everybody's stacks in the output."""
    try:
        process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        for signum in (signal.SIGABRT, signal.SIGKILL):
            _signal_all(mark, signum)
            with suppress(subprocess.TimeoutExpired):
                process.wait(5.0)
        return False
    return True


@contextmanager
def _all_ended(mark: str) -> Iterator[None]:
    """Let nothing that was started meanwhile go on afterwards."""
    try:
        yield
    finally:
        _signal_all(mark, signal.SIGKILL)


def _signal_all(mark: str, signum: signal.Signals) -> None:
    for pid in marked(mark):
        with suppress(ProcessLookupError):
            os.kill(pid, signum)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


# --- the command ----------------------------------------------------------------------------------


def table(totals: Totals) -> str:
    """The figures, in markdown."""
    rows = [
        ("runs", f"{totals.runs:,}"),
        ("workers killed", f"{totals.deaths:,}"),
        ("tests settled", f"{totals.settled:,}"),
        ("tests lost", f"{totals.lost:,}"),
        ("tests settled twice", f"{totals.twice:,}"),
        ("processes left", f"{totals.processes:,}"),
        ("files left", f"{totals.files:,}"),
        ("wall time", f"{totals.wall:.0f} s"),
        ("from a kill to its replacement's readiness, median", _milliseconds(totals.recoveries)),
        ("peak memory of the controller", f"{totals.peak / 2**20:.0f} MiB"),
    ]
    return "\n".join(["| | |", "|---|--:|", *(f"| {name} | {value} |" for name, value in rows)])


def _milliseconds(values: Sequence[float]) -> str:
    return f"{median(values) * 1000:.1f} ms" if values else "n/a"


def repeat(plan: Plan, number: int) -> str:
    """The command that repeats one run."""
    options = f"--kills 1 --seed {plan.seed + number} --dist {plan.mode(number)}"
    return f"python -m benchmarks.soak {options} --workers {plan.workers} --tests {tests_in(plan.size)}"


def _count(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number from 1 up")
    return int(value)


def parsed(arguments: list[str]) -> Plan:
    """The options, or SystemExit with status 2 and a message that says what would be right."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description="Kill workers at random, run after run, and see that nothing is lost or left behind.",
    )
    add = parser.add_argument
    add("--kills", type=_count, default=2000, help="end when so many workers have died (default: 2000)")
    add("--seed", type=int, default=None, help="decides who is killed when (default: another every time)")
    add("--dist", choices=(ALL, *MODES), default=ALL, help="default: all of them by turns")
    add("--workers", type=_count, default=3, help="workers in each run (default: 3)")
    add("--tests", type=_count, default=1920, help="tests in each run, roughly (default: 1920)")
    given = parser.parse_args(arguments)
    seed = random.randrange(10**6) if given.seed is None else given.seed
    return Plan(given.kills, seed, given.dist, given.workers, max(1, given.tests // tests_in(1)))


def main(arguments: list[str]) -> int:
    """Soak. 0: nothing broke; 1: something did; 2: wrong usage."""
    plan, totals = parsed(arguments), Totals()
    _say(f"seed {plan.seed}")
    number = 0
    while totals.deaths < plan.kills:
        folder = Path(tempfile.mkdtemp(prefix="procpar-soak-"))
        deaths, settled, wall = totals.deaths, totals.settled, totals.wall
        broken = soak_once(plan, number, folder, totals)
        _say(
            f"run {number + 1}, --dist {plan.mode(number)}: {totals.deaths - deaths} workers killed, "
            f"{totals.settled - settled} tests settled in {totals.wall - wall:.1f} s; "
            f"{totals.deaths} of {plan.kills}"
        )
        if broken or totals.deaths == deaths:
            _say("\n".join(["BROKEN:", *(broken or ["nobody was killed"])]))
            _say(f"what it said and noted is in {folder}; again:\n    {repeat(plan, number)}")
            return 1
        shutil.rmtree(folder)
        number += 1
    print(table(totals))
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # an exception ends the run in progress, too
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("interrupted: no table written")
