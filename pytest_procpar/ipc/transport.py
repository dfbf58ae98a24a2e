"""Both ends of the streams between the controller and other processes.

`Port` is the controller's end: it never blocks. `Link` is the end of the fork server or of a throw-away
process: it blocks, in one thread, and keeps writing when a test patches `os`, `socket` or `signal`. Between
them is a socket, through which descriptors travel, too. Workers have pipes, see `inbox`.
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
from functools import partial
from typing import Any

from pytest_procpar.core.protocol.messages import (
    FromBranch,
    FromServer,
    FromWorker,
    Message,
    ToBranch,
    ToServer,
    decode,
    encode,
)
from pytest_procpar.core.protocol.wire import Decoder, Encoder, WireError, loads
from pytest_procpar.system.calls import Socket, file_behind, out_of_reach, pause
from pytest_procpar.system.genuine import WRITE, close, make_poll, read, write

__all__ = ["Receiver", "Link", "Sender", "Port"]

#: Small enough for the allocator to keep at hand: a larger buffer is mapped and unmapped for every read.
_CHUNK = 1 << 16
#: Queued data goes out in writes of this many bytes.
_AT_ONCE = 1 << 12
#: How long to wait for a peer that has to read first, in seconds.
_A_MOMENT = 0.001


class _Inlet:
    """Turns the bytes of a stream into messages, up to the first byte that cannot be ours."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self.garbled: str | None = None

    def feed(self, data: bytes) -> list[Any]:
        """Return the messages that `data` completes; none after an error, which `garbled` describes."""
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
        """Raise the error that ended the messages, if there was one."""
        if self.garbled is not None:
            raise WireError(self.garbled)


class Receiver:
    """The end at which the controller hears a process. Nothing here blocks or raises because of that process.

    :param fd: the reading end of what the process writes to; does not block.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._inlet = _Inlet()

    def fileno(self) -> int:
        """The descriptor to wait on; -1 once it is closed."""
        return self._fd

    @property
    def garbled(self) -> str | None:
        """Why nothing more can be understood, if something else has been written to the stream."""
        return self._inlet.garbled

    def receive(self) -> tuple[list[Message], bool]:
        """Return all messages that have arrived, and whether the stream is still open. See also `garbled`."""
        messages: list[Message] = []
        while True:
            try:
                data = read(self._fd, _CHUNK)
            except (BlockingIOError, InterruptedError):
                return messages, True
            except (BrokenPipeError, ConnectionResetError):
                return messages, False
            if not data:
                return messages, False
            messages.extend(self._inlet.feed(data))
            if len(data) < _CHUNK:
                return messages, True


class Port(Receiver):
    """The controller's end of a socket. Nothing here blocks or raises because of what the peer does."""

    def __init__(self, sock: Socket) -> None:
        sock.setblocking(False)
        super().__init__(sock.fileno())
        self._sock = sock
        self._encoder = Encoder()
        #: What waits for the peer to read. Descriptors are sent with the first byte of their part.
        self._unsent: deque[tuple[bytearray, list[int]]] = deque()

    @property
    def clogged(self) -> bool:
        """Whether something waits for the peer to read: call `flush` when the descriptor is writable."""
        return bool(self._unsent)

    def send(self, message: ToServer | ToBranch, fds: Iterable[int] = ()) -> None:
        """Queue a message, and send what can be sent now. The caller still has to close the descriptors.

        :raises OSError: if they must be duplicated to wait, and none are left. Then nothing is sent.
        """
        self._queue(self._encoder.frame([encode(message)]), list(fds))

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
        """Send what the peer has room for. That a peer is gone is noticed elsewhere: by its death."""
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
        """Send part of `data`, `fds` with its first byte; return how much, or None if the peer is gone."""
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

    def shut(self) -> None:
        """Shut the sending direction; the peer can still be heard."""
        self._drop_unsent()
        with suppress(OSError):  # the peer is gone
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the descriptor."""
        self._drop_unsent()
        self._sock.close()
        self._fd = -1


def _duplicates(fds: list[int]) -> list[int]:
    """Duplicate each descriptor, out of reach.

    :raises OSError: if not all can be duplicated. Then none is.
    """
    made: list[int] = []
    try:
        made.extend(out_of_reach(os.dup(fd)) for fd in fds)
    except OSError:
        for fd in made:
            close(fd)
        raise
    return made


#: The senders of this process.
_mouths: weakref.WeakSet[Sender] = weakref.WeakSet()


def _mark_forked() -> None:
    for mouth in _mouths:
        mouth.forked = True


# Python tells us about a fork. Asking for the process id instead, four times per test, takes a tenth of the
# time of an empty test where system calls are slow (gVisor).
os.register_at_fork(after_in_child=_mark_forked)


class Sender:
    """The end at which a worker, the fork server or a throw-away process speaks to the controller.

    A child that a test forks must not speak for the worker, nor take its tests: it sends nothing, and to it
    the controller seems gone (`forked`).

    :param fd: the writing end of a pipe, or a socket. It is taken over by this object.
    """

    def __init__(self, fd: int) -> None:
        self._out = fd
        # Bound here, where no test has patched them.
        self._send: Callable[[bytes], int] = partial(write, fd)
        self._close = close
        #: The file behind the descriptor. A test may put another one there, which is left alone.
        self._file = file_behind(fd)
        self._file_behind = file_behind
        self._room = make_poll()
        self._room.register(fd, WRITE)
        self._encoder = Encoder()
        self._outbox: list[tuple[object, ...]] = []
        #: The frames that are not sent in full, and how much of them the latest write took.
        self._unsent = b""
        self._taken: list[int] = []
        #: Whether this process is a child that a test has forked.
        self.forked = False
        _mouths.add(self)

    @property
    def speaks_into(self) -> int:
        """The descriptor that is written to."""
        return self._out

    def belong_to_this_process(self) -> None:
        """Let this process, which our own code has forked, continue for its parent, which waits."""
        self.forked = False

    def put(self, message: FromWorker | FromServer | FromBranch) -> None:
        """Queue a message. The next `flush` sends it, in one frame with its neighbors."""
        self._outbox.append(encode(message))

    def flush(self) -> list[str]:
        """Send what is queued; return descriptions of values that could not be carried (see `Encoder`).

        A signal's handler may raise from inside this call (Ctrl-C, a test's timeout): the next call continues
        where this one stopped. That the controller is gone is no error here: the next read reports it.

        :raises OSError: if a test has closed the descriptor, or put something else there.
        """
        if self.forked:
            self._outbox, self._unsent = [], b""
            return []
        if self._outbox:
            self._seal()
        if self._unsent and self._file_behind(self._out) != self._file:
            raise OSError(errno.EBADF, "there is something else in its place")
        while self._unsent:
            try:
                if not self._taken:
                    # One call into C: no handler runs between the write and the note of what it took.
                    self._taken.extend(map(self._send, (self._unsent,)))
            except BlockingIOError:  # a test has made every descriptor non-blocking
                self._room.poll()
                continue
            except (BrokenPipeError, ConnectionResetError):
                self._unsent = b""
                break
            self._unsent, self._taken = self._unsent[self._taken[0] :], []
        lost, self._encoder.lost = self._encoder.lost, []
        return lost

    def _seal(self) -> None:
        """Turn the queued messages into a frame, in one step as far as a signal's handler can tell."""
        try:
            frame = self._encoder.frame(self._outbox)
        except BaseException:
            self._encoder = Encoder()  # the old one may be left in the middle of a value
            raise
        self._unsent, self._outbox = self._unsent + frame, []

    def close(self) -> None:
        """Close the descriptor."""
        self._close(self._out)


class Link(Sender):
    """The blocking end of a socket, in the fork server or a throw-away process."""

    def __init__(self, sock: Socket) -> None:
        sock.setblocking(True)
        super().__init__(sock.fileno())
        self._sock = sock
        self._recv_fds = sock.recvmsg
        self._inlet = _Inlet()
        #: The descriptors that arrived and were not taken yet: a list for each message that had some.
        self._fds: deque[list[int]] = deque()

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._sock.fileno()

    def receive(self) -> tuple[list[Any], bool]:
        """Wait for messages to this process; return those that arrived, and whether more can arrive.

        :raises WireError: if something else was written to the stream, once earlier messages have been
            returned.
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
        if flags & socket.MSG_CTRUNC and not ancillary:  # this process could not receive a single one
            self._fds.append([])
        messages = self._inlet.feed(data)
        if not messages:
            self._inlet.check()
        return messages, bool(data)

    def take_fds(self, count: int) -> list[int]:
        """Return the first `count` descriptors of the next message that had some.

        There are fewer if this process could not receive all of them: the others are lost.
        """
        fds = self._fds.popleft() if self._fds else []
        if len(fds) > count:
            self._fds.appendleft(fds[count:])
        return fds[:count]

    def close(self) -> None:
        """Close the descriptor, and those that arrived and were not taken."""
        self._sock.close()
        while self._fds:
            for fd in self._fds.popleft():
                close(fd)
