"""Reads the frames of a stream, and the descriptors that come along."""

from __future__ import annotations

from pytest_procpar.core.protocol.codec import Message, decode
from pytest_procpar.core.protocol.short_batch import expanded, is_short
from pytest_procpar.core.protocol.wire import Decoder, WireError, loads

__all__ = ["A_MOMENT", "CHUNK", "Inlet"]

#: Small enough for the allocator to keep at hand: a larger buffer is mapped and unmapped for every read.
CHUNK = 1 << 16
#: How long to wait for a peer that has to read first, in seconds.
A_MOMENT = 0.001


class Inlet:
    """Turns the bytes of a stream into messages, up to the first byte that cannot be ours."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self.garbled: str | None = None

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that `data` completes; none after an error, which `garbled` describes."""
        messages: list[Message] = []
        if self.garbled is not None:
            return messages
        try:
            for body in self._decoder.feed(data):
                batch = expanded(body) if is_short(body) else loads(body)
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
