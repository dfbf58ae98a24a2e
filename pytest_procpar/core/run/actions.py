"""What `Vigil` has the controller do: a closed union, as the effects of a run are (see `events`)."""

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
    "PingWorker",
    "Say",
    "ShowRunning",
    "WakeRun",
]


@record
class WakeRun:
    """`Run.deadline` is reached: tell the run (`events.Tick`)."""


@record
class LookForDeadlocks:
    """Look for workers that will never go on (see `core.deadlock`): answered by `look_again`."""


@record
class LookIntoInboxes:
    """Find out which of these workers do nothing while their inboxes are empty: answered by `found_empty`."""

    workers: tuple[WorkerId, ...]


@record
class DumpStacks:
    """Have a worker write down its stacks."""

    worker: WorkerId


@record
class Say:
    """Show this line, however quiet the run is to be."""

    text: str


@record
class ShowRunning:
    """Show what is running: with the stacks, if somebody ``asked``; else with a hint at why nothing ends."""

    asked: bool


@record
class KillLost:
    """Kill a worker with all that it has started, say so and why: nothing can be done with it any more."""

    worker: WorkerId
    why: str


@record
class PingWorker:
    """Ask the fork server for a sign of life."""


@record
class GiveUpServer:
    """End the fork server, and the run with it, for this reason."""

    why: str


@record
class FinishCollecting:
    """There will be no run: let the workers that have collected finish, and interrupt those that collect."""


@record
class GiveUpCollecting:
    """Wait no longer for workers that were to end before the run began."""


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
    | PingWorker
    | GiveUpServer
    | FinishCollecting
    | GiveUpCollecting
    | BreakOff
)
