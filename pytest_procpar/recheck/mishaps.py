"""What goes wrong in a re-check: it is printed with the findings, and does not change the run's outcome."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from pytest_procpar.core.inquiry.findings import Finding, Kind
from pytest_procpar.core.recheck.result import ENDED_EARLY
from pytest_procpar.core.record import changed
from pytest_procpar.recheck.probing.conversations import Ended
from pytest_procpar.system.shortage import in_words

__all__ = ["Mishaps"]

#: What the note of a finding says if time ran out before it was settled.
_OVER = "time ran out"


class Mishaps:
    """Notes why a re-check has ended early. The first reason counts."""

    def __init__(self) -> None:
        self._note = ""
        self._problem = ""
        #: Returns whether the user has asked for the end.
        self.interrupted: Callable[[], bool] = lambda: False

    @property
    def note(self) -> str:
        """What to tell the user; empty if all went well."""
        if not self._problem and self.interrupted():
            return f"{ENDED_EARLY} it was interrupted"
        return self._note

    @property
    def is_broken(self) -> bool:
        """Whether something has gone wrong, other than that time ran out."""
        return bool(self._problem)

    def attempt(self, work: Callable[[], None]) -> bool:
        """Do a part of the re-check; return whether it came to its end. No `Exception` gets out."""
        try:
            work()
        except Ended as ended:
            if ended.args:
                self.happened(str(ended))
            else:
                self._note = self._note or f"{ENDED_EARLY} --recheck-budget left no time for more"
        except (OSError, MemoryError) as error:
            self.happened(in_words(error))
        except Exception as error:
            self.happened(
                f"{type(error).__name__}: {error}",
                "an error of its own. Outcomes and exit status are those of the run. Please report this to "
                f"pytest-procpar:\n{traceback.format_exc().rstrip()}",
            )
        else:
            return True
        return False

    def happened(self, problem: str, at_length: str = "") -> None:
        """Note that something has gone wrong."""
        if not self._problem:
            self._problem, self._note = problem, f"{ENDED_EARLY} {at_length or problem}"

    def told(self, finding: Finding) -> Finding:
        """The finding; if a problem or an interrupt has left it unsettled, its note says so."""
        if finding.kind is not Kind.UNKNOWN or _OVER not in finding.note:
            return finding
        if self._problem:
            return changed(finding, note=f"it could not be confirmed: {self._problem}")
        if self.interrupted():  # The user is told once; the note keeps what is known about the test.
            return changed(finding, note=finding.note.partition(f"{_OVER}; ")[2])
        return finding
