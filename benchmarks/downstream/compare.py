"""Whether two runs of a suite said the same of every test.

Pure: takes lines and texts which others read. Outcomes are folded as pytest's terminal counts them
(`pytest_report_teststatus` of its runner, skipping and terminal plugins).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

_SUMMARY = re.compile(r"^(?:=+ )?((?:no tests ran|\d+ [a-z]+(?: [a-z]+)*)(?:, \d+ .*)?) in [\d.]+s")
_COUNT = re.compile(r"(\d+) ([a-z]+(?: [a-z]+)*)")
_START = re.compile(r"^procpar: start method (fork-early|spawn), since (.+?)(?: \(ini: .*)?$", re.MULTILINE)
_INSTALLED = re.compile(r"\S*/site-packages/")
_SINGULAR = {"warnings": "warning", "errors": "error"}


@dataclass(frozen=True)
class Report:
    """What pytest reported of one phase of one test, or of one collector.

    Attributes:
        nodeid: Of the test or the collector.
        when: "collect", "setup", "call" or "teardown".
        outcome: "passed", "failed" or "skipped".
        xfail: Whether the test was expected to fail.
        subtest: Whether it is of a subtest. Which one is not compared: its arguments may hold
            addresses, and pytest 9.2 gives them one more pair of quotes when a report is restored.
        reason: First line of why; empty when it passed.
    """

    nodeid: str
    when: str
    outcome: str
    xfail: bool = False
    subtest: bool = False
    reason: str = ""


def fold(report: Report) -> str | None:
    """The terminal's word for ``report``; None for what it does not count.

    A subtest has words of its own: the terminal hides most of them.
    """
    if report.subtest:
        return f"subtest {fold(replace(report, subtest=False))}"
    if report.xfail and report.outcome != "failed":
        return "xfailed" if report.outcome == "skipped" else "xpassed"
    if report.outcome == "failed":
        return "failed" if report.when == "call" else "error"
    if report.outcome == "skipped" or report.when == "call":
        return report.outcome
    return None


def parse_records(lines: Iterable[str]) -> list[Report]:
    """The reports in the recorder's ``lines``. Raises ValueError for a torn line."""
    return [Report(**json.loads(line)) for line in lines if line.strip()]


def summary_counts(output: str) -> dict[str, int]:
    """The numbers of pytest's closing line, by singular word; empty when there is no such line."""
    for line in reversed(output.splitlines()):
        if found := _SUMMARY.match(line.strip()):
            pairs = _COUNT.findall(found[1])
            return {_SINGULAR.get(word, word): int(count) for count, word in pairs}
    return {}


@dataclass(frozen=True)
class Run:
    """One run of a suite.

    Attributes:
        outcomes: How often each (test, outcome) was reported.
        status: Exit status; negative for a signal.
        summary: Counts of the closing line, see `summary_counts`.
        reasons: The last reason given for a test.
        start_method: How workers were started, by the line that says so: "fork" if there is none.
        start_reason: Why it was not "fork"; empty if it was.
    """

    outcomes: Counter[tuple[str, str]]
    status: int
    summary: Mapping[str, int]
    reasons: Mapping[str, str] = field(default_factory=dict)
    start_method: str = "fork"
    start_reason: str = ""


def start_method(output: str) -> tuple[str, str]:
    """How the workers of the run that printed ``output`` were started, and why if it is not "fork"."""
    found = _START.search(output)
    return (found[1], _INSTALLED.sub("", found[2])) if found else ("fork", "")


def run_of(reports: Iterable[Report], status: int, output: str) -> Run:
    """The `Run` that made these ``reports`` and this terminal ``output``."""
    outcomes: Counter[tuple[str, str]] = Counter()
    reasons: dict[str, str] = {}
    for report in reports:
        outcome = fold(report)
        if outcome is not None:
            outcomes[report.nodeid, outcome] += 1
            if report.reason:
                reasons[report.nodeid] = report.reason
    return Run(outcomes, status, summary_counts(output), reasons, *start_method(output))


@dataclass(frozen=True)
class Difference:
    """Something two runs disagree about.

    Attributes:
        subject: A nodeid, "exit status" or "summary: <word>".
        plain: What the plain run said; empty when it said nothing.
        parallel: What the parallel run said.
        reason: Why, as far as either run said.
    """

    subject: str
    plain: str
    parallel: str
    reason: str = ""


@dataclass(frozen=True)
class Comparison:
    """What two runs disagree about: tests, totals (status and closing line), and warnings."""

    tests: tuple[Difference, ...]
    totals: tuple[Difference, ...]
    warnings: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """Whether they agree about everything."""
        return not (self.tests or self.totals or self.warnings)


def _said(run: Run) -> dict[str, str]:
    """All outcomes of each test of ``run``, in a text that is equal when they are."""
    words: dict[str, list[str]] = {}
    for (name, outcome), count in sorted(run.outcomes.items()):
        words.setdefault(name, []).append(outcome if count == 1 else f"{outcome} x{count}")
    return {name: ", ".join(outcomes) for name, outcomes in words.items()}


def _different_tests(plain: Run, parallel: Run) -> tuple[Difference, ...]:
    before, after = _said(plain), _said(parallel)
    return tuple(
        Difference(
            name,
            before.get(name, ""),
            after.get(name, ""),
            parallel.reasons.get(name) or plain.reasons.get(name, ""),
        )
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def compare(plain: Run, parallel: Run) -> Comparison:
    """Everything ``plain`` and ``parallel`` disagree about. Durations and order are not compared."""
    totals: list[Difference] = []
    warnings: list[Difference] = []
    if plain.status != parallel.status:
        totals.append(Difference("exit status", str(plain.status), str(parallel.status)))
    for word in sorted({*plain.summary, *parallel.summary}):
        before, after = plain.summary.get(word, 0), parallel.summary.get(word, 0)
        if before != after:
            kind = warnings if word == "warning" else totals
            kind.append(Difference(f"summary: {word}", str(before), str(after)))
    return Comparison(_different_tests(plain, parallel), tuple(totals), tuple(warnings))


def without_warnings(found: Comparison) -> Comparison:
    """``found`` but for warnings: compilers warn once, where no compiled file is yet."""
    return replace(found, warnings=())
