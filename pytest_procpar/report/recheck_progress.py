"""Shows on a terminal what a re-check is doing, in one line that is rewritten in place and leaves no trace.

Where the output is not a terminal, only lines that stay are written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from math import ceil
from typing import TextIO

import pytest

from pytest_procpar.compat.pytest_private.output import terminal_stream
from pytest_procpar.core.inquiry.findings import Finding, Kind
from pytest_procpar.core.inquiry.probes import Probe
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.recheck.progress import ProgressStep, columns, progress_line, subject
from pytest_procpar.core.record import changed

__all__ = ["Progress"]

#: The least time between two updates, in seconds.
_PAUSE = 0.25
#: The least verbosity at which it is shown: not with -qq.
_LEAST = -1
#: The environment variables by which pytest recognizes a CI server, where a line cannot be rewritten.
_CI = ("CI", "BUILD_NUMBER")


class Progress:
    """Shows what the re-check says that it is doing.

    :param nodeid: returns a test's nodeid.
    :param clock: returns the time in seconds.
    :param say: writes a line that stays, and flushes it.
    """

    def __init__(
        self,
        config: pytest.Config,
        nodeid: Callable[[TestIndex], str],
        clock: Callable[[], float],
        say: Callable[[str], None],
    ) -> None:
        stream = terminal_stream(config)
        in_ci = any(name in os.environ for name in _CI)
        is_seen = stream is not None and not in_ci and config.get_verbosity() >= _LEAST
        self._stream: TextIO | None = stream if is_seen else None
        self._width = config.get_terminal_writer().fullwidth - 1 if self._stream else 0
        self._nodeid = nodeid
        self._clock = clock
        self._say = say
        self._step = ProgressStep("")
        self._findings: Callable[[], Iterable[Finding]] = tuple
        self._written = ""
        self._next = 0.0

    # --- what the re-check says ---

    def begins(self, what: str, seconds: float | None) -> None:
        """Say in a line that stays what begins, and how many seconds it takes at most, if that is known."""
        limit = "" if seconds is None else f", for at most {ceil(seconds)} s"
        self.clear()
        self._say(f"\n{what}{limit} (Ctrl-C ends it)")

    def looks_into(self, total: int, findings: Callable[[], Iterable[Finding]]) -> None:
        """From now on `total` tests are looked into; `findings` returns what is known of them."""
        self._step = changed(self._step, total=total)
        self._findings = findings

    def probes(self, probes: Sequence[Probe], until: float) -> None:
        """These probes run, until `until` at the latest."""
        if self._stream is not None:
            settled = sum(finding.kind is not Kind.UNKNOWN for finding in self._findings())
            what = subject(probes, self._nodeid)
            self._step = changed(self._step, what=what, settled=settled, until=until)
            self.show()

    def tries(self, what: str, until: float) -> None:
        """Something else is done, until `until` at the latest."""
        self._step = ProgressStep(what, until=until)
        self.show()

    # --- the line ---

    def show(self) -> None:
        """Bring the line up to date, unless it has just been written."""
        now = self._clock()
        if self._stream is None or not self._step.what or now < self._next:
            return
        line = progress_line(self._step, now, self._width)
        if line != self._written:
            self._next = now + _PAUSE
            self._write(line)

    def clear(self) -> None:
        """Clear the line, so that something else can be written; it stays away until there is news."""
        if self._written:
            self._write("")
            self._next = self._clock() + _PAUSE

    def _write(self, line: str) -> None:
        """Write over the old line; an empty line over all that may be there, such as a terminal's ``^C``."""
        rest = columns(self._written) - columns(line)
        over = " " * rest + "\b" * rest if line else f"{' ' * self._width}\r"
        assert self._stream is not None
        try:
            self._stream.write(f"\r{line}{over}")
            self._stream.flush()
        except (OSError, UnicodeEncodeError):  # the terminal is gone, or lacks these characters
            self._stream = None
        self._written = line
