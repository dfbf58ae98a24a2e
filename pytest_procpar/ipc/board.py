"""Memory shared by all processes of a run: what must be known at once, and what must survive a process.

A stop also travels over the streams. But by the time the controller has heard of a failure, a worker with
quick tests may have begun a dozen more. So every worker looks here before it begins one. It also notes here
what it is doing: once it is dead, nothing else can tell.
"""

from __future__ import annotations

import mmap
import os
import struct
from contextlib import suppress

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.protocol.preview import PREVIEW_BYTES, Preview
from pytest_procpar.core.protocol.worker_status import Stage, WorkerStatus
from pytest_procpar.system.calls import monotonic
from pytest_procpar.system.descendants import list_names
from pytest_procpar.system.genuine import close

__all__ = ["Board", "BoardSlot"]

_HEAD = 64
# A slot holds the number of failures, a word (see `_word`), since when that holds, the phases, and a note
# with its length.
_FAILURES = struct.Struct("<i")
_PHASES = struct.Struct("<9d")
_WORD_AT = 8
_SINCE_AT = 16
_PHASES_AT = 32
_NOTE_AT = 104
_SLOT = 256
_NOTE = _SLOT - _NOTE_AT - 1
#: The bytes for one process: its slot and, behind all slots, the preview of its inbox.
_SHARE = _SLOT + PREVIEW_BYTES


def _word(stage: int, test: int, *, has_phases: bool = False) -> int:
    """Pack stage, test (-1: none) and whether its phases are noted into one machine word.

    A worker may die in the middle of a write. A word is written at once; `struct` would write zeros first.
    """
    return (test + 1) << 16 | has_phases << 8 | stage


class Board:
    """The stop flag, and a slot and an inbox's preview for every worker that may live at the same time.

    Every cell has one writer, except the flag, which is only ever raised: so nothing needs a lock.
    """

    def __init__(self, maxfail: int, slots: int, descriptor: int = -1) -> None:
        """Make a board for processes forked from this one or, in a file, for those with its descriptor."""
        if descriptor != -1:
            os.ftruncate(descriptor, _HEAD + slots * _SHARE)
        self._descriptor = descriptor
        #: Device and inode of the file, as long as a descriptor leads to it.
        self._file: tuple[int, int] | None = None
        if descriptor != -1:
            status = os.fstat(descriptor)
            self._file = status.st_dev, status.st_ino
        self._memory = mmap.mmap(descriptor, _HEAD + slots * _SHARE)
        self._maxfail = maxfail
        self._slots = slots
        self._free = list(range(slots - 1, 0, -1))  # the first one is the fork server's

    @classmethod
    def from_descriptor(cls, descriptor: int, maxfail: int) -> Board:
        """Open the board that another process made; the descriptor is taken over."""
        board = cls(maxfail, (os.fstat(descriptor).st_size - _HEAD) // _SHARE, descriptor)
        board.let_go_of_descriptors()
        return board

    def let_go_of_descriptors(self) -> None:
        """Let this process reach the board only as memory, since a test may write to any descriptor.

        Python's map has a descriptor of its own, whose number stays taken.
        """
        if self._file is None:
            return
        null = os.open(os.devnull, os.O_RDWR)
        for name in list_names("/proc/self/fd"):
            with suppress(OSError):
                status = os.fstat(int(name))
                if (status.st_dev, status.st_ino) == self._file:
                    os.dup2(null, int(name), inheritable=False)
        close(null)
        close(self._descriptor)
        self._descriptor, self._file = -1, None

    def fileno(self) -> int:
        """The descriptor by which other processes find the memory; -1 if there is none."""
        return self._descriptor

    @property
    def stopped(self) -> bool:
        """Whether no further test may begin."""
        return self._memory[0] != 0

    def stop(self) -> None:
        """Let no further test begin."""
        self._memory[0] = 1

    # --- slots: given and taken by the controller ---

    def take_slot(self) -> int:
        """Return the number of a free slot. There is one while fewer workers live than there are slots."""
        number = self._free.pop()
        self._memory[self._at(number) : self._at(number) + _SLOT] = bytes(_SLOT)
        return number

    def free_slot(self, number: int) -> None:
        """Let a dead worker's slot be used again; its failures go on counting."""
        (failures,) = _FAILURES.unpack_from(self._memory, self._at(number))
        (gone,) = _FAILURES.unpack_from(self._memory, 4)
        _FAILURES.pack_into(self._memory, self._at(number), 0)
        _FAILURES.pack_into(self._memory, 4, gone + failures)
        self._free.append(number)

    def slot(self, number: int) -> BoardSlot:
        """A slot. The process that it was given to writes it; any process may read it."""
        return BoardSlot(self._memory, self._at(number), number)

    def preview(self, number: int) -> Preview:
        """The preview of a slot's inbox, which goes on where the inbox of the slot's last owner ended."""
        begin = _HEAD + self._slots * _SLOT + number * PREVIEW_BYTES
        return Preview(memoryview(self._memory)[begin : begin + PREVIEW_BYTES].cast("Q"))

    def failed(self, slot: int, failures: int) -> None:
        """Note how many failures a worker has seen, and stop all workers when there are enough of them."""
        if not self._maxfail:
            return
        _FAILURES.pack_into(self._memory, self._at(slot), failures)
        places = [4, *map(self._at, range(self._slots))]
        if sum(_FAILURES.unpack_from(self._memory, at)[0] for at in places) >= self._maxfail:
            self.stop()

    def _at(self, slot: int) -> int:
        return _HEAD + slot * _SLOT


class BoardSlot:
    """One process's notes about itself."""

    def __init__(self, memory: mmap.mmap, at: int, number: int) -> None:
        self.number = number
        self._at = at
        self._shared = memory
        self._owned = False
        self._use(memory)

    def _use(self, memory: mmap.mmap | bytearray) -> None:
        self._memory = memory
        self._words = memoryview(memory).cast("Q")
        self._times = memoryview(memory).cast("d")

    def belong_to_this_process(self) -> None:
        """Discard what children of this process note: tests fork them, and they are no workers.

        In a child that our own code has forked, it goes on with what the parent noted.
        """
        self._use(self._shared)
        if not self._owned:
            self._owned = True
            os.register_at_fork(after_in_child=self._lose)

    def _lose(self) -> None:
        self._use(bytearray(self._at + _SLOT))

    def copy(self) -> bytes:
        """All that has been noted, for `restore`."""
        return bytes(self._memory[self._at : self._at + _SLOT])

    def restore(self, noted: bytes) -> None:
        """Put back what had been noted, except the failures, which go on counting."""
        self._memory[self._at + _WORD_AT : self._at + _SLOT] = noted[_WORD_AT:]

    def enter(self, stage: Stage, test: int) -> None:
        """Note the stage that begins now, and for which test (-1: none)."""
        self._words[(self._at + _WORD_AT) >> 3] = _word(stage, test)
        self._times[(self._at + _SINCE_AT) >> 3] = monotonic()

    def passed(self, test: int, phases: tuple[tuple[float, float, float], ...] | None) -> None:
        """Note that a test is over, and its phases if they are plain passes that were not reported yet."""
        if phases is not None:
            setup, call, teardown = phases
            _PHASES.pack_into(self._memory, self._at + _PHASES_AT, *setup, *call, *teardown)
        self._words[(self._at + _WORD_AT) >> 3] = _word(Stage.BETWEEN, test, has_phases=phases is not None)
        self._times[(self._at + _SINCE_AT) >> 3] = monotonic()

    def note(self, text: str) -> None:
        """Note in a few words what is going on."""
        data = text.encode(errors="replace")[-_NOTE:]
        self._memory[self._at + _NOTE_AT] = len(data)
        self._memory[self._at + _NOTE_AT + 1 : self._at + _NOTE_AT + 1 + len(data)] = data

    def read(self) -> WorkerStatus:
        """Return what has been noted."""
        word, since = self._words[(self._at + _WORD_AT) >> 3], self._times[(self._at + _SINCE_AT) >> 3]
        stage, test = word & 0xFF, (word >> 16) - 1
        phases = None
        if word & 0x100:
            values = _PHASES.unpack_from(self._memory, self._at + _PHASES_AT)
            phases = (values[0:3], values[3:6], values[6:9])
        length = self._memory[self._at + _NOTE_AT]
        note = bytes(self._memory[self._at + _NOTE_AT + 1 : self._at + _NOTE_AT + 1 + length])
        known = stage != Stage.STARTING and test >= 0
        return WorkerStatus(
            Stage(stage), TestIndex(test) if known else None, since, phases, note.decode(errors="replace")
        )
