"""Whether a worker that died is replaced, and if not, why not."""

from __future__ import annotations

from pytest_procpar.core.model import RunOptions, WorkerId

__all__ = ["Replacing"]

#: So many workers more than the run has may die in a row before their first test: then something is wrong
#: with all of them, and replacements would die for ever.
_STILLBORN = 2


class Replacing:
    """Counts deaths: there is a limit that the user has set, and one to workers that get nowhere."""

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        #: How many workers have died before they were told to finish.
        self._crashes = 0
        #: How many workers in a row died before their first test.
        self._stillborn = 0
        self._latest = WorkerId(0)
        self._told: str | None = None

    def began(self) -> None:
        """Note that a test has begun somewhere: workers can get that far."""
        self._stillborn = 0

    def stillborn(self) -> None:
        """Note that a worker has died before its first test."""
        self._stillborn += 1

    def crashed(self, worker: WorkerId) -> None:
        """Note that a worker has died that was wanted."""
        self._crashes += 1
        self._latest = worker

    def refusal(self) -> str | None:
        """Why the worker that died last is not replaced; None if it is."""
        limit = self._options.max_restarts
        if self._stillborn > _STILLBORN + self._options.workers:
            return f"{self._stillborn} workers in a row died before their first test"
        if limit is None or self._crashes <= limit:
            return None
        if limit == 0:
            return f"worker gw{self._latest} crashed and worker restarting disabled"
        return f"maximum crashed workers reached: {limit}"

    def granted(self, more: int) -> int:
        """How many of so many workers more are started: none in place of one that is not replaced."""
        return more if self.refusal() is None else 0

    def is_news(self, why: str) -> bool:
        """Whether this reason has not just been told; from now on, it has."""
        told, self._told = self._told, why
        return told != why
