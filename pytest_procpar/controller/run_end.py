"""Why a run ended before its tests did, and how pytest hears of it."""

from __future__ import annotations

import pytest

from pytest_procpar.compat.pytest_private.session import raise_interrupt
from pytest_procpar.core.model import assert_never
from pytest_procpar.core.protocol.common import Halted

__all__ = ["Ending", "bug"]


class Ending:
    """Collects what ends the run, from any process; the first reason counts, and a breakdown counts most."""

    def __init__(self) -> None:
        self._halt: Halted | None = None
        self._broken: str | None = None
        #: Whether the suite could not be collected, so that nothing was run.
        self.collection_failed = False

    @property
    def halted(self) -> bool:
        """Whether anything has ended the run."""
        return self._halt is not None or self._broken is not None

    @property
    def at_once(self) -> bool:
        """Whether the run ends at once: it broke or was interrupted, instead of stopping after a failure."""
        halt = self._halt
        return self.broken or (halt is not None and halt.kind not in ("shouldfail", "shouldstop"))

    @property
    def broken(self) -> bool:
        """Whether pytest-procpar itself has failed."""
        return self._broken is not None

    def halt(self, halt: Halted) -> None:
        """Note that a process came upon something that ends the run."""
        known = self._halt
        # A user's interrupt has no place; one that says where it met a test tells more.
        if known is None or (known.kind == halt.kind == "keyboard" and known.place is None):
            self._halt = halt

    def broken_by(self, reason: str) -> str:
        """Note an internal failure: exit status 3, whatever else happened. Return the reason that counts."""
        self._broken = self._broken or reason
        return self._broken

    def forgive(self, session: pytest.Session) -> None:
        """Drop the failures that were to end the run: they turned out to be none, and all tests have run."""
        if self._halt is not None and self._halt.kind == "shouldfail":
            self._halt = None
        from pytest_procpar.compat.pytest_reports.taking_back import take_back_stop

        take_back_stop(session)

    def tell(self, session: pytest.Session) -> None:
        """Raise in the controller what pytest would have raised; return if nothing ended the run."""
        if self._broken is not None:
            raise pytest.exit.Exception(self._broken, returncode=pytest.ExitCode.INTERNAL_ERROR)
        if self._halt is not None:
            self._tell_halt(session, self._halt)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        if self.collection_failed:
            errors = session.testsfailed
            raise session.Interrupted(f"{errors} error{'s' if errors != 1 else ''} during collection")

    def _tell_halt(self, session: pytest.Session, halt: Halted) -> None:
        match halt.kind:
            case "exit":
                raise pytest.exit.Exception(halt.reason, returncode=halt.returncode)
            case "keyboard":
                raise_interrupt(halt.place)
            case "usage":
                raise pytest.UsageError(halt.reason)
            case "shouldfail":
                session.shouldfail = session.shouldfail or halt.reason
            case "shouldstop":
                session.shouldstop = session.shouldstop or halt.reason
            case _:
                assert_never(halt.kind)


def bug(what: str) -> BaseException:
    """The exception that ends a run that went wrong because of a bug in pytest-procpar: exit status 3."""
    return pytest.exit.Exception(
        f"{what}: this is a bug of pytest-procpar, please report it",
        returncode=pytest.ExitCode.INTERNAL_ERROR,
    )
