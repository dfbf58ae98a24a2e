"""One page of memory shared by all processes of a run: what must be known at once.

A stop travels over the streams too, but by the time the controller has heard of a failure, a worker with
quick tests may have begun a dozen more. Here every worker looks before it begins one.
"""

from __future__ import annotations

import mmap
import struct

from pytest_procpar.core.model import WorkerId

__all__ = ["Board"]

_SIZE = 1 << 16
_FIRST = 8
_COUNT = struct.Struct("<i")


class Board:
    """The stop flag, and how many failures each worker has seen.

    Every cell has one writer, but for the flag, which only ever goes up: so nothing has to be locked.
    """

    def __init__(self, maxfail: int) -> None:
        self._memory = mmap.mmap(-1, _SIZE)
        self._maxfail = maxfail

    @property
    def stopped(self) -> bool:
        """Whether no further test may begin."""
        return self._memory[0] != 0

    def stop(self) -> None:
        """Let no further test begin."""
        self._memory[0] = 1

    def failed(self, worker: WorkerId, failures: int) -> None:
        """Note how many failures a worker has seen, and stop everybody when there are enough of them."""
        if not self._maxfail:
            return
        offset = _FIRST + worker * _COUNT.size
        if offset < _SIZE:
            _COUNT.pack_into(self._memory, offset, failures)
        end = _SIZE - (_SIZE - _FIRST) % _COUNT.size
        if sum(count for (count,) in _COUNT.iter_unpack(self._memory[_FIRST:end])) >= self._maxfail:
            self.stop()
