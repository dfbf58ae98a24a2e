"""What the controller and the process that workers come from tell each other."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import TypeAlias

from pytest_procpar.core.model import WorkerId, WorkerInput, WorkerOptions
from pytest_procpar.core.protocol.common import Broke, Collected, CollectReported, Halted, Logged, Warned
from pytest_procpar.core.record import record

__all__ = [
    "Fork", "Forked", "FromServer", "Ping", "Pong", "Quit", "Reaped", "Recipe", "Setup", "Signal",
    "StartRoot", "Suspend", "ToServer", "Unsafe", "fingerprint",
]  # fmt: skip


@record
class Forked:
    """A worker runs."""

    worker: WorkerId
    pid: int


@record
class Reaped:
    """A worker's process has ended with this wait status (see `os.waitstatus_to_exitcode`).

    With a ``reason`` there never was a process. ``peak_memory`` is the most memory that it used at once, in
    bytes.
    """

    worker: WorkerId
    status: int
    reason: str | None = None
    peak_memory: int | None = None


@record
class Pong:
    """The answer to `Ping`: the fork server is there."""


@record
class Unsafe:
    """Workers must not be forked from this collected suite, for this reason; nothing was run.

    If it is `early`, they must not be forked from a process that has loaded the initial conftests, either.
    """

    reason: str
    early: bool = False


FromServer: TypeAlias = (
    CollectReported | Collected | Unsafe | Forked | Reaped | Pong | Logged | Warned | Halted | Broke
)


@record
class Recipe:
    """What a fresh interpreter needs to become a worker; a forked one finds all this in its memory.

    ``flags`` are the interpreter's own options, ``path`` and ``argv`` its `sys.path` and `sys.argv`. It reads
    the command line ``args`` in ``folder``. Whatever a probe changes below ``roots`` is put back afterwards.
    With ``coverage`` it takes part in the measurement. ``replay`` is a `replay.file.Replay`: the file is not
    read again, since it may be a pipe.
    """

    flags: list[str]
    path: list[str]
    argv: list[str]
    args: list[str]
    folder: str
    roots: list[str]
    options: WorkerOptions
    coverage: tuple[str, str] | None
    replay: tuple[str, list[list[tuple[str, int]]]] | None


@record
class Setup:
    """What the fork server waits for: all that the controller's own start has produced."""

    inputs: list[WorkerInput]
    environ: dict[str, str]
    cwd: str
    basetemp: str | None
    #: For a server of fresh interpreters; None for one that forks.
    recipe: Recipe | None = None


@record
class Fork:
    """Start a worker: fork it, or spawn it if the server starts fresh interpreters.

    Five descriptors come along: the worker's end of the stream, and the parts of its black box. ``slot`` is
    its place on the board.
    """

    worker: WorkerId
    workerinput: WorkerInput
    slot: int


@record
class Signal:
    """Send a signal to a worker or, with ``group``, to its process group."""

    worker: WorkerId
    signum: int
    group: bool = False


@record
class Ping:
    """Answer with `Pong`."""


@record
class Suspend:
    """Stop every worker and all that it has started, then yourself; when continued, continue them."""


@record
class Quit:
    """No more workers are wanted: let go of what configure has started, and exit."""


@record
class StartRoot:
    """Fork the root of a checkpoint tree (see `ProbeProcess`); one descriptor comes along, its stream.

    ``basetemp`` is the folder for its temporary files, and ``kept`` that for copies of the files that it
    changes. ``suite`` is the fingerprint of what it must have collected (see `fingerprint`), if it collects.
    """

    worker: WorkerId
    workerinput: WorkerInput
    basetemp: str | None
    kept: str
    suite: int | None = None


ToServer: TypeAlias = Setup | Fork | StartRoot | Signal | Ping | Suspend | Quit


def fingerprint(ids: Iterable[str]) -> int:
    """A number that tells one collected suite from another; it is the same in every process."""
    return zlib.crc32("\n".join(ids).encode(errors="replace"))
