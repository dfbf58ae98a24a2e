"""The controller's end of a stream to another process: nothing here blocks, or raises for what that does."""

from __future__ import annotations

import array
import errno
import os
import socket
from collections import deque
from collections.abc import Iterable
from contextlib import suppress

from pytest_procpar.core.protocol.codec import Message, encode
from pytest_procpar.core.protocol.probe import ToProbe
from pytest_procpar.core.protocol.server import ToServer
from pytest_procpar.core.protocol.wire import Encoder
from pytest_procpar.ipc.inlet import A_MOMENT, CHUNK, Inlet
from pytest_procpar.system.calls import Socket, out_of_reach, pause
from pytest_procpar.system.genuine import close, read

__all__ = ["Port", "Receiver"]

#: Queued data goes out in writes of this many bytes.
_AT_ONCE = 1 << 12


class Receiver:
    """The end at which the controller hears a process. Nothing here blocks or raises because of that process.

    :param fd: the reading end of what the process writes to; does not block.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._inlet = Inlet()

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
                data = read(self._fd, CHUNK)
            except (BlockingIOError, InterruptedError):
                return messages, True
            except (BrokenPipeError, ConnectionResetError):
                return messages, False
            if not data:
                return messages, False
            messages.extend(self._inlet.feed(data))
            if len(data) < CHUNK:
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

    def send(self, message: ToServer | ToProbe, fds: Iterable[int] = ()) -> None:
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
            pause(A_MOMENT)
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
