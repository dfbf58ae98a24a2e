"""A fresh process that was started before it is known whether it is needed: its start takes most of its time.

It has loaded pytest and the installed plugins, and nothing of the suite's: it waits for its order, which is a
fifo, before it looks for conftests. So it changes nothing, and nothing that runs meanwhile can change what it
will do. The order has the arguments that it goes on with.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_procpar.core.record import changed, record
from pytest_procpar.fresh.fresh_run import Command
from pytest_procpar.fresh.rerun import RerunSetup, framed
from pytest_procpar.fresh.warden import Warden

__all__ = ["Waiting", "WaitingRoom"]


@record
class Waiting:
    """The arguments of pytest with which it was started, its command, its order, and the fifo for that."""

    words: Sequence[str]
    command: Command
    order: RerunSetup
    fifo: Path

    def command_for(self, words: Sequence[str]) -> Command:
        """The command, with an order to go on with these arguments."""
        return changed(self.command, order=(self.fifo, framed(changed(self.order, words=tuple(words)))))

    def suits(self, words: Sequence[str]) -> bool:
        """Whether it can run with these arguments: with the same options, and tests of the same files.

        So it has found the rootdir and the ini file that these arguments lead to.
        """
        return _kind_of(words) == _kind_of(self.words)


def _kind_of(words: Sequence[str]) -> tuple[list[str], set[str]]:
    """The arguments that are no nodeids, and the files of those that are."""
    nodeids = [word for word in words if "::" in word]
    return [word for word in words if word not in nodeids], {word.partition("::")[0] for word in nodeids}


class WaitingRoom:
    """Holds at most one such process, for whoever runs commands next."""

    def __init__(self) -> None:
        self._waiting: Waiting | None = None

    def put(self, waiting: Waiting) -> None:
        """Let it wait."""
        self._waiting = waiting

    def take(self, words: Sequence[Sequence[str]], warden: Warden) -> tuple[int, Waiting] | None:
        """The process, and the place of the first arguments that suit it; if there are none, it is ended."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return None
        for place, each in enumerate(words):
            if waiting.suits(each):
                return place, waiting
        assert waiting.command.started is not None
        warden.end([waiting.command.started])
        return None
