"""What happens to a run (events, named in the past tense) and what to do about it (effects).

Two closed unions. `Run.handle` takes the first and returns the second. To add a member, write one class here
and one ``case`` where the union is matched; the type checker names the case that you forgot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from pytest_procpar.core.model import TestIndex, Took, WorkerId
from pytest_procpar.core.record import record

if TYPE_CHECKING:
    from pytest_procpar.core.run.foreign.consulting import News, SchedulerOrder
    from pytest_procpar.core.run.sharing.wide_fixtures import Known

__all__ = [
    "Allotted", "Assign", "ItemBegan", "SuiteCollected", "Consult", "Crashed", "Decided", "Died", "Dump",
    "Effect", "Event", "Fewer", "Finish", "ItemFinished", "GiveUp", "Hung", "Interrupt", "Kill", "NotRun",
    "Outlook", "ItemPutBack", "WorkerReady", "Refused", "Revoke", "Revoked", "Spawn", "Stop", "Stuck",
    "Terminate", "Tick",
]  # fmt: skip


#: What follows the last test that a worker knows of. "hold": nothing now, but unbegun tests exist elsewhere
#: and may come. "last": nothing more, as no unbegun test is left.
Outlook: TypeAlias = Literal["hold", "last"]


# --- events ---------------------------------------------------------------------------------------


@record
class SuiteCollected:
    """The tests are known.

    ``keys`` holds one grouping key per test, or is None where each test is alone. ``limits`` holds the place
    of each test with a time limit of its own, and that limit in seconds. ``started`` is how many workers have
    collected the suite and wait: all of them are spawned, however few the tests, and a replacement may take
    as long as a collection. ``known`` is what is known of the tests beyond that, if anything is.
    """

    count: int
    keys: tuple[str, ...] | None = None
    limits: tuple[tuple[int, float], ...] = ()
    started: int = 0
    known: Known | None = None


@record
class WorkerReady:
    """A worker has taken its identity and waits for tests."""

    worker: WorkerId


@record
class ItemBegan:
    """A worker is about to run a test; from now on the test cannot be taken back."""

    worker: WorkerId
    test: TestIndex


@record
class ItemFinished:
    """A worker has run a test to its end, whatever the outcome; it took so long, if that is known."""

    worker: WorkerId
    test: TestIndex
    took: Took | None = None


@record
class Revoked:
    """The answer to `Revoke`: these tests had not begun, and this worker will not begin them.

    Tests that were handed out and are missing here have been claimed: their `ItemBegan`, or the worker's
    death, is on its way. The `Outlook` that stood behind the tests is taken back with them.
    """

    worker: WorkerId
    tests: tuple[TestIndex, ...]


@record
class Died:
    """A worker's process is gone."""

    worker: WorkerId


@record
class Refused:
    """The system refuses a worker its process, or something that it needs: the worker will begin no test."""

    worker: WorkerId
    reason: str


@record
class ItemPutBack:
    """A plugin wants a test that was settled as crashed to run again (`pytest_handlecrashitem`).

    This has no effect once the run is stopped. If a worker has to be started for the test, it counts as a
    restart; if none may be started, the test is `NotRun`.
    """

    test: TestIndex


@record
class Decided:
    """The answer to `Consult`: what a plugin's scheduler wants, in this order.

    ``dealing`` says that the scheduler hands out tests now that it knows of this worker; ``finished`` says
    that it has nothing left to hand out.
    """

    orders: tuple[SchedulerOrder, ...] = ()
    dealing: bool = False
    finished: bool = False


@record
class Allotted:
    """There may be this many workers from now on: more are started, and none is ended.

    This has no effect where every worker has tests of its own, or a plugin's scheduler deals them out.
    """

    workers: int


@record
class Tick:
    """Time has passed: `Run.deadline` was reached."""


@record
class Stop:
    """No further test may begin; with ``interrupt`` the running ones are interrupted, too."""

    interrupt: bool = False


@record
class Stuck:
    """A worker will never go on, because it was forked, or not as it should: let others do its work.

    Its death is no crash. Its test runs again unless ``told`` is set: then the test has already been
    reported, which cannot be taken back. From now on a worker may take as long as a collection to come up.
    """

    worker: WorkerId
    told: bool = False


Event: TypeAlias = (
    SuiteCollected
    | WorkerReady
    | ItemBegan
    | ItemFinished
    | Revoked
    | Died
    | Refused
    | ItemPutBack
    | Decided
    | Allotted
    | Stuck
    | Tick
    | Stop
)


# --- effects --------------------------------------------------------------------------------------


@record
class Spawn:
    """Start a worker. ``replaces`` is the dead worker whose place it takes."""

    worker: WorkerId
    replaces: WorkerId | None = None


@record
class Assign:
    """Hand out tests to a worker, in this order.

    ``then`` says what follows the last of them. None says nothing yet: either more tests are on their way, or
    the answer comes as soon as the last one begins. Tests may follow even after "last", if others crash.
    """

    worker: WorkerId
    tests: tuple[TestIndex, ...]
    then: Outlook | None = None


@record
class Revoke:
    """Take back the tests that a worker was given and has not begun; answered by `Revoked`."""

    worker: WorkerId


@record
class Consult:
    """Tell a plugin's scheduler this news, if any, and ask what it wants, and what it has wanted meanwhile.

    It comes alone, and `Decided` answers it before anything else happens: as under pytest-xdist, the
    scheduler hears of things before their other effects show.
    """

    news: News | None = None


@record
class Interrupt:
    """Interrupt what a worker is running, as Ctrl-C would."""

    worker: WorkerId


@record
class Kill:
    """Kill a worker that did not come up in time or does not end, and all that it has started."""

    worker: WorkerId


@record
class Dump:
    """Have a worker write its stacks: ``test``, or the end of its session (None), has taken too long.

    Nothing that the worker says of the test from now on counts. ``limit`` is in seconds.
    """

    worker: WorkerId
    test: TestIndex | None
    limit: float


@record
class Terminate:
    """Ask a worker and all that it has started to end (SIGTERM)."""

    worker: WorkerId


@record
class Finish:
    """Let a worker finish its session and exit."""

    worker: WorkerId


@record
class Crashed:
    """Report a test whose process died while it ran. It is settled, unless an `ItemPutBack` reopens it."""

    worker: WorkerId
    test: TestIndex


@record
class Hung:
    """Report a test that was ended because it ran too long; it is settled."""

    worker: WorkerId
    test: TestIndex


@record
class NotRun:
    """These tests are settled without having run, for this reason."""

    tests: tuple[TestIndex, ...]
    reason: str


@record
class GiveUp:
    """No worker is replaced any more. Each reason is given once.

    The other workers go on. A `NotRun` follows for the tests that no worker is left to run.
    """

    reason: str


@record
class Fewer:
    """The run goes on with only ``workers`` workers, for this reason."""

    workers: int
    reason: str


Effect: TypeAlias = (
    Spawn
    | Assign
    | Revoke
    | Consult
    | Interrupt
    | Dump
    | Terminate
    | Kill
    | Finish
    | Crashed
    | Hung
    | NotRun
    | GiveUp
    | Fewer
)
