"""How many workers a run has: what they would gain, what memory allows, and what other runs leave.

The controller asks when the tests are known, and again as long as the run lasts. What is decided is decided
in `pytest_procpar.core.sizing`; this module finds out the facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_procpar.config.settings import Settings
from pytest_procpar.core.history.forecast import Forecast
from pytest_procpar.core.record import changed
from pytest_procpar.core.sizing.numbers import Limits, number_of, size_to_expect
from pytest_procpar.system.calls import monotonic
from pytest_procpar.system.cpus import processors, quota_group
from pytest_procpar.system.headroom import fitting, headroom, resident

if TYPE_CHECKING:
    from pytest_procpar.core.sizing.sharing import HostShare
    from pytest_procpar.core.sizing.worth import Worth
    from pytest_procpar.host.registry import Registry

__all__ = ["Staffing"]


def _host_now() -> int:
    """The time of the claims' clock, which all processes of the machine share, in nanoseconds."""
    return int(monotonic() * 1e9)


class Staffing:
    """Counts the workers of one run.

    :param environ: where the folder of the claims is looked for.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._registry: Registry | None = None
        self._share: HostShare | None = None
        #: How many workers it may come to have.
        self.most = settings.workers
        #: When the tests take longer than the history has said, in seconds of the run's clock, and how many
        #: workers it may have then.
        self._overdue_at: float | None = None
        self._otherwise = settings.workers
        #: Why processors are not shared with other runs, if they should be.
        self.trouble: str | None = None

    def get_ready(self) -> None:
        """Import what will be needed; call this when there is time."""
        with suppress(OSError):  # no descriptor is left to open a module's file
            if self._settings.shares_host:
                import pytest_procpar.core.sizing.sharing
                import pytest_procpar.host.registry
            if self._settings.elastic:
                import pytest_procpar.core.sizing.worth  # noqa: F401

    def worth(
        self,
        ids: Sequence[str],
        keys: Sequence[str] | None,
        durations: Sequence[float | None],
        history: Forecast | None,
    ) -> Worth | None:
        """What the history says about numbers of workers; None if it knows too little.

        :param durations: what it says each test takes, in seconds.
        """
        if history is None or not self._settings.elastic or self._settings.workers < 2:
            return None
        seconds = [duration for duration in durations if duration is not None]
        if len(seconds) < len(ids) or not history.knows_most(ids):
            return None
        from pytest_procpar.core.sizing.worth import batches_of, worth

        grouped = keys if self._settings.dist.grouped else None
        return worth(batches_of(ids, seconds, history.settings(), grouped), self._settings.workers)

    def begin(
        self,
        tests: int,
        known: Worth | None,
        parent: int | None,
        measured: int,
        now: float,
        *,
        grows: bool,
    ) -> Limits:
        """How many workers to start for this many tests, with the reason.

        :param known: see `worth`.
        :param parent: the process that workers are forked from; None: all are started, whatever is found.
        :param measured: how many bytes a worker had for itself in earlier runs; 0: that is not known.
        :param now: seconds of the run's clock.
        :param grows: whether workers may be started later; otherwise other runs change nothing.
        """
        settings = self._settings
        limits = Limits(min(settings.workers, max(1, tests)))
        if settings.elastic and parent is not None:
            size = size_to_expect(measured, resident(parent))
            room = fitting(settings.workers, headroom(), size)
            limits = changed(limits, worth=None if known is None else known.workers, fitting=room)
        self.most = number_of(limits)
        self._otherwise = number_of(changed(limits, worth=None))
        if known is not None and self.most < self._otherwise:
            self._overdue_at = now + known.patience
        share = self._join(self.most, follows=grows and settings.elastic > 0)
        return limits if share is None else changed(limits, share=share.workers, runs=share.rivals)

    def _join(self, want: int, *, follows: bool) -> HostShare | None:
        """Take a place among the runs of this machine; None if there is none to have."""
        if not self._settings.shares_host:
            return None
        try:
            from pytest_procpar.core.sizing.claims import MOST_PROCESSORS, MOST_WORKERS, Claim
            from pytest_procpar.core.sizing.sharing import HostShare
            from pytest_procpar.host.registry import Registry

            self._registry = Registry(self._environ)
            quota, group = quota_group() or (0, 0)
            mine = processors() & ((1 << MOST_PROCESSORS) - 1) or 1
            claim = Claim(_host_now(), want, mine, group, min(quota, MOST_WORKERS))
            self._registry.tell(claim)
            counted = 0 if quota else self._settings.elastic
            threads = max(1, mine.bit_count() // counted) if counted else 1
            self._share = HostShare(claim, self._registry.others(), threads, follows=follows)
        except OSError as error:
            self.trouble = str(error.strerror or error)
            self.leave()
        return self._share

    # --- as the run goes on ---

    def deadline(self) -> float | None:
        """When to look even if nothing happens, in seconds of the run's clock; None: never."""
        dues = [self._overdue_at, None if self._share is None else self._share.deadline()]
        return min((due for due in dues if due is not None), default=None)

    def is_due(self, now: float) -> bool:
        """Whether it is time to look how many workers the run is to have."""
        if self._overdue_at is not None and now >= self._overdue_at:
            return True
        return self._share is not None and self._share.wants_a_look(now)

    def look(self, usable: int, now: float) -> int | None:
        """How many workers there may be from now on; None if that has not changed.

        :param usable: how many workers could run a test now.
        """
        is_overdue = self._overdue_at is not None and now >= self._overdue_at
        if is_overdue:
            self.most, self._overdue_at = self._otherwise, None
        share, registry = self._share, self._registry
        if share is None or registry is None:
            return self.most if is_overdue else None
        before, claimed = share.workers, share.claim
        try:
            workers = share.look(min(self.most, usable), registry.others(), now)
            if share.claim != claimed:
                registry.tell(share.claim)
        except OSError:  # a plugin has closed the descriptor, or the folder's file system is gone
            self.leave()
            return self.most
        return workers if workers != before else None

    def idle(self) -> None:
        """Leave the processors to other runs: no tests run for now, or there are none left."""
        self._tell(1)

    def go_on(self) -> None:
        """Want again what was wanted before `idle`."""
        if self._share is not None:
            self._tell(self._share.claim.want)

    def _tell(self, want: int) -> None:
        if self._share is not None and self._registry is not None:
            try:
                self._registry.tell(changed(self._share.claim, want=want))
            except OSError:
                self.leave()

    def leave(self) -> None:
        """Give the place up. Repeating it does nothing."""
        registry, self._registry, self._share = self._registry, None, None
        if registry is not None:
            registry.leave()
