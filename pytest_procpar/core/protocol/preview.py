"""Shows what is in a worker's inbox without claiming it, in memory that two processes share.

A pipe gives a record to the process that reads it, and to no other, so one of the two claims it or takes it
back. But nobody can look into a pipe. So whatever goes in is noted here first. Each word has one writer and
is written in one step, and places only count up, so nothing needs a lock.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_procpar.core.protocol.records import Record, record_number, record_of

__all__ = ["PREVIEW_BYTES", "Preview"]

#: How many records are remembered: twice as many as any system keeps in a pipe.
_CELLS = 1 << 13
#: The first words: the place up to which records were taken back, that up to which they were claimed, and the
#: next place.
_TAKEN_BACK, _CLAIMED, _NEXT = range(3)
_HEAD = 8
_MASK = (1 << 32) - 1

#: How much memory a preview takes, in bytes.
PREVIEW_BYTES = 8 * (_HEAD + _CELLS)


class Preview:
    """Notes of the records that have gone into an inbox, by their places in it.

    :param words: the memory, as unsigned 64-bit words, zero at first.
    """

    def __init__(self, words: memoryview[int]) -> None:
        self._words = words

    # --- for the process that fills the inbox ---

    @property
    def next_place(self) -> int:
        """The place of the next record that goes into the inbox."""
        return self._words[_NEXT]

    def show(self, records: Sequence[Record]) -> None:
        """Note what is about to go into the inbox. Repeating this changes nothing."""
        for place, record in enumerate(records, self._words[_NEXT]):
            cell = (place + 1 & _MASK) << 32 | record_number(record) & _MASK
            self._words[_HEAD + place % _CELLS] = cell

    def sent(self, count: int) -> None:
        """The first `count` of the shown records have gone into the inbox."""
        self._words[_NEXT] += count

    def taken_back(self, shown: int = 0) -> None:
        """The inbox is empty, and the last `shown` records never went in."""
        begin = self._words[_NEXT]
        for place in range(begin, begin + shown):
            self._words[_HEAD + place % _CELLS] = 0
        self._words[_TAKEN_BACK] = begin

    # --- for the process that empties it ---

    def claimed(self, place: int) -> None:
        """The record at this place has been claimed."""
        self._words[_CLAIMED] = place + 1

    def look(self) -> Record | None:
        """The next record that can be claimed, or could be a moment ago; None if there is none."""
        place = max(self._words[_TAKEN_BACK], self._words[_CLAIMED])
        cell = self._words[_HEAD + place % _CELLS]
        if cell >> 32 != place + 1 & _MASK:
            return None
        number = cell & _MASK
        return record_of(number - (number >> 31 << 32))
