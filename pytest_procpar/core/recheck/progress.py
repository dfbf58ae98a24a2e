"""The line that shows what a re-check is doing: a pure function of its step, the time and the width."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence

from pytest_procpar.core.inquiry.probes import Probe
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.printable import printable_line
from pytest_procpar.core.record import record

__all__ = ["ProgressStep", "columns", "progress_line", "subject"]

#: What replaces the beginning of a name that is too long.
_CUT = "..."


@record
class ProgressStep:
    """What is being tried, and how far the re-check has come: ``settled`` of ``total`` tests are settled.

    ``until`` is when it ends at the latest, in seconds of the caller's clock; infinity if that is not known.
    """

    what: str
    settled: int = 0
    total: int = 0
    until: float = math.inf


def subject(probes: Sequence[Probe], nodeid: Callable[[TestIndex], str]) -> str:
    """The name of the test that some probes are about, and how many others run before it at most."""
    judged = list(dict.fromkeys(probe.tests[-1] for probe in probes))
    before = max((len(probe.tests) for probe in probes), default=1) - 1
    name = nodeid(judged[0]) if len(judged) == 1 else f"{len(judged)} tests"
    if any(probe.beside for probe in probes):
        return f"{name} beside others"
    if len(judged) > 1:
        return name if before else f"{name} alone"
    return f"{name} after {before} test{'' if before == 1 else 's'}" if before else f"{name} alone"


def progress_line(step: ProgressStep, now: float, width: int) -> str:
    """The line, at most `width` columns wide."""
    parts = []
    if step.total:
        parts.append(f"{step.settled} of {step.total} settled")
    if step.until < math.inf:
        parts.append(f"at most {max(0, math.ceil(step.until - now))} s left")
    head = ", ".join(parts)
    what = printable_line(step.what)
    return _fitted(f"{head}: {what}" if head else what, len(head) + 2 if head else 0, width)


def columns(text: str) -> int:
    """How many columns a text takes on a terminal."""
    return sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _fitted(line: str, head: int, width: int) -> str:
    """A line that is short enough: text after its first `head` characters is left out, or else its end."""
    if columns(line) <= width:
        return line
    start, rest = f"{line[:head]}{_CUT}", line[head:]
    while rest and columns(start) + columns(rest) > width:
        rest = rest[1:]
    return f"{start}{rest}"[: max(0, width)]
