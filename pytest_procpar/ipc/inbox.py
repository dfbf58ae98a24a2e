"""Both ends of the connection between the controller and a worker: a pipe each way, and no socket.

A test may list the sockets of its process, and finds none of ours. Toward a worker, the pipe is an inbox of
fixed-size records. Reading a record claims it. The controller can read there, too, so it can take back what
has not been claimed: at once, without the worker's help, whatever the worker is busy with. Memory that both
share shows what is in the inbox (`Preview`).
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import NoReturn

from pytest_procpar.core.protocol.preview import Preview
from pytest_procpar.core.protocol.records import (
    RECORD_SIZE,
    Record,
    pack_record,
    unpack_record,
    unpack_records,
)
from pytest_procpar.ipc.link import Sender
from pytest_procpar.ipc.port import Receiver
from pytest_procpar.system.calls import file_behind, make_pipe, out_of_reach, pause
from pytest_procpar.system.genuine import READ, close, make_poll, read, write

__all__ = ["Inbox", "WorkerLink", "WorkerPort"]

#: How many records go out in one write, which the kernel takes whole or not at all.
_AT_ONCE = select.PIPE_BUF // RECORD_SIZE
#: The size of an inbox, in bytes, where it can be chosen (Linux). The pages of all pipes of a user count
#: against a limit, beyond which pipes that tests make would be smaller.
_INBOX = 1 << 13
_SET_SIZE: int | None = getattr(fcntl, "F_SETPIPE_SZ", None)
_CHUNK = 1 << 16
#: How long to wait where the kernel cannot do it for us, in seconds.
_A_MOMENT = 0.001


class Inbox:
    """The controller's end of a worker's inbox. Nothing here blocks or raises because of the worker.

    :param reader: the worker's end. A duplicate is kept where one descriptor cannot be both ends.
    :param writer: is taken over by this object.
    """

    def __init__(self, reader: int, writer: int, preview: Preview) -> None:
        self._preview = preview
        self._unsent: deque[Record] = deque()
        both = _both_ends(writer)
        if both is None:
            self._reader, self._writer = out_of_reach(os.dup(reader)), writer
        else:
            close(writer)
            self._reader = self._writer = both
        os.set_blocking(self._writer, False)
        self._ready = make_poll()
        self._ready.register(self._reader, READ)
        preview.taken_back()

    def fileno(self) -> int:
        """The descriptor that is writable when a clogged inbox has room; -1 once it is closed."""
        return self._writer

    @property
    def clogged(self) -> bool:
        """Whether records wait for the worker to read: call `flush` when the descriptor is writable."""
        return bool(self._unsent)

    def send(self, records: Iterable[Record]) -> None:
        """Queue records, and send what can be sent now."""
        self._unsent.extend(records)
        self.flush()

    def flush(self) -> None:
        """Send what there is room for. That a worker is gone is noticed elsewhere: by its death."""
        while self._unsent:
            records = list(islice(self._unsent, _AT_ONCE))
            self._preview.show(records)
            first = self._preview.next_place
            try:
                write(self._writer, b"".join(map(pack_record, records, range(first, first + len(records)))))
            except (BlockingIOError, InterruptedError):
                return
            self._preview.sent(len(records))
            for _ in records:
                self._unsent.popleft()

    @property
    def untouched(self) -> bool:
        """Whether there is a record that the worker has not read."""
        return bool(self._unsent) or bool(self._ready.poll(0))

    def drain(self) -> list[Record]:
        """Take back every record that the worker has not read, in order."""
        data = bytearray()
        with suppress(BlockingIOError, InterruptedError):
            while part := read(self._reader, _CHUNK):
                data += part
        self._preview.taken_back(min(len(self._unsent), _AT_ONCE))
        records = [*unpack_records(bytes(data)), *self._unsent]
        self._unsent.clear()
        return records

    def close(self) -> None:
        """Close everything."""
        for fd in {self._reader, self._writer} - {-1}:
            close(fd)
        self._reader = self._writer = -1


def _both_ends(writer: int) -> int | None:
    """Open one descriptor for both ends of a pipe, out of reach (Linux, see fifo(7)); None if that fails."""
    try:
        both = os.open(f"/proc/self/fd/{writer}", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if file_behind(both) != file_behind(writer):
        close(both)
        return None
    return out_of_reach(both)


class WorkerPort(Receiver):
    """The controller's end of the connection to a worker: it hears the worker, and fills its inbox.

    ``theirs`` are the descriptors that go to the worker; `sent` closes them here. After that no other process
    can write: the stream ends with the worker, and with the children that its tests have forked.

    :param preview: of the inbox.
    :raises OSError: if there are no descriptors for it. Then none is open.
    """

    def __init__(self, preview: Preview) -> None:
        opened: list[int] = []
        try:
            opened += make_pipe()
            opened += make_pipe()
            ours, outlet, inlet, filled = opened
            if _SET_SIZE is not None:
                with suppress(OSError):
                    fcntl.fcntl(filled, _SET_SIZE, _INBOX)
            # No read may block: the controller may take a record back before the worker reads it.
            os.set_blocking(inlet, False)
            os.set_blocking(ours, False)
            self.inbox = Inbox(inlet, filled, preview)
        except OSError:
            for fd in opened:
                close(fd)
            raise
        super().__init__(ours)
        self.theirs = [outlet, inlet]

    def sent(self) -> None:
        """Close the worker's descriptors here, once it has them. A second call does nothing."""
        while self.theirs:
            close(self.theirs.pop())

    def close(self) -> None:
        """Close everything."""
        self.sent()
        self.inbox.close()
        if self._fd >= 0:
            close(self._fd)
            self._fd = -1


class WorkerLink(Sender):
    """The worker's end: it speaks to the controller, and takes from its inbox. It blocks, in one thread.

    It keeps working when a test patches `os` or `signal`.

    :param fds: the descriptors of `WorkerPort.theirs`, as numbered in this process. They are taken over.
    """

    def __init__(self, fds: Sequence[int], preview: Preview) -> None:
        outlet, inlet = map(out_of_reach, fds)
        super().__init__(outlet)
        self._preview = preview
        self._inlet = inlet
        self._source = file_behind(inlet)
        self._read: Callable[[], bytes] = partial(read, inlet, RECORD_SIZE)
        self._filled = make_poll()
        self._filled.register(inlet, READ)

    def fileno(self) -> int:
        """The inbox's descriptor, which shows whether the controller's end is open."""
        return self._inlet

    def claim(self, *, wait: bool) -> Record | None:
        """Read the next record, which claims it; return None if there is none and `wait` is False.

        :raises EOFError: if the controller is gone, or the caller is a child that a test has forked.
        :raises OSError: if a test has closed the descriptor, or put something else there.
        """
        if self.forked:
            raise EOFError("a child that a test has forked is no worker")
        if wait and self._preview.look() is None:
            self._wait()
        while True:
            try:
                data = self._read()
            except BlockingIOError:
                if not wait:
                    return None
                self._wait()
                continue
            if len(data) != RECORD_SIZE:
                self._is_over()
            record, place = unpack_record(data)
            self._preview.claimed(place)
            return record

    def peek(self, *, wait: bool = False) -> Record | None:
        """Look at the next record without claiming it: it may still be taken back.

        :raises EOFError: if there is none, and the controller is gone.
        """
        while (record := self._preview.look()) is None and wait:
            self._wait()
        return record

    def _wait(self) -> None:
        """Wait until something arrives in the inbox. The controller may have taken it back by then.

        :raises EOFError: if the controller is gone.
        :raises OSError: if a test has closed the descriptor, or put something else there.
        """
        try:
            events = self._filled.poll()
        except OSError:  # a test has set the limit of descriptors to zero: nothing can be waited for
            pause(_A_MOMENT)
            return
        if not any(event & READ for _, event in events):
            self._is_over()

    def _is_over(self) -> NoReturn:
        if file_behind(self._inlet) != self._source:
            raise OSError(errno.EBADF, "there is something else in its place")
        raise EOFError("the controller is gone")

    def close(self) -> None:
        """Close both descriptors."""
        super().close()
        self._close(self._inlet)
