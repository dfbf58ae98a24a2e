"""What the controller and a throw-away process of the re-check tell each other."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.record import record

__all__ = [
    "Changed", "ChangedSlot", "Compare", "ForkChild", "FromProbe", "Perform", "Performed", "ProbeExited",
    "ProbeReady", "Rested", "Restore", "ToProbe", "Until", "WaitChild", "Watch",
]  # fmt: skip


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


ToProbe: TypeAlias = ForkChild | Perform | WaitChild | Watch | Compare | Restore


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


FromProbe: TypeAlias = ProbeReady | Performed | Rested | ProbeExited | Changed
