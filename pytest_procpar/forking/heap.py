"""The garbage collector before and after the fork."""

from __future__ import annotations

import gc

from pytest_procpar.compat.plugins.after_fork import unfreeze
from pytest_procpar.system import frozen_heap

__all__ = ["Heap", "SharedHeap"]

#: While a suite is imported and collected, nearly all new objects stay: a garbage collection after every 700,
#: as usual, finds nothing and takes a tenth of the time.
_RARELY = (50_000, 20, 20)


class Heap:
    """A process's heap from the start of a collection until workers are forked from it.

    The garbage collector does not look at frozen objects again: it neither spends time on them nor copies
    their pages. When a suite looks for objects through `gc`, the heap thaws.
    """

    def __init__(self, *, freeze: bool) -> None:
        self._freeze = freeze
        self._usual = gc.get_threshold()

    def grow(self) -> None:
        """Note that the heap is about to grow, and that its present objects stay."""
        if self._freeze:
            frozen_heap.freeze()
        gc.set_threshold(*_RARELY)

    def settle(self) -> None:
        """Make the heap what workers start with: no garbage, and the usual threshold for new objects."""
        if gc.get_threshold() == _RARELY:  # otherwise something else has set it on purpose
            gc.set_threshold(*self._usual)
        frozen_heap.collect()
        if self._freeze:
            frozen_heap.freeze()
            if frozen_heap.is_seen_elsewhere():
                frozen_heap.thaw()
            else:
                unfreeze()


class SharedHeap:
    """A process's heap while others that were forked from it live.

    A garbage collection writes to every object that it looks at, so that the kernel has to copy each page: 10
    ms in a controller that has just begun, and as much again with a second process that holds the same pages.
    """

    def __init__(self, *, freeze: bool) -> None:
        self._is_frozen = freeze and not frozen_heap.is_frozen()
        if self._is_frozen:
            frozen_heap.freeze()

    def release(self) -> None:
        """Thaw the heap: the other processes are gone."""
        if self._is_frozen:
            frozen_heap.thaw()
        self._is_frozen = False
