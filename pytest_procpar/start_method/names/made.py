"""What was made that is unique to a process, and in which of the ways that are watched."""

from __future__ import annotations

from collections.abc import Callable

__all__ = [
    "BYTES", "FILE", "FOLDER", "NUMBERED", "PID", "PORT", "RANDOM", "UUID", "Made", "SourceKind",
]  # fmt: skip


class SourceKind:
    """A way of making values.

    :param between: the modules of the standard library that only pass on what other code asks for.
    """

    def __init__(self, name: str, *between: str) -> None:
        self.name = name
        self.between = frozenset(between)


class Made:
    """A value that was made.

    :param call: the call as a user knows it, unless a frame in between has a better name for it.
    :param value: what was made; of a file, the part of its name that was made.
    :param path: where a temporary file was going to be.
    :param is_bound: whether a socket is still bound to the port that was found.
    """

    __slots__ = ("call", "is_bound", "kind", "path", "value")

    def __init__(
        self,
        kind: SourceKind,
        call: str,
        value: object,
        path: str | None = None,
        is_bound: Callable[[], bool] = lambda: False,
    ) -> None:
        self.kind = kind
        self.call = call
        self.value = value
        self.path = path
        self.is_bound = is_bound


FILE = SourceKind("file", "tempfile")
UUID = SourceKind("uuid", "uuid")
BYTES = SourceKind("bytes", "os", "random", "secrets", "multiprocessing.shared_memory")
RANDOM = SourceKind("random", "random", "secrets")
PID = SourceKind("pid", "os", "multiprocessing.process")
FOLDER = SourceKind("folder")
NUMBERED = SourceKind("numbered", "os", "pathlib", "pathlib._local")  # its name in Python 3.13
PORT = SourceKind("port", "socket", "socketserver", "http.server", "xmlrpc.server")
