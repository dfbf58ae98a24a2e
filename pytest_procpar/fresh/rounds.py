"""Runs commands in fresh pytest processes, each with an identity and folders of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from pytest_procpar.compat.pytest_private.command_line import program
from pytest_procpar.core.model import StartMethod, WorkerInput
from pytest_procpar.core.record import changed, record
from pytest_procpar.fresh.fresh_run import Command, FreshRun, NotSeen, run_fresh, start
from pytest_procpar.fresh.rerun import RerunSetup, environment, framed
from pytest_procpar.fresh.waiting import Waiting, WaitingRoom
from pytest_procpar.fresh.warden import Warden
from pytest_procpar.system.calls import monotonic
from pytest_procpar.system.headroom import fitting, headroom, no_room, resident
from pytest_procpar.system.shortage import in_words

__all__ = ["Forking", "Rounds"]


@record
class Forking:
    """How a fresh process forks others: the start method, how many, and whether the heap is frozen."""

    method: StartMethod
    processes: int
    freeze_heap: bool


class _Asked(TypedDict):
    """The fields of a `RerunSetup` that all commands of a round share."""

    reports: bool
    added: tuple[tuple[str, str], ...]
    isolates: bool
    grouped: bool


_NOTHING = _Asked(reports=False, added=(), isolates=False, grouped=False)


class Rounds:
    """Runs commands in fresh processes.

    :param warden: returns the warden that starts them, and in whose folder they write; raises OSError.
    :param inputs: the ``workerinput`` of each process that may run at the same time as the others.
    :param kept: the folder for copies of files that they change.
    :param cwd: their working directory.
    :param deadline: when they are ended, on the clock of `monotonic`.
    :param ended: returns whether to end them at once.
    :param size: the memory of a process that has collected the suite, in bytes; 0: as much as this one.
    :param room: has the process that was begun already, if there is one.
    :param unusable_basetemp: the run's base temporary folder, if it cannot be made; "" for the default one.
    """

    def __init__(
        self,
        warden: Callable[[], Warden],
        inputs: Sequence[WorkerInput],
        kept: Path,
        cwd: Path,
        deadline: float,
        ended: Callable[[], bool],
        size: int,
        room: WaitingRoom,
        unusable_basetemp: str | None = None,
    ) -> None:
        self._unusable = unusable_basetemp
        self._inputs = inputs
        self._kept = kept
        self._cwd = cwd
        self._deadline = deadline
        self._ended = ended
        self._size = size
        self._warden = warden
        self._room = room

    def begin(self, words: list[str], limit: float) -> None:
        """Start a process for a command like those that the next call will run; it waits for that call.

        Whatever the next call runs, the process is not there for another one.
        """
        try:
            warden = self._warden()
            _fitting(1, 1, self._size, together=False)
            own = Path(tempfile.mkdtemp(dir=warden.folder))
            path = own / "order"
            os.mkfifo(path, 0o600)
            order = self._order(0, own, None, None, _NOTHING)
            command = Command(
                [*program(), *words], Path(order.report), limit, lambda place: environment(order, path)
            )
            number = start(warden, command, self._cwd, 0)
        except OSError:  # then it is started when it is needed, and it is told why if it cannot
            return
        self._room.put(Waiting(words, changed(command, started=number), order, path))

    def __call__(
        self,
        words: Sequence[list[str]],
        limits: Sequence[float],
        *,
        alone: bool = False,
        together: bool = False,
        fork: Forking | None = None,
        reports: bool = False,
        added: tuple[tuple[str, str], ...] = (),
        isolates: bool = False,
        grouped: bool = False,
    ) -> list[FreshRun | NotSeen]:
        """Run the commands; return how each ended.

        :param words: the arguments of pytest for each.
        :param limits: how long a test of each may take, in seconds; 0: no limit.
        :param alone: run one at a time.
        :param together: run all at the same time, as the workers of one run.
        :param fork: let each run its tests in processes that it forks.
        :param reports: let each also say what was reported about its tests.
        :param added: source to run in the modules of test files: path and source of each.
        :param isolates: let marked tests have processes of their own there.
        :param grouped: run tests only if ``--dist=loadgroup`` would keep them together.
        """
        asked = _Asked(reports=reports, added=added, isolates=isolates, grouped=grouped)
        if not words or self._ended() or monotonic() >= self._deadline:
            return [NotSeen()] * len(words)
        try:
            warden = self._warden()
            most = 1 if alone else len(self._inputs)
            concurrency = _fitting(most, len(words), self._size, together=together)
            folder = warden.folder
            common = Path(tempfile.mkdtemp(dir=folder)) if together else None
            gate = None if common is None else common / "gate"
            if gate is not None:
                os.mkfifo(gate, 0o600)
            plain = not (common or fork or any(asked.values()))
            taken = self._room.take(words if plain else (), warden)
            commands = [
                self._command(each, limit, Path(tempfile.mkdtemp(dir=folder)), common, fork, asked)
                for each, limit in zip(words, limits, strict=True)
            ]
            if taken is not None:
                place, waiting = taken
                commands[place] = waiting.command_for(words[place])
            return run_fresh(warden, commands, self._cwd, concurrency, self._deadline, self._ended, gate=gate)
        except OSError as error:
            return [NotSeen(f"it could not be run: {in_words(error)}")] * len(words)

    def _command(
        self,
        words: list[str],
        limit: float,
        own: Path,
        common: Path | None,
        fork: Forking | None,
        asked: _Asked,
    ) -> Command:
        """Make a command with its own cache and temporary files: shared ones would change the next run."""

        def environ(place: int) -> Mapping[str, str]:
            order = self._order(place, own, common, fork, asked)
            (own / "order").write_bytes(framed(order))
            return environment(order, own / "order")

        return Command([*program(), *words], own / "report", limit, environ)

    def _order(
        self, place: int, own: Path, common: Path | None, fork: Forking | None, asked: _Asked
    ) -> RerunSetup:
        gate = "" if common is None else str(common / "gate")
        given = dict(self._inputs[place])
        base = self._base(common or own, f"popen-{given['workerid']}")
        order = RerunSetup(
            given, str(own / "report"), str(self._kept), base, str(own / "cache"), gate, **asked
        )
        if fork is None:
            return order
        siblings = tuple(map(dict, self._inputs[1 : fork.processes]))
        return changed(order, forked=fork.method.value, siblings=siblings, freeze_heap=fork.freeze_heap)

    def _base(self, folder: Path, name: str) -> str:
        """The folder for a process's temporary files; it is unusable if the run's own was."""
        if self._unusable is None:
            return str(folder / name)
        return self._unusable and os.path.join(self._unusable, name)


def _fitting(concurrency: int, count: int, size: int, *, together: bool) -> int:
    """How many of `count` commands may run at the same time, at most `concurrency`.

    :raises OSError: if there is no room for one, or for all that are to run together.
    """
    size, room = max(size, resident()), headroom()
    fit = fitting(min(concurrency, count), room, size)
    needed = count if together else 1
    if fit < needed:
        raise OSError(no_room(room, needed * size))
    return fit
