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
from collections.abc import Callable, Iterable, Iterator

from pytest_procpar.core.messages import (
    RECORD_SIZE,
    FromServer,
    FromWorker,
    Record,
    ToServer,
    decode,
    encode,
    pack_record,
    unpack_records,
)
from pytest_procpar.core.wire import Decoder, Encoder, loads
from pytest_procpar.process.system import SIGINT_GUARD, out_of_reach

__all__ = ["Link", "Port"]

_CHUNK = 1 << 18
#: Records go out in writes of this many bytes, which the kernel takes whole or not at all.
_RECORDS_AT_ONCE = 512 * RECORD_SIZE


class Port:
    """The controller's end of a stream. Nothing here blocks or raises for what the peer does."""

    def __init__(self, sock: socket.socket, peer: socket.socket | None = None) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._peer = peer
        self._decoder = Decoder()
        self._encoder = Encoder()
        self._unsent = bytearray()
        self._fds: list[int] = []

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._sock.fileno()

    @property
    def clogged(self) -> bool:
        """Whether something waits for the peer to read: call `flush` when the descriptor is writable."""
        return bool(self._unsent)

    def receive(self) -> tuple[list[FromWorker | FromServer | ToServer], bool]:
        """All messages that have arrived, and whether the stream is still open.

        :raises WireError: if somebody else wrote to the stream.
        """
        messages: list[FromWorker | FromServer | ToServer] = []
        while True:
            try:
                data = self._sock.recv(_CHUNK)
            except (BlockingIOError, InterruptedError):
                return messages, True
            except OSError as error:
                if error.errno in (errno.ECONNRESET, errno.EPIPE):
                    return messages, False
                raise
            if not data:
                return messages, False
            for body in self._decoder.feed(data):
                batch = loads(body)
                messages.extend(decode(item) for item in batch)  # type: ignore[attr-defined]
            if len(data) < _CHUNK:
                return messages, True

    def send(self, message: ToServer, fds: Iterable[int] = ()) -> None:
        """Queue a message, and send what can be sent now. Descriptors stay the caller's to close."""
        self._flush_all_but_fds()
        frame = self._encoder.frame([encode(message)])
        fds = list(fds)
        if fds:
            # A descriptor rides on the first byte of its message, so nothing may be queued before it.
            self._sock.setblocking(True)
            try:
                sent = self._sock.sendmsg(
                    [frame], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
                )
            except (BrokenPipeError, ConnectionResetError):
                return
            finally:
                self._sock.setblocking(False)
            frame = frame[sent:]
        self._unsent += frame
        self.flush()

    def _flush_all_but_fds(self) -> None:
        if self._unsent:
            self._sock.setblocking(True)
            try:
                self._sock.sendall(self._unsent)
            except (BrokenPipeError, ConnectionResetError):
                pass
            finally:
                self._sock.setblocking(False)
            self._unsent.clear()

    def send_records(self, records: Iterable[Record]) -> None:
        """Queue records for a worker, and send what can be sent now."""
        self._unsent += b"".join(map(pack_record, records))
        self.flush()

    def flush(self) -> None:
        """Send what the peer has room for. A peer that is gone is noticed elsewhere: by its death."""
        while self._unsent:
            try:
                sent = self._sock.send(self._unsent[:_RECORDS_AT_ONCE])
            except (BlockingIOError, InterruptedError):
                return
            except (BrokenPipeError, ConnectionResetError):
                self._unsent.clear()
                return
            del self._unsent[:sent]

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
        data += self._unsent
        self._unsent.clear()
        return list(unpack_records(bytes(data)))

    def close(self) -> None:
        """Close both descriptors."""
        self._sock.close()
        if self._peer is not None:
            self._peer.close()


class Link:
    """The blocking end of a stream, in a worker or the fork server.

    After a fork in a test the child must not speak for the worker: every call but from the process that
    made the link is refused (`forked`).
    """

    def __init__(self, sock: socket.socket, read_pid: Callable[[], int] = os.getpid) -> None:
        sock.setblocking(True)
        self._sock = sock
        self._send: Callable[[bytes], int] = sock.send
        self._recv: Callable[..., bytes] = sock.recv
        self._recv_fds = sock.recvmsg
        self._encoder = Encoder()
        self._decoder = Decoder()
        self._outbox: list[tuple[object, ...]] = []
        self._read_pid = read_pid
        self._pid = read_pid()
        self._fds: list[int] = []

    @property
    def forked(self) -> bool:
        """Whether the calling process is a child that a test has forked."""
        return self._read_pid() != self._pid

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._sock.fileno()

    # --- frames ---

    def put(self, message: FromWorker | FromServer) -> None:
        """Queue a message; it leaves with the next `flush`, in one frame with its neighbours."""
        self._outbox.append(encode(message))

    def flush(self) -> list[str]:
        """Send what is queued; the descriptions of values that could not be carried (see `Encoder`).

        A controller that is gone is no error here: the next read says so.
        """
        if not self._outbox or self.forked:
            self._outbox.clear()
            return []
        with SIGINT_GUARD:
            data = memoryview(self._encoder.frame(self._outbox))
            self._outbox.clear()
            try:
                while data:
                    data = data[self._send(data) :]  # type: ignore[arg-type]
            except (BrokenPipeError, ConnectionResetError):
                pass
        lost, self._encoder.lost = self._encoder.lost, []
        return lost

    def receive(self) -> tuple[list[ToServer], bool]:
        """Wait for messages; what has arrived, and whether the stream is still open."""
        space = socket.CMSG_SPACE(16 * array.array("i").itemsize)
        try:
            data, ancillary, _flags, _address = self._recv_fds(1 << 16, space)
        except ConnectionResetError:
            return [], False
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
                self._fds.extend(fds)
        messages: list[ToServer] = []
        for body in self._decoder.feed(data):
            messages.extend(decode(item) for item in loads(body))  # type: ignore[attr-defined, misc]
        return messages, bool(data)

    def take_socket(self) -> socket.socket:
        """The socket that came along with the oldest message not yet served."""
        return socket.socket(fileno=out_of_reach(self._fds.pop(0)))

    # --- records ---

    def claim(self, *, wait: bool) -> Record | None:
        """Read the next record, which makes it ours; None if there is none and `wait` is False.

        :raises EOFError: when the controller is gone.
        """
        flags = 0 if wait else socket.MSG_DONTWAIT
        return self._read(flags)

    def peek(self, *, wait: bool = False) -> Record | None:
        """Look at the next record without claiming it; it may yet be taken back."""
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
        records: Iterator[Record] = unpack_records(data)
        return next(records)

    def close(self) -> None:
        """Close the descriptor."""
        self._sock.close()
