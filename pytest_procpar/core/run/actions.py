"""What `Vigil` has the controller do: a closed union, like the effects of a run (see `events`)."""

from __future__ import annotations

from typing import TypeAlias

from pytest_procpar.core.model import WorkerId
from pytest_procpar.core.record import record

__all__ = [
    "Action",
    "BreakOff",
    "DumpStacks",
    "FinishCollecting",
    "GiveUpCollecting",
    "GiveUpServer",
    "KillLost",
    "LookForDeadlocks",
    "LookIntoInboxes",
    "PingServer",
    "Say",
    "ShowRunning",
    "WakeRun",
]


@record
class WakeRun:
    """Tell the run that `Run.deadline` was reached (`events.Tick`)."""


@record
class LookForDeadlocks:
    """Look for workers that will never go on (see `core.run.deadlock`): answered by `look_again`."""


@record
class LookIntoInboxes:
    """Find the workers among these that do nothing while their inboxes are empty.

    `Vigil.found_empty` takes the answer.
    """

    workers: tuple[WorkerId, ...]


@record
class DumpStacks:
    """Have a worker write its stacks."""

    worker: WorkerId


@record
class Say:
    """Show this line, even in a quiet run."""

    text: str


@record
class ShowRunning:
    """Show what is running: with the stacks if somebody ``asked``, else with a hint at why nothing ends."""

    asked: bool


@record
class KillLost:
    """Kill a lost worker and all that it has started, and say so and why."""

    worker: WorkerId
    why: str


@record
class PingServer:
    """Ask the fork server for a sign of life."""


@record
class GiveUpServer:
    """End the fork server and, with it, the run, for this reason."""

    why: str


@record
class FinishCollecting:
    """There will be no run: let workers that have collected finish, and interrupt the others."""


@record
class GiveUpCollecting:
    """Stop waiting for workers that should have ended because there will be no run."""


@record
class BreakOff:
    """End the run as it stands, for this reason."""

    why: str


Action: TypeAlias = (
    WakeRun
    | LookForDeadlocks
    | LookIntoInboxes
    | DumpStacks
    | Say
    | ShowRunning
    | KillLost
    | PingServer
    | GiveUpServer
    | FinishCollecting
    | GiveUpCollecting
    | BreakOff
)
