"""What the processes of a run say to each other.

Closed unions, one per direction. A message travels as a tuple, its kind first, in the body of a frame
(`pytest_procpar.core.protocol.wire`). Only records, from the controller to a worker, have a form of their
own, of a fixed size: whoever holds both ends of the stream can take back a record that has not been read.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any, Literal, TypeAlias, cast

from pytest_procpar.core.model import Dist, TestIndex, WorkerId, WorkerOptions
from pytest_procpar.core.protocol.wire import WireError
from pytest_procpar.core.record import fields, record
from pytest_procpar.core.run.events import Outlook

__all__ = [
    "RECORD_SIZE", "Began", "Broke", "Changed", "ChangedSlot", "CollectReported", "Collected", "Compare",
    "Done", "Finished", "Fork", "ForkChild", "Forked", "FromBranch", "FromServer", "FromWorker", "Halted",
    "JunitRecord", "Location", "Logged", "Message", "PassedPhases", "Perform", "Performed", "Phases",
    "Ping", "Pong", "ProbeExited", "ProbeReady", "Quit", "Ready", "Reaped", "Recipe", "Record",
    "Reported", "Rested", "Restore", "Setup", "Signal", "StartRoot", "Starved", "Suspend", "ToBranch",
    "ToServer", "Unsafe", "Until", "WaitChild", "Warned", "Watch", "decode", "encode", "fingerprint",
    "pack_record", "record_number", "record_of", "unpack_record", "unpack_records",
]  # fmt: skip

#: What pytest calls an item's location: file (relative to the rootdir), line (0-based), name.
Location: TypeAlias = tuple[str, "int | None", str]

#: (start, stop, duration) of setup, call and teardown, in seconds (start and stop since the epoch).
Phases: TypeAlias = tuple[tuple[float, float, float], ...]

#: The short form of three plain passes: the item's keywords and the phases.
PassedPhases: TypeAlias = tuple[tuple[str, ...], Phases]


# --- worker to controller -------------------------------------------------------------------------


@record
class Ready:
    """The worker has taken its identity."""

    pid: int


@record
class Began:
    """The worker is about to run a test."""

    test: TestIndex
    location: Location


@record
class Reported:
    """A report, as `pytest_report_to_serializable` gives it."""

    test: TestIndex
    data: dict[str, Any]


@record
class Finished:
    """A test has run to its end. ``passes`` stands for the three reports of a plain pass.

    ``began`` and ``ended`` are in seconds of the machine's monotonic clock; the times that pytest notes come
    from a clock that tests can set.
    """

    test: TestIndex
    passes: PassedPhases | None
    began: float = 0.0
    ended: float = 0.0


@record
class Done:
    """The worker has finished its session."""

    output: dict[str, Any]


@record
class Starved:
    """The worker gets no process for its next test, for this reason, and ends."""

    reason: str


@record
class JunitRecord:
    """Something for the JUnit XML file that no report carries.

    ``nodeid`` names the test whose test case it belongs to; None: it is a property of the whole suite.
    ``fixture`` is the fixture of wider scope that recorded it: each process sets up its own, some of them
    several times. ``nth`` is how often this instance has recorded the same thing.
    """

    kind: Literal["attribute", "property"]
    nodeid: str | None
    name: str
    value: str
    fixture: str | None = None
    nth: int = 0


# --- fork server to controller --------------------------------------------------------------------


@record
class CollectReported:
    """A collection report that the controller needs."""

    data: dict[str, Any]


@record
class Collected:
    """The suite is collected.

    ``keys`` are the grouping keys of the ``--dist`` mode, one per test, or None. ``lines`` is what plugins
    want printed after the collection. ``limits`` are the time limits of tests that have their own, by index,
    in seconds; ``apart`` are the tests that a mark gives a process of their own.
    """

    ids: list[str]
    keys: list[str] | None
    deselected: list[str]
    lines: list[str]
    limits: dict[int, float]
    apart: list[int]


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
    """Workers must not be forked from this collected suite, for this reason; nothing was run."""

    reason: str


# --- both to controller ---------------------------------------------------------------------------


@record
class Warned:
    """A warning was recorded. `pytest_procpar.compat.pytest_private.warnings` makes and reads ``data``."""

    data: dict[str, Any]


@record
class Halted:
    """Something in the process ends the run: pytest.exit, Ctrl-C, shouldstop, a wrong argument.

    ``place`` is the file and line (from 1) at which an interrupt came.
    """

    kind: Literal["exit", "keyboard", "shouldfail", "shouldstop", "usage"]
    reason: str
    returncode: int | None = None
    place: tuple[str, int] | None = None


@record
class Logged:
    """A record for the live log. ``when`` is the phase, as pytest's logging plugin names it.

    ``nodeid`` is that of the running test, if there is one. `pytest_procpar.compat.pytest_private.logs` makes
    and reads ``data``.
    """

    nodeid: str | None
    when: str | None
    data: dict[str, Any]


@record
class Broke:
    """An internal error: not the suite's fault, or at least not a test's."""

    text: str


#: A worker that has collected the suite itself also says what the fork server would say otherwise.
FromWorker: TypeAlias = (
    Ready
    | Began
    | Reported
    | Finished
    | Done
    | Starved
    | JunitRecord
    | Logged
    | Warned
    | Halted
    | Broke
    | Collected
    | CollectReported
)
FromServer: TypeAlias = (
    CollectReported | Collected | Unsafe | Forked | Reaped | Pong | Logged | Warned | Halted | Broke
)


# --- controller to fork server --------------------------------------------------------------------


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

    inputs: list[dict[str, Any]]
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
    workerinput: dict[str, Any]
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
    workerinput: dict[str, Any]
    basetemp: str | None
    kept: str
    suite: int | None = None


ToServer: TypeAlias = Setup | Fork | StartRoot | Signal | Ping | Suspend | Quit


# --- controller to a throw-away process -----------------------------------------------------------


@record
class ForkChild:
    """Fork a child from this process; one descriptor comes along, the child's stream."""


#: Which fixtures stay alive after tests: those that this test needs, those of the session, or (None) those
#: that were alive when the process was forked.
Until: TypeAlias = "TestIndex | Literal['session'] | None"


@record
class Perform:
    """Run these tests in this order, then tear down what need not be kept alive for ``then``."""

    tests: tuple[TestIndex, ...]
    then: Until


@record
class WaitChild:
    """Wait for the end of this child."""

    pid: int


@record
class Watch:
    """Remember the state that tests share as it is now."""


@record
class Compare:
    """Say what has changed since `Watch`, with or without what was imported: answered by `Changed`."""

    imports: bool = True


@record
class Restore:
    """Put back these slots, and nothing else."""

    slots: tuple[str, ...]


ToBranch: TypeAlias = ForkChild | Perform | WaitChild | Watch | Compare | Restore


# --- throw-away process to controller -------------------------------------------------------------


@record
class ProbeReady:
    """The process runs."""

    pid: int


@record
class Performed:
    """A test has ended as ``word`` says (an `Outcome`); ``message`` is the first line of its failure."""

    test: TestIndex
    word: str
    message: str


@record
class Rested:
    """All tests that were asked for have run; ``holding`` says whether there are fixtures to tear down."""

    holding: bool


@record
class ProbeExited:
    """The answer to `WaitChild`: the child has ended with this wait status."""

    pid: int
    status: int


#: A slot of the state that tests share: name, value before, value after, whether it can be put back, and way
#: and module (see `remedies.Slot`).
ChangedSlot: TypeAlias = tuple[str, str, str, bool, str, str]


@record
class Changed:
    """The slots that have changed, likely causes first."""

    slots: tuple[ChangedSlot, ...]


FromBranch: TypeAlias = ProbeReady | Performed | Rested | ProbeExited | Changed


_KINDS: tuple[type, ...] = (
    Ready, Began, Reported, Finished, Done, CollectReported, Collected, Forked, Reaped, Warned, Halted,
    Broke, Setup, Fork, Signal, Quit, Ping, Pong, Suspend, StartRoot, ForkChild, Perform, WaitChild,
    ProbeReady, Performed, Rested, ProbeExited, Watch, Compare, Restore, Changed, Unsafe, JunitRecord,
    Logged, Starved,
)  # fmt: skip


def fingerprint(ids: Iterable[str]) -> int:
    """A number that tells one collected suite from another; it is the same in every process."""
    return zlib.crc32("\n".join(ids).encode(errors="replace"))


def _reader(kind: type) -> Any:
    names = fields(kind)
    if not names:
        return lambda message: ()
    if len(names) == 1:
        return lambda message, get=attrgetter(*names): (get(message),)
    return attrgetter(*names)


def _plain(value: Any) -> object:
    """The builtin value that stands for a field of a `Setup` on the way."""
    if isinstance(value, (Recipe, WorkerOptions)):
        return tuple(_plain(getattr(value, name)) for name in fields(type(value)))
    return value.value if isinstance(value, Dist) else value


def _setup_values(setup: Setup) -> tuple[object, ...]:
    return tuple(_plain(getattr(setup, name)) for name in fields(Setup))


def _make_setup(inputs: Any, environ: Any, cwd: Any, basetemp: Any, recipe: Any) -> Setup:
    return Setup(inputs, environ, cwd, basetemp, None if recipe is None else _make_recipe(recipe))


def _make_recipe(values: Iterable[Any]) -> Recipe:
    by_name = dict(zip(fields(Recipe), values, strict=True))
    dist, *others = by_name["options"]
    return Recipe(**{**by_name, "options": WorkerOptions(Dist(dist), *others)})


_WRITERS = {kind: (number, _reader(kind)) for number, kind in enumerate(_KINDS)}
_WRITERS[Setup] = (_KINDS.index(Setup), _setup_values)
_MAKERS: list[Any] = [_make_setup if kind is Setup else kind for kind in _KINDS]


#: Everything that travels in frames.
Message: TypeAlias = FromWorker | FromServer | FromBranch | ToServer | ToBranch


def encode(message: Message) -> tuple[object, ...]:
    """The tuple as which a message travels."""
    number, fields_of = _WRITERS[type(message)]
    return (number, *fields_of(message))


def decode(body: object) -> Message:
    """The message that a tuple stands for.

    :raises WireError: if it stands for none.
    """
    try:
        number, *values = cast("tuple[int, object]", body)
        if number < 0:
            raise ValueError(f"its kind is {number}")
        return cast("Message", _MAKERS[number](*values))
    except (TypeError, ValueError, IndexError, RecursionError) as error:  # the last: from a deep value's repr
        raise WireError(f"not a message: {error}") from None


# --- controller to worker: records ----------------------------------------------------------------

_RECORD = struct.Struct("<iiq")
RECORD_SIZE = _RECORD.size

#: A record: run this test, or one of the words.
Record: TypeAlias = "TestIndex | Outlook | Literal['finish']"

_NAMES: dict[int, Outlook | Literal["finish"]] = {-1: "hold", -2: "last", -3: "finish"}
_WORDS = {word: number for number, word in _NAMES.items()}
_CHECK = 0x70726F63  # "proc" in ASCII


def record_number(record: Record) -> int:
    """The number that stands for a record."""
    return record if isinstance(record, int) else _WORDS[record]


def record_of(number: int) -> Record:
    """The record that a number stands for.

    :raises WireError: if it stands for none.
    """
    if number >= 0:
        return TestIndex(number)
    if number in _NAMES:
        return _NAMES[number]
    raise WireError("the inbox holds bytes that are not a record")


def pack_record(record: Record, place: int) -> bytes:
    """The bytes of one record and its place among all that go into an inbox."""
    return _RECORD.pack(_CHECK, record_number(record), place)


def unpack_record(data: bytes) -> tuple[Record, int]:
    """The one record in `data`, and its place.

    :raises WireError: if the bytes are not a record.
    """
    check, number, place = _RECORD.unpack(data)
    if check != _CHECK or place < 0:
        raise WireError("the inbox holds bytes that are not a record")
    return record_of(number), place


def unpack_records(data: bytes) -> Iterator[Record]:
    """The records in `data`, which holds only whole ones.

    :raises WireError: if the bytes are not records.
    """
    if len(data) % RECORD_SIZE:
        raise WireError("the inbox holds part of a record")
    for at in range(0, len(data), RECORD_SIZE):
        yield unpack_record(data[at : at + RECORD_SIZE])[0]
