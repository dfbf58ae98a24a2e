"""How long to wait for a process that was asked to end, and what to do then.

A process that shows that it has noticed gets time for an orderly end. One that does not is nudged, which
breaks off the Python code or the system call that it is in. If that does not help, it is ended.
"""

from __future__ import annotations

from enum import Enum

__all__ = [
    "AT_ONCE_SECONDS", "HEAR_SECONDS", "LEAVE_SECONDS", "NUDGED_SECONDS", "REST_SECONDS", "Patience",
    "PatienceStep",
]  # fmt: skip

#: How long the process may take to notice a signal, in seconds (as are all below).
HEAR_SECONDS = 1.5
#: How long tests and processes may take to end after that.
LEAVE_SECONDS = 9.0
#: How long they may take after a nudge.
NUDGED_SECONDS = 5.0
#: How long the rest may take: session end hooks, reports, the summary.
REST_SECONDS = 8.0
#: How long the process may take to end by itself once it is asked again.
AT_ONCE_SECONDS = 0.5


class PatienceStep(Enum):
    """What to do with a process that does not end."""

    NUDGE = "nudge"
    END = "end"


class Patience:
    """The patience with one process. Times are in seconds of the caller's clock."""

    def __init__(self) -> None:
        #: When something is due; `_step` says what.
        self._due: float | None = None
        self._step = PatienceStep.NUDGE
        self._heard = self._nudged = self._left = False
        #: Whether there is a time limit for the end. After a first interrupt there is none.
        self._bounded = False
        self._asked = 0

    def asked(self, now: float, *, interrupt: bool = False) -> None:
        """The process is asked to end, by an `interrupt` (Ctrl-C) or for good.

        The end after a first interrupt has no time limit, since tests and fixtures may need their time. A
        user who loses patience can interrupt again.
        """
        self._asked += 1
        self._bounded = self._bounded or not interrupt
        if self._asked == 1:
            self._set(now + HEAR_SECONDS, PatienceStep.NUDGE)
        elif self._asked == 2 and interrupt:  # the process itself raises the exception that ends it
            self._nudged = True
            self._set(now + NUDGED_SECONDS, PatienceStep.END)
        else:
            self._set(now + AT_ONCE_SECONDS, PatienceStep.END)

    def heard(self, now: float) -> None:
        """The process has noticed that it was asked."""
        if self._asked == 1 and not self._heard:
            self._heard = True
            if self._bounded and not self._nudged:
                self._set(now + LEAVE_SECONDS, PatienceStep.NUDGE)
            elif not self._bounded:
                self._due = None

    def left(self, now: float) -> None:
        """All tests and processes have ended; only reports follow."""
        if self._asked and not self._left:
            self._left = True
            if self._bounded:
                self._set(now + REST_SECONDS, PatienceStep.END)
            else:
                self._due = None

    def deadline(self) -> float | None:
        """When to call `due` next; None: never."""
        return self._due

    def due(self, now: float) -> PatienceStep | None:
        """What to do now; each step is returned once. None: nothing yet."""
        if self._due is None or now < self._due:
            return None
        step, self._due = self._step, None
        if step is PatienceStep.NUDGE:
            self._nudged = True
            if self._bounded:
                self._set(now + NUDGED_SECONDS, PatienceStep.END)
        return step

    def _set(self, due: float, step: PatienceStep) -> None:
        self._due, self._step = due, step
