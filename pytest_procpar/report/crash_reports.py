"""Reports on what no worker can report itself: a test that crashed, hung or was not run, a worker that died.

They look like the crash reports that plugins know from pytest-xdist: ``when`` is ``"???"``, and ``longrepr``
is a string of one line. The rest is in what `str` makes of that string, in sections, and in
``user_properties`` with names that begin with ``procpar_``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from pytest_procpar.compat.foreign_options import place_options
from pytest_procpar.compat.pytest_reports.reports import crash_location, nodeid_from_here
from pytest_procpar.core.printable import shell_command
from pytest_procpar.core.protocol.worker_status import Death, Stage

__all__ = ["CrashVerdict", "WorkerDied", "not_run", "reproduce", "shortened", "verdict", "worker_died"]

_MIB = 1 << 20

#: The frame in a stack, the latest call first, at which pytest's runner begins.
_RUNNER = re.compile(
    r'[/\\]_pytest[/\\]runner\.py", line \d+ in (pytest_runtest_|teardown_exact|setup|<lambda>|from_call)'
)


class CrashVerdict(str):
    """A single line, for summaries; `str` gives the whole text, for code that shows a failure in full."""

    whole: str
    #: JUnit XML and others take the line from here.
    reprcrash: object

    def __new__(cls, line: str, rest: str = "", path: str = "") -> CrashVerdict:
        """Make a verdict of one line, the rest of the text, and the path of the file that it is about."""
        made = super().__new__(cls, line)
        made.reprcrash = crash_location(path, line)
        made.whole = f"{line}\n{rest}" if rest else line
        return made

    def __str__(self) -> str:
        return self.whole

    def __format__(self, spec: str) -> str:
        return format(str.__str__(self), spec)


class WorkerDied(pytest.CollectReport):  # type: ignore[misc]  # it is final, to the type checker
    """A worker's death that no test is to blame for: an error of the run."""

    when = "run"  # pytest's heading is "ERROR at run of worker gw0"


def verdict(
    nodeid: str,
    worker: str,
    death: Death,
    command: str,
    *,
    limit: float | None,
    earlier: Iterable[tuple[str, str]],
) -> pytest.TestReport:
    """The report of a test whose process died while it ran.

    :param limit: the time limit, in seconds, that it exceeded and was ended for; None if it died by itself.
    :param earlier: the sections of the reports of its earlier phases.
    """
    stage = death.worker_status.stage
    if limit is None:
        line = f"worker {worker!r} crashed while running {nodeid!r}: {death.cause}{_place(stage)}"
    else:
        line = f"worker {worker!r} hung while running {nodeid!r}: longer than {limit:g} s{_place(stage)}"
    report = _report(nodeid, line, _details(death))
    report.sections = [*earlier, *_sections(death)]
    _add_facts(
        report,
        outcome="crashed" if limit is None else "hung",
        worker=worker,
        cause=death.cause,
        phase=str(stage),
        limit=limit,
        peak_memory=death.peak_memory,
        out_of_memory=death.out_of_memory,
        reproduce=command,
    )
    return report


def not_run(nodeid: str, reason: str, command: str) -> pytest.TestReport:
    """The report of a test that could not be run."""
    report = _report(nodeid, f"not run: {reason}")
    _add_facts(report, outcome="not-run", reason=reason, reproduce=command)
    return report


def worker_died(worker: str, death: Death, latest: str | None, *, limit: float | None) -> WorkerDied:
    """The report of a death that no test is to blame for; `latest` is the test that ran last."""
    what = f"worker {worker!r} died {_when(death.worker_status.stage)}: {death.cause}"
    if limit is not None:
        what = f"worker {worker!r} hung {_when(death.worker_status.stage)}: longer than {limit:g} s"
    last = f"{latest!r} ran last there" if latest is not None else "no test had run there"
    report = WorkerDied(
        nodeid=f"worker {worker}",
        outcome="failed",
        longrepr=CrashVerdict(f"{what}; {last}", _details(death)),
        result=[],
    )
    report.sections = _sections(death)
    return report


def reproduce(config: pytest.Config, nodeid: str, limit: float | None = None) -> str:
    """The command that runs a test alone, from the folder that the user is in."""
    words = ["pytest", "-n", "1", *place_options(config)]
    if limit is not None:
        words.append(f"--hang-timeout={limit:g}")
    return shell_command([*words, nodeid_from_here(config, nodeid)])


def _report(nodeid: str, line: str, rest: str = "") -> pytest.TestReport:
    path = nodeid.split("::", 1)[0]
    return pytest.TestReport(
        nodeid=nodeid,
        location=(path, None, path),
        keywords={},
        outcome="failed",
        longrepr=CrashVerdict(line, rest, path),
        when="???",  # type: ignore[arg-type]  # by this, plugins recognize a crash
    )


def _add_facts(report: pytest.TestReport, **facts: object) -> None:
    report.user_properties += [
        (f"procpar_{name}", value) for name, value in facts.items() if value not in (None, "")
    ]


def _place(stage: Stage) -> str:
    if stage is Stage.LATE_TEARDOWN:
        return f" in the {stage}"
    if stage is Stage.ENDING:
        return f" at the {stage}"
    return f" in its {stage}" if stage.in_test else ""


def _when(stage: Stage) -> str:
    return f"at the {stage}" if stage is Stage.ENDING else str(stage)


def _details(death: Death) -> str:
    parts = []
    if death.peak_memory is not None:
        parts.append(f"peak memory: {death.peak_memory / _MIB:.0f} MiB")
    if death.out_of_memory:
        parts.append(f"out of memory: {death.out_of_memory}")
    if death.stacks:
        parts.append(f"\n{shortened(death.stacks)}")
    return "\n".join(parts)


def shortened(stacks: str) -> str:
    """Stacks as faulthandler writes them, without the frames from which pytest calls a phase of a test.

    Those are the same in every stack, and there are about forty of them.
    """
    kept: list[str] = []
    cut = False
    for line in stacks.splitlines():
        if not line.startswith("  File "):
            cut = False
        elif not cut and _RUNNER.search(line):
            cut = True
            kept.append("  ...")
        if not cut:
            kept.append(line)
    return "\n".join(kept)


def _sections(death: Death) -> list[tuple[str, str]]:
    stage = death.worker_status.stage
    phase = "teardown" if stage is Stage.LATE_TEARDOWN else str(stage) if stage.in_test else "between tests"
    texts = [
        (f"Captured stdout {phase}", death.out),
        (f"Captured stderr {phase}", death.err),
        ("Last lines on standard error", death.stderr),
    ]
    return [(title, text) for title, text in texts if text.strip()]
