"""``--procpar-try``: runs a suite in several ways, and says what would change for those who switch.

Each run is a process of its own, with the arguments of this one, that writes nothing of the user's (see
`switching.recorder`). This module does not judge: see `core.switching.tryout`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

import pytest_procpar.system.files as files
from pytest_procpar.compat.foreign_options import NO_RUN, random_seed
from pytest_procpar.compat.pytest_private.command_line import (
    given_options,
    inert_words,
    program,
    writing_options,
)
from pytest_procpar.config.given import Given
from pytest_procpar.core.printable import printable_line
from pytest_procpar.core.switching.tryout import RunFacts, fails_only_in, has_failures, ungrouped
from pytest_procpar.fresh.custody import Custody
from pytest_procpar.json_report.plugin import check_path
from pytest_procpar.switching.measured import Measured, measured, measuring
from pytest_procpar.switching.page import TriedRuns, page, record_of
from pytest_procpar.switching.recorder import RecorderSetup, environment
from pytest_procpar.system.calls import monotonic
from pytest_procpar.system.kept_files import put_back
from pytest_procpar.system.shortage import in_words

if TYPE_CHECKING:
    from pytest_procpar.core.inquiry.finding_record import FindingRecord
    from pytest_procpar.json_report.plugin import Report

__all__ = ["try_suite"]

#: Options, by destination, that make runs differ for another reason, or that leave nothing to compare.
_SENSELESS = (
    *NO_RUN, "usepdb", "trace", "lf", "failedfirst", "newfirst", "stepwise", "stepwise_skip",
    "stepwise_reset", "maxfail", "procpar_replay", "looponfail", "px", "rsyncdir", "isolate",
    "max_tests_per_worker", "leaks", "recheck", "recheck_order", "tx",
)  # fmt: skip
#: Our own options, which are unknown where pytest-xdist runs the tests.
_OURS = ("start_method", "hang_timeout")
#: How long the search for tests that depend on others may take at the least, in seconds.
_LEAST_BUDGET = 60.0
#: A run with workers is ended after this many times the duration of the plain run, plus this many seconds.
_LONGER, _MORE = 5, 120.0
_POLL_SECONDS = 0.2
_TROUBLE = 300
#: How lines begin that say why a run has ended.
_TELLING = ("ERROR", "Error", "INTERNALERROR> E", "E  ", "the fork server failed", "!")
#: Variables that tell a process which run it belongs to, or that an editor listens.
_OF_A_RUN = re.compile(
    r"PYTEST_XDIST_(WORKER|TESTRUNUID)|COV_CORE_|COVERAGE_|PYTEST_(CURRENT_TEST|VERSION)$|TEST_RUN_PIPE$"
)
_METHOD = re.compile(r"procpar: start method (\S+), since (.*) \(ini: procpar_start_method")


def try_suite(config: pytest.Config, asked: Given) -> int:
    """Try the suite and print a page; return 0 if no test ends differently with workers, 1 if one does.

    :raises pytest.UsageError: for an option that makes no sense with it.
    """
    _check(config, asked)
    target = asked.procpar_try_report
    path = None if target is None else check_path(target, "--procpar-try-report")
    tried = TriedRuns(config)
    custody = Custody()
    try:
        with suppress(OSError):
            tried.load = os.getloadavg()[0], os.cpu_count() or 1  # both are those of the whole machine
        _Tryout(config, asked, custody, tried).run()
    except KeyboardInterrupt:
        tried.interrupted = True
    except OSError as error:
        raise pytest.UsageError(f"--procpar-try: the suite could not be run: {in_words(error)}") from None
    finally:
        kept = custody.close()
        tried.changed, tried.lost = tried.changed | set(kept.changed), tried.lost | set(kept.lost)
    for line in page(tried):
        _say(line)
    if path is not None:
        files.write(path, f"{json.dumps(record_of(tried), indent=1)}\n".encode())
    return tried.exit_status


def _check(config: pytest.Config, asked: Given) -> None:
    for dest, words in given_options(config):
        is_none = dest == "numprocesses" and asked.numprocesses == 0
        if dest in _SENSELESS or is_none:
            raise pytest.UsageError(
                f"{' '.join(words)}: makes no sense with --procpar-try, which runs the whole suite without "
                f"workers and with them, and compares: leave one of them out"
            )
    if not hasattr(os, "fork"):
        raise pytest.UsageError("--procpar-try: this platform cannot fork, which is what there is to try")


def _say(line: str) -> None:
    sys.stdout.write(f"{printable_line(line)}\n")
    sys.stdout.flush()


class _Tryout:
    """The runs, one after the other.

    :param tried: receives the results of each run.
    """

    def __init__(self, config: pytest.Config, asked: Given, custody: Custody, tried: TriedRuns) -> None:
        self._config = config
        self._asked = asked
        self._custody = custody
        self._tried = tried
        self._count = 0

    def run(self) -> None:
        """Run the suite in all ways.

        :raises OSError: if no process can be started.
        """
        tried, workers = self._tried, self._workers()
        tried.way = " ".join(workers[:2])
        tried.left_out = writing_options(self._config)
        tried.plain = plain = self._one("without workers", ["-n", "0", "--recheck=none"])[0]
        if not plain.outcomes and not plain.died:
            return
        limit = _MORE + _LONGER * plain.wall
        tried.parallel = self._one(tried.way, [*workers, "--recheck=none"], limit)[0]
        if self._has_xdist():
            words = [word for word in workers if not word.startswith("--hang-timeout")]
            facts, _ = self._one("by pytest-xdist", [*words, *self._give_back()], limit, of_xdist=True)
            tried.xdist = ungrouped(facts, plain)
        self._classify(workers, limit)

    def _classify(self, workers: list[str], limit: float) -> None:
        """Look for tests that depend on others, where failures may show them: with all workers, or with one.

        One worker runs the tests as a run without workers does, in one process.
        """
        tried = self._tried
        plain, parallel = tried.plain, tried.parallel
        assert plain is not None
        assert parallel is not None
        given = self._asked.recheck_budget
        budget = max(_LEAST_BUDGET, plain.wall) if given is None else given
        if not budget or not parallel.outcomes:
            return
        ways = ["-n 1"] if has_failures(plain) else []
        if not ways or fails_only_in(parallel, plain):
            ways.append(tried.way)
        for way in ways:
            words = [*way.split(), *workers[2:], "--recheck=all", f"--recheck-budget={budget:g}"]
            what = f"{way}, with a look for dependences"
            facts, report = self._one(what, [*words, "--recheck-tests=1000"], limit + 2 * budget)
            tried.method, tried.reason = facts.method, facts.reason
            if report is not None:
                tried.classified = True
                tried.add(map(_own, report["findings"]))

    def _workers(self) -> list[str]:
        asked = self._asked
        wanted = asked.numprocesses or "auto"
        dist = [f"--dist={asked.dist}"] if asked.dist not in ("no", "load") else []
        hang = [f"--hang-timeout={asked.hang_timeout:g}"] if asked.hang_timeout else []
        return ["-n", str(wanted), *dist, *hang]

    def _has_xdist(self) -> bool:
        blocked = self._config.pluginmanager.is_blocked("xdist")
        return not blocked and importlib.util.find_spec("xdist") is not None

    def _give_back(self) -> list[str]:
        """The options that let pytest-xdist run the tests."""
        load = [] if "xdist.plugin" in sys.modules else ["-p", "xdist.plugin"]
        return ["-p", f"no:{self._own_name()}", *load]

    def _own_name(self) -> str:
        """The name under which this plugin is registered."""
        return str(self._config.pluginmanager.get_name(sys.modules["pytest_procpar.plugin"]))

    def _one(
        self, what: str, words: Sequence[str], limit: float = 0.0, *, of_xdist: bool = False
    ) -> tuple[RunFacts, Report | None]:
        """Make one run; return its facts and its report.

        :param limit: how long it may take, in seconds; 0: no limit.
        :param of_xdist: whether pytest-xdist is to run the tests.
        """
        self._count += 1
        _say(f"procpar: run {self._count}, {what} ...")
        warden, kept = self._custody.warden(), self._custody.kept()
        kept.mkdir(exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=warden.folder))
        command, exchanged = self._arguments([*words, *self._seed()], of_xdist=of_xdist)
        report = folder / "report.json"
        order = RecorderSetup(str(kept), str(folder / "tmp"), str(folder / "cache"), str(report), exchanged)
        environ = environment(order, folder / "order.json", _environment())
        told, out, errors = folder / "measured.json", folder / "out.txt", folder / "errors.txt"
        cwd = Path(self._config.invocation_params.dir)
        number = warden.start(measuring([*program(), *command], told, out), cwd, environ, errors)
        deadline = monotonic() + limit if limit else float("inf")
        try:
            while not (over := warden.hear(_POLL_SECONDS)) and monotonic() < deadline:
                pass
            if not over:
                warden.end([number])
        finally:
            warden.end([number])
            warden.sweep()
        restored = put_back(kept)
        self._tried.changed |= set(restored.changed)
        self._tried.lost |= set(restored.lost)
        facts, found = _facts(measured(told), _read(report), out, errors, limit)
        _say(f"    {_outcome_line(facts)}")
        return facts, found

    def _arguments(self, own: list[str], *, of_xdist: bool) -> tuple[list[str], list[str]]:
        """The arguments on the command line, and those that replace them, if any do.

        Workers of pytest-xdist get their arguments from the command line, so these cannot be replaced.
        """
        if not of_xdist:
            words = inert_words(self._config, own, _SENSELESS, configured=True)
            return inert_words(self._config, own, _SENSELESS, configured=False), words
        own = [*own, "-o", "addopts="]
        words = inert_words(self._config, own, [*_SENSELESS, *_OURS], configured=True)
        name = self._own_name()
        places = [at for at in range(len(words) - 1) if words[at : at + 2] == ["-p", name]]
        return [word for at, word in enumerate(words) if at not in places and at - 1 not in places], []

    def _seed(self) -> list[str]:
        """The options that give all runs the same random order."""
        seed = random_seed(self._config)
        if seed is None:
            return []
        return [f"--randomly-seed={seed if isinstance(seed, int) else 1}"]


def _environment() -> Mapping[str, str]:
    """The environment of a run: it belongs to no other run, and its arguments are all that it gets."""
    return {name: value for name, value in os.environ.items() if not _OF_A_RUN.match(name)}


def _own(finding: FindingRecord) -> FindingRecord:
    """A finding without what it says about earlier runs: these runs know of none."""
    own = finding.copy()
    own.pop("since", None)
    own.pop("runs", None)
    return own


def _read(path: Path) -> Report | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return cast("Report", found) if isinstance(found, dict) else None  # it is a run of ours that wrote it


def _facts(
    times: Measured | None, report: Report | None, out: Path, errors: Path, limit: float
) -> tuple[RunFacts, Report | None]:
    """The facts about a run, from its report and what it has printed."""
    if times is None:
        return RunFacts(
            None, limit, 0.0, {}, trouble=f"it did not end within {limit:.0f} s, and was ended"
        ), None
    text = out.read_text(errors="replace")
    found = _METHOD.search(text)
    method, reason = found.groups() if found is not None else ("", "")
    outcomes: dict[str, tuple[str, ...]] = {}
    for test in () if report is None else report["tests"]:
        nodeid = test["nodeid"]
        outcomes[nodeid] = tuple(sorted((*outcomes.get(nodeid, ()), test["outcome"])))
    if not any(outcome != "not-run" for some in outcomes.values() for outcome in some):
        outcomes = {}
    trouble = ""
    if not outcomes or times.code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        trouble = _killed(times.code) or next(_troubles(report, text, errors.read_text(errors="replace")), "")
    workers = 0 if report is None else report["workers"]
    return RunFacts(times.code, times.wall, times.cpu, outcomes, workers, trouble, method, reason), report


def _killed(code: int) -> str:
    """The signal that killed a run, in words; empty if none did."""
    names = {int(signum): signum.name for signum in signal.Signals}
    return f"it was killed by {names.get(-code, f'signal {-code}')}" if code < 0 else ""


def _troubles(report: Report | None, out: str, errors: str) -> Iterator[str]:
    """The possible reasons why a run has no outcomes, the likeliest first."""
    for collector in () if report is None else report["collect_errors"]:
        lines = str(collector["longrepr"]).strip().splitlines() or [""]
        yield f"{collector['nodeid']} cannot be collected: {lines[-1]}"[:_TROUBLE]
    said = [[line.strip() for line in text.splitlines() if line.strip()] for text in (errors, out)]
    for lines in said:
        yield from (line[:_TROUBLE] for line in lines if line.startswith(_TELLING))
    for lines in said:
        yield from (line[:_TROUBLE] for line in lines[-1:])


def _outcome_line(facts: RunFacts) -> str:
    if facts.status is None or not facts.outcomes:
        return facts.trouble or f"it ended with exit status {facts.status}, and no test"
    plural = "" if facts.tests == 1 else "s"
    return f"{facts.tests} test{plural}, {facts.wall:.1f} s, exit status {facts.status}"
