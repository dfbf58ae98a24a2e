"""Both ends of the stream between the controller and another process.

`Port` is the controller's end: it never blocks. `Link` is the end of a worker or of the fork server: it
blocks, in one thread, and what it writes survives a test's patches of `os`, `socket` and `signal`.

Towards a worker the stream is an inbox of fixed-size records. Reading a record claims it, and the
controller keeps a duplicate of the worker's end, so it can take back what has not been claimed by reading
it itself (`Port.drain`): at once, without the worker's help, whatever the worker is busy with.
"""

from __future__ import annotations

import array
import errno
import os
import socket
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from pytest_procpar.core.messages import (
    RECORD_SIZE,
    FromBranch,
    FromServer,
    FromWorker,
    Message,
    Record,
    ToBranch,
    ToServer,
    decode,
    encode,
    pack_record,
    unpack_record,
    unpack_records,
)
from pytest_procpar.core.wire import Decoder, Encoder, WireError, loads
from pytest_procpar.process.genuine import close
from pytest_procpar.process.system import Socket, out_of_reach, pause

__all__ = ["Link", "Port"]

#: Small enough for the allocator to keep at hand: a larger buffer is mapped and unmapped for every read.
_CHUNK = 1 << 16
#: What is queued goes out in writes of this many bytes, which the kernel takes whole or not at all:
#: a record is never torn.
_AT_ONCE = 512 * RECORD_SIZE
#: How long to wait for a peer that has to read first, in seconds.
_A_MOMENT = 0.001


class _Inlet:
    """Turns the bytes of a stream into messages, up to the first byte that cannot be ours."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self.garbled: str | None = None

    def feed(self, data: bytes) -> list[Any]:
        """The messages that `data` completes; after an error, which `garbled` then tells, none."""
        messages: list[Any] = []
        if self.garbled is not None:
            return messages
        try:
            for body in self._decoder.feed(data):
                batch = loads(body)
                if not isinstance(batch, list):
                    raise WireError("a frame holds no batch of messages")
                messages.extend(map(decode, batch))
        except WireError as error:
            self.garbled = str(error)
        return messages

    def check(self) -> None:
        """Raise what has ended the messages, if anything has."""
        if self.garbled is not None:
            raise WireError(self.garbled)


class Port:
    """The controller's end of a stream. Nothing here blocks or raises for what the peer does."""

    def __init__(self, sock: Socket, peer: Socket | None = None) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._peer = peer
        self._inlet = _Inlet()
        self._encoder = Encoder()
        #: What waits for the peer to read. The descriptors ride on the first byte of their part.
        self._unsent: deque[tuple[bytearray, list[int]]] = deque()

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._sock.fileno()

    @property
    def clogged(self) -> bool:
        """Whether something waits for the peer to read: call `flush` when the descriptor is writable."""
        return bool(self._unsent)

    @property
    def garbled(self) -> str | None:
        """Why nothing more can be understood, once somebody else has written to the stream."""
        return self._inlet.garbled

    def receive(self) -> tuple[list[Message], bool]:
        """All messages that have arrived, and whether the stream is still open. See `garbled`, too."""
        messages: list[Message] = []
        while True:
            try:
                data = self._sock.recv(_CHUNK)
            except (BlockingIOError, InterruptedError):
                return messages, True
            except (BrokenPipeError, ConnectionResetError):
                return messages, False
            if not data:
                return messages, False
            messages.extend(self._inlet.feed(data))
            if len(data) < _CHUNK:
                return messages, True

    def send(self, message: ToServer | ToBranch, fds: Iterable[int] = ()) -> None:
        """Queue a message, and send what can be sent now. Descriptors stay the caller's to close.

        :raises OSError: if they must be duplicated to wait, and none are left; then nothing is sent.
        """
        self._queue(self._encoder.frame([encode(message)]), list(fds))

    def send_records(self, records: Iterable[Record]) -> None:
        """Queue records for a worker, and send what can be sent now."""
        self._queue(b"".join(map(pack_record, records)), [])

    def _queue(self, data: bytes, fds: list[int]) -> None:
        self.flush()
        part = bytearray(data)
        if fds and not self._unsent:  # usually they can go at once, and need no duplicates
            sent = self._try_to_send(part[:_AT_ONCE], fds)
            del part[: len(part) if sent is None else sent]
            fds = [] if sent != 0 else fds
        if fds:
            self._unsent.append((part, _duplicates(fds)))
        elif self._unsent:
            self._unsent[-1][0].extend(part)
        elif part:
            self._unsent.append((part, []))
        self.flush()

    def flush(self) -> None:
        """Send what the peer has room for. A peer that is gone is noticed elsewhere: by its death."""
        while self._unsent:
            data, fds = self._unsent[0]
            sent = self._try_to_send(data[:_AT_ONCE], fds)
            if sent is None:
                self._drop_unsent()
                return
            if not sent:
                return
            del data[:sent]
            while fds:
                close(fds.pop())
            if not data:
                self._unsent.popleft()

    def _try_to_send(self, data: bytearray, fds: list[int]) -> int | None:
        """How much of `data` is sent, the descriptors with the first byte; None if the peer is gone."""
        try:
            if not fds:
                return self._sock.send(data)
            return self._sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
        except (BlockingIOError, InterruptedError):
            return 0
        except (BrokenPipeError, ConnectionResetError):
            return None
        except OSError as error:
            if error.errno != errno.ETOOMANYREFS:
                raise
            # Descriptors in flight count against the user's limit (Linux): the peer has to read first.
            pause(_A_MOMENT)
            return 0

    def _drop_unsent(self) -> None:
        while self._unsent:
            for fd in self._unsent.popleft()[1]:
                close(fd)

    @property
    def untouched(self) -> bool:
        """Whether a record is left that the worker has not read."""
        assert self._peer is not None
        try:
            return bool(self._unsent) or bool(self._peer.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except (BlockingIOError, InterruptedError):
            return False

    def drain(self) -> list[Record]:
        """Take back every record that the worker has not read, in order."""
        data = bytearray()
        assert self._peer is not None
        while True:
            try:
                part = self._peer.recv(_CHUNK, socket.MSG_DONTWAIT)
            except (BlockingIOError, InterruptedError):
                break
            if not part:
                break
            data += part
        while self._unsent:
            data += self._unsent.popleft()[0]
        return list(unpack_records(bytes(data)))

    def shut(self) -> None:
        """Shut the sending direction; the peer can still be heard."""
        self._drop_unsent()
        with suppress(OSError):  # the peer is gone
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close both descriptors."""
        self._drop_unsent()
        self._sock.close()
        if self._peer is not None:
            self._peer.close()


def _duplicates(fds: list[int]) -> list[int]:
    """A duplicate of each descriptor, out of reach.

    :raises OSError: if not all can be duplicated; then none is.
    """
    made: list[int] = []
    try:
        made.extend(out_of_reach(os.dup(fd)) for fd in fds)
    except OSError:
        for fd in made:
            close(fd)
        raise
    return made


#: The links of this process.
_links: weakref.WeakSet[Link] = weakref.WeakSet()


def _mark_forked() -> None:
    for link in _links:
        link.forked = True


# Python tells us of a fork. To ask for the process id instead, four times a test, takes a tenth of the time
# of an empty test where system calls are slow (gVisor).
os.register_at_fork(after_in_child=_mark_forked)


class Link:
    """The blocking end of a stream, in a worker or the fork server.

    After a fork in a test the child must not speak for the worker, nor take its tests: it sends nothing,
    and to it the controller is gone (`forked`).
    """

    def __init__(self, sock: Socket) -> None:
        sock.setblocking(True)
        self._sock = sock
        self._send: Callable[[bytes], int] = sock.send
        self._recv: Callable[..., bytes] = sock.recv
        self._recv_fds = sock.recvmsg
        self._encoder = Encoder()
        self._inlet = _Inlet()
        self._outbox: list[tuple[object, ...]] = []
        #: The frames that are not sent in full, and how much of them the latest write has taken.
        self._unsent = b""
        self._taken: list[int] = []
        #: The descriptors that have come and have not been taken, one list for each message that had some.
        self._fds: deque[list[int]] = deque()
        #: Whether this process is a child that a test has forked.
        self.forked = False
        _links.add(self)

    def belong_to_this_process(self) -> None:
        """Let this process, which our own code has forked, go on where its parent was; it waits."""
        self.forked = False

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._sock.fileno()

    # --- frames ---

    def put(self, message: FromWorker | FromServer | FromBranch) -> None:
        """Queue a message; it leaves with the next `flush`, in one frame with its neighbours."""
        self._outbox.append(encode(message))

    def flush(self) -> list[str]:
        """Send what is queued; the descriptions of values that could not be carried (see `Encoder`).

        A signal's handler may raise out of here (Ctrl-C, a test's timeout): the next call goes on where
        this one was left. A controller that is gone is no error: the next read says so.
        """
        if self.forked:
            self._outbox, self._unsent = [], b""
            return []
        if self._outbox:
            self._seal()
        try:
            while self._unsent:
                if not self._taken:
                    # One call into C: no handler runs between the write and the note of what it took.
                    self._taken.extend(map(self._send, (self._unsent,)))
                self._unsent, self._taken = self._unsent[self._taken[0] :], []
        except (BrokenPipeError, ConnectionResetError):
            self._unsent = b""
        lost, self._encoder.lost = self._encoder.lost, []
        return lost

    def _seal(self) -> None:
        """Turn the queued messages into a frame: all at once, as far as a signal's handler can tell."""
        try:
            frame = self._encoder.frame(self._outbox)
        except BaseException:
            self._encoder = Encoder()  # the old one may be left in the middle of a value
            raise
        self._unsent, self._outbox = self._unsent + frame, []

    def receive(self) -> tuple[list[Any], bool]:
        """Wait for messages, of the kind that this process is sent; what has come, and whether more can.

        :raises WireError: if somebody else wrote to the stream, after the messages before that.
        """
        self._inlet.check()
        space = socket.CMSG_SPACE(16 * array.array("i").itemsize)
        try:
            data, ancillary, flags, _address = self._recv_fds(1 << 16, space)
        except ConnectionResetError:
            return [], False
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
                self._fds.append(list(fds))
        if flags & socket.MSG_CTRUNC and not ancillary:  # this process could not take a single one
            self._fds.append([])
        messages = self._inlet.feed(data)
        if not messages:
            self._inlet.check()
        return messages, bool(data)

    def take_fds(self, count: int) -> list[int]:
        """The first `count` descriptors of the next message that had some.

        Fewer if this process could not take all of them: those are lost.
        """
        fds = self._fds.popleft() if self._fds else []
        if len(fds) > count:
            self._fds.appendleft(fds[count:])
        return fds[:count]

    # --- records ---

    def claim(self, *, wait: bool) -> Record | None:
        """Read the next record, which makes it ours; None if there is none and `wait` is False.

        :raises EOFError: when the controller is gone, or the caller is a child that a test has forked.
        """
        if self.forked:
            raise EOFError("a child that a test has forked is no worker")
        return self._read(0 if wait else socket.MSG_DONTWAIT)

    def peek(self, *, wait: bool = False) -> Record | None:
        """Look at the next record without claiming it; it may yet be taken back.

        :raises EOFError: when the controller is gone.
        """
        return self._read(socket.MSG_PEEK if wait else socket.MSG_DONTWAIT | socket.MSG_PEEK)

    def _read(self, flags: int) -> Record | None:
        try:
            data = self._recv(RECORD_SIZE, flags)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            data = b""
        if len(data) != RECORD_SIZE:
            raise EOFError("the controller is gone")
        return unpack_record(data)

    def close(self) -> None:
        """Close the descriptor, and those that came along and were not taken."""
        self._sock.close()
        while self._fds:
            for fd in self._fds.popleft():
                close(fd)
