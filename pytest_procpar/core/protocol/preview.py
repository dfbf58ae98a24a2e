"""What is in a worker's inbox, to be looked at without claiming it: memory that two processes share.

A pipe gives a record to who reads it, and to nobody else: so one of two claims it or takes it back. But one
cannot look into a pipe. So what goes there is noted here before. Each word has one writer and is written at
once, and places are only counted up, so nothing has to be locked.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_procpar.core.protocol.messages import Record, record_number, record_of

__all__ = ["PREVIEW_BYTES", "Preview"]

#: How many records are remembered: twice as many as any system keeps in a pipe.
_CELLS = 1 << 13
#: The first words: up to which place the records have been taken back and claimed, and which place is next.
_TAKEN_BACK, _CLAIMED, _NEXT = range(3)
_HEAD = 8
_MASK = (1 << 32) - 1

#: How much memory it takes.
PREVIEW_BYTES = 8 * (_HEAD + _CELLS)


class Preview:
    """Notes of the records that have gone into an inbox, by their places in it.

    :param words: the memory, as unsigned words of 64 bits; zeros at first.
    """

    def __init__(self, words: memoryview[int]) -> None:
        self._words = words

    # --- for who fills the inbox ---

    @property
    def next_place(self) -> int:
        """The place of the next record that goes into the inbox."""
        return self._words[_NEXT]

    def show(self, records: Sequence[Record]) -> None:
        """Note what is about to go into the inbox. Repeating it changes nothing."""
        for place, record in enumerate(records, self._words[_NEXT]):
            cell = (place + 1 & _MASK) << 32 | record_number(record) & _MASK
            self._words[_HEAD + place % _CELLS] = cell

    def sent(self, count: int) -> None:
        """So many of those that were shown have gone into the inbox."""
        self._words[_NEXT] += count

    def taken_back(self, shown: int = 0) -> None:
        """The inbox is empty. So many were shown that never went in."""
        begin = self._words[_NEXT]
        for place in range(begin, begin + shown):
            self._words[_HEAD + place % _CELLS] = 0
        self._words[_TAKEN_BACK] = begin

    # --- for who empties it ---

    def claimed(self, place: int) -> None:
        """The record of this place has been claimed."""
        self._words[_CLAIMED] = place + 1

    def look(self) -> Record | None:
        """The next record that can be claimed, or could be a moment ago; None if there is none."""
        place = max(self._words[_TAKEN_BACK], self._words[_CLAIMED])
        cell = self._words[_HEAD + place % _CELLS]
        if cell >> 32 != place + 1 & _MASK:
            return None
        number = cell & _MASK
        return record_of(number - (number >> 31 << 32))
