"""What happens to a run (events, nouns in the past) and what is to be done about it (effects).

Two closed unions. `Run.handle` takes the first and returns the second; a new member
is one class here and one ``case`` where it is matched, and the type checker names the case that was
forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from pytest_procpar.core.model import TestIndex, WorkerId
from pytest_procpar.core.record import record

if TYPE_CHECKING:
    from pytest_procpar.core.run.consulting import News, SchedulerOrder

__all__ = [
    "Assign",
    "ItemBegan",
    "SuiteCollected",
    "Consult",
    "Crashed",
    "Decided",
    "Died",
    "Dump",
    "Effect",
    "Event",
    "Fewer",
    "Finish",
    "ItemFinished",
    "GiveUp",
    "Hung",
    "Interrupt",
    "Kill",
    "NotRun",
    "Outlook",
    "ItemPutBack",
    "WorkerReady",
    "Refused",
    "Revoke",
    "Revoked",
    "Spawn",
    "Stop",
    "Stuck",
    "Terminate",
    "Tick",
]


#: What follows a worker's last known test: nothing for it now, though tests that have not begun exist
#: elsewhere and may come ("hold"), or nothing at all, no test that has not begun is left ("last").
Outlook: TypeAlias = Literal["hold", "last"]


# --- events ---------------------------------------------------------------------------------------


@record
class SuiteCollected:
    """The tests are known.

    ``keys`` holds one grouping key a test, or None where each is alone; ``limits`` the place of every test
    that has a time limit of its own, and that limit, in seconds. ``started`` workers have collected them
    and wait: these are spawned however few the tests, and a replacement may take as long as a collection.
    """

    count: int
    keys: tuple[str, ...] | None = None
    limits: tuple[tuple[int, float], ...] = ()
    started: int = 0


@record
class WorkerReady:
    """A worker has taken its identity and waits for tests."""

    worker: WorkerId


@record
class ItemBegan:
    """A worker is about to run a test; from here on it cannot be taken back."""

    worker: WorkerId
    test: TestIndex


@record
class ItemFinished:
    """A worker has run a test to its end, whatever the outcome."""

    worker: WorkerId
    test: TestIndex


@record
class Revoked:
    """The answer to `Revoke`: these tests had not begun and will not.

    Those that were handed out and are missing here have been claimed: their `ItemBegan` is on its way, or the
    worker's death. What stood behind the tests (see `Outlook`) is taken back with them.
    """

    worker: WorkerId
    tests: tuple[TestIndex, ...]


@record
class Died:
    """A worker's process is gone."""

    worker: WorkerId


@record
class Refused:
    """The system grants a worker no process, or not what that needs: it begins no test."""

    worker: WorkerId
    reason: str


@record
class ItemPutBack:
    """A plugin wants a test that was settled as crashed to run again (`pytest_handlecrashitem`).

    Without effect once the run is stopped. The worker that may have to be started for it counts as a restart;
    where none may be started, the test is `NotRun`.
    """

    test: TestIndex


@record
class Decided:
    """The answer to `Consult`: what a plugin's scheduler wants, in this order.

    ``dealing`` says that it hands out tests now that the worker is up that it was told of; ``finished`` that
    it has nothing left to hand out.
    """

    orders: tuple[SchedulerOrder, ...] = ()
    dealing: bool = False
    finished: bool = False


@record
class Tick:
    """Time has passed: `Run.deadline` was reached."""


@record
class Stop:
    """No further test may begin; with ``interrupt`` the running ones are interrupted too."""

    interrupt: bool = False


@record
class Stuck:
    """A worker will never go on, since it was forked: it is to be killed, and others do what it had to do.

    Its death is no crash, and its test runs again, unless it is ``told``: what has been reported of it cannot
    be taken back. From now on a worker may take as long as a collection to come up.
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
    | Stuck
    | Tick
    | Stop
)


# --- effects --------------------------------------------------------------------------------------


@record
class Spawn:
    """Fork a worker. ``replaces`` is the dead worker whose place it takes."""

    worker: WorkerId
    replaces: WorkerId | None = None


@record
class Assign:
    """Hand out tests to a worker, in this order.

    ``then`` says what follows the last of them; None says nothing yet: more is on its way, or it
    will be said as soon as the last one begins. Tests may follow after "last" too, if others crash.
    """

    worker: WorkerId
    tests: tuple[TestIndex, ...]
    then: Outlook | None = None


@record
class Revoke:
    """Take back what was handed out to a worker and has not begun; answered by `Revoked`."""

    worker: WorkerId


@record
class Consult:
    """Tell a plugin's scheduler this news, or none, and ask what it wants: also what it has said meanwhile.

    It comes alone, and is answered by `Decided` before anything else happens: the scheduler is told of things
    before their other effects are seen, as under pytest-xdist.
    """

    news: News | None = None


@record
class Interrupt:
    """Interrupt what a worker is running, as Ctrl-C would."""

    worker: WorkerId


@record
class Kill:
    """Kill a worker that did not come up in time, or does not end, and all that it has started."""

    worker: WorkerId


@record
class Dump:
    """Have a worker write down its stacks: ``test``, or the end of its session (None), has taken too long.

    Nothing that it says of the test from here on counts. ``limit`` is in seconds.
    """

    worker: WorkerId
    test: TestIndex | None
    limit: float


@record
class Terminate:
    """Ask a worker, and all that it has started, to end."""

    worker: WorkerId


@record
class Finish:
    """Let a worker finish its session and exit."""

    worker: WorkerId


@record
class Crashed:
    """Report a test whose process died while it ran; it is settled, unless a `ItemPutBack` reopens it."""

    worker: WorkerId
    test: TestIndex


@record
class Hung:
    """Report a test that was ended because it ran too long; it is settled."""

    worker: WorkerId
    test: TestIndex


@record
class NotRun:
    """These tests are settled without having been run, for this reason."""

    tests: tuple[TestIndex, ...]
    reason: str


@record
class GiveUp:
    """No worker is replaced any more. The same reason is given once.

    The other workers go on. Tests that none is left to run are settled by the `NotRun` that follows.
    """

    reason: str


@record
class Fewer:
    """The run goes on with so many workers, for this reason."""

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
