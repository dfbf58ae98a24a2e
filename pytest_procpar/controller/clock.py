"""The run's clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytest_procpar.system.calls import monotonic

__all__ = ["Clock"]

#: How much later than asked for the process may be woken up, in seconds, before it was not running meanwhile.
_LATE = 1.0


class Clock:
    """Seconds that do not jump back, and stand still while the run is suspended: nobody is late for that."""

    def __init__(self, read: Callable[[], float] = monotonic) -> None:
        self._read = read
        self._lost = 0.0

    def now(self) -> float:
        """The time."""
        return self._read() - self._lost

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Meanwhile, no time passes."""
        began = self._read()
        try:
            yield
        finally:
            self._lost += self._read() - began

    @contextmanager
    def waiting(self, seconds: float | None) -> Iterator[None]:
        """A wait that may take so long: if it takes much longer, this process did not run meanwhile."""
        began = self._read()
        yield
        if seconds is not None:
            late = self._read() - began - seconds
            if late > _LATE:
                self._lost += late
