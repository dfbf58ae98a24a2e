"""The run's clock, which knows when the process was suspended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytest_procpar.system.calls import monotonic

__all__ = ["Clock"]

#: How many seconds later than asked for a wait may end before the process counts as suspended meanwhile.
_LATE = 1.0


class Clock:
    """Seconds that never go back and stand still during a suspension, so that no worker counts as late."""

    def __init__(self, read: Callable[[], float] = monotonic) -> None:
        self._read = read
        self._lost = 0.0

    def now(self) -> float:
        """The current time, in seconds."""
        return self._read() - self._lost

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the clock inside the ``with`` block."""
        began = self._read()
        try:
            yield
        finally:
            self._lost += self._read() - began

    @contextmanager
    def waiting(self, seconds: float | None) -> Iterator[None]:
        """Wrap a wait of up to `seconds`: if it takes much longer, the excess counts as a suspension."""
        began = self._read()
        yield
        if seconds is not None:
            late = self._read() - began - seconds
            if late > _LATE:
                self._lost += late
