"""How a worker, a fork server or a throw-away process speaks to the controller.

`Link` blocks, in one thread, and what it writes survives a test's patches of `os`, `socket` and
`signal`. Between it and the controller's `Port` is a socket, which carries descriptors, too. Workers have
pipes: see `pytest_procpar.ipc.inbox`.
"""

from __future__ import annotations

import array
import errno
import os
import socket
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial

from pytest_procpar.core.protocol.codec import Message, encode
from pytest_procpar.core.protocol.probe import FromProbe
from pytest_procpar.core.protocol.server import FromServer
from pytest_procpar.core.protocol.short_batch import shortened_batch
from pytest_procpar.core.protocol.wire import Encoder, framed
from pytest_procpar.core.protocol.worker import FromWorker
from pytest_procpar.ipc.inlet import Inlet
from pytest_procpar.system.calls import Socket, file_behind
from pytest_procpar.system.genuine import WRITE, close, make_poll, write

__all__ = ["Link", "Sender"]

#: The senders of this process.
_senders: weakref.WeakSet[Sender] = weakref.WeakSet()


def _mark_forked() -> None:
    for sender in _senders:
        sender.forked = True


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
        _senders.add(self)

    def belong_to_this_process(self) -> None:
        """Let this process, which our own code has forked, continue for its parent, which waits."""
        self.forked = False

    def put(self, message: FromWorker | FromServer | FromProbe) -> None:
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
            short = shortened_batch(self._outbox)
            frame = self._encoder.frame(self._outbox) if short is None else framed(short)
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
        self._inlet = Inlet()
        #: The descriptors that arrived and were not taken yet: a list for each message that had some.
        self._fds: deque[list[int]] = deque()

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._sock.fileno()

    def receive(self) -> tuple[list[Message], bool]:
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
