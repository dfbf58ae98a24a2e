"""Replaces forked workers that are deadlocked: fresh interpreters run their tests instead.

`core.run.deadlock` weighs the evidence; this module gathers it, reports what it found, and acts on it.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Hashable, Iterable

import pytest_procpar.core.run.deadlock as weighing
import pytest_procpar.core.run.events as events
from pytest_procpar.controller.collaborators import Collaborators
from pytest_procpar.controller.collection import Collecting
from pytest_procpar.controller.worker_deaths import Deaths
from pytest_procpar.core.model import StartMethod, WorkerId, worker_name
from pytest_procpar.core.printable import printable_line
from pytest_procpar.core.protocol.worker_status import Stage
from pytest_procpar.core.record import record
from pytest_procpar.core.run.deadlock import Evidence, Frame, WorkerLook
from pytest_procpar.core.run.hang_watch import DUMP_SECONDS
from pytest_procpar.report.terminal import QUIETEST
from pytest_procpar.system.calls import DUMP_SIGNAL
from pytest_procpar.system.shortage import in_words
from pytest_procpar.system.stalled import Standing, look_at

__all__ = ["DeadlockWatch", "Replaced"]

#: Stands for the fork server among the workers.
_SERVER = WorkerId(-1)

#: How many workers at most are named in a line.
_NAMED = 4


@record
class Replaced:
    """Workers that were stuck: the events for the core, and which of them are already dead, and why.

    The workers in ``dead`` were killed together with the process that would have reaped them.
    """

    stuck: tuple[events.Stuck, ...] = ()
    dead: tuple[WorkerId, ...] = ()
    cause: str = ""


class DeadlockWatch:
    """Looks at the forked workers while tests run.

    :param acts: whether to replace stuck workers: only if the user has not asked for forked ones.
    """

    def __init__(self, shared: Collaborators, deaths: Deaths, collecting: Collecting, *, acts: bool) -> None:
        self._config = shared.config
        self._cluster = shared.cluster
        self._clock = shared.clock
        self._run = shared.run
        self._run_record = shared.run_record
        self._results = shared.results
        self._terminal = shared.terminal
        self._supervisor = shared.supervisor
        self._deaths = deaths
        self._collecting = collecting
        self._acts = acts
        self._began = self._clock.now()
        self._deadlocks = weighing.Deadlocks()
        #: What each worker had noted about itself at the latest look.
        self._noted: dict[WorkerId, Hashable] = {}
        #: Workers whose stacks are being written before they are killed, and how they stood at that moment.
        self._doomed: dict[WorkerId, Standing] = {}

    def look(self, *, collected: bool) -> Replaced:
        """Look at the workers, do what follows from it, and schedule the next look."""
        vigil, now = self._supervisor.vigil, self._clock.now()
        if self._cluster.fork_server() is None:
            vigil.look_again(None)
            return Replaced()
        vigil.look_again(now + weighing.LOOK_SECONDS)
        if self._doomed:
            return self._see_off(now, collected=collected)
        self._deadlocks.looked(list(self._looks(collected=collected)), now)
        if not self._acts:
            return Replaced()
        longest = self._run_record.longest() if collected else 0.0
        silent_since = vigil.silent_since if collected else self._began
        found = self._deadlocks.hopeless(now, longest=longest, silent_since=silent_since)
        if found:
            self._ask_for_stacks(found, now)
        return Replaced()

    def hint(self) -> str | None:
        """A line that explains why nothing happens; None if no reason is known."""
        if self._acts:
            return None
        stuck = self._deadlocks.proven(self._clock.now())
        if not stuck:
            return None
        waits = "waits for a lock" if len(stuck) == 1 else "wait for locks"
        return (
            f"{_listed(map(_who, stuck))} {waits} that no thread can release: most likely one held it "
            "that was lost in the fork; try --start-method=spawn"
        )

    # --- looking ---

    def _looks(self, *, collected: bool) -> Iterable[WorkerLook]:
        """The state of every worker that has something to do, and of the fork server."""
        server = self._cluster.fork_server()
        if server is not None:
            standing = look_at(server, alone=False)
            if standing.evidence is Evidence.PROVEN or not (collected or self._cluster.forked_workers()):
                yield WorkerLook(_SERVER, standing.evidence, standing.mark)
        noted: dict[WorkerId, Hashable] = {}
        for worker, pid in self._cluster.forked_workers().items():
            worker_status = self._cluster.worker_status(worker)
            noted[worker] = key = (worker_status.stage, worker_status.test, worker_status.since)
            is_still = self._noted.get(worker) == key
            standing = look_at(pid) if is_still else Standing(Evidence.NONE)
            if standing.evidence is Evidence.NONE and worker_status.stage in (Stage.BETWEEN, Stage.STARTING):
                continue  # it waits for tests
            yield WorkerLook(worker, standing.evidence, (key, standing.mark))
        self._noted = noted

    def _standing(self, worker: WorkerId) -> Standing:
        server, workers = self._cluster.fork_server(), self._cluster.forked_workers()
        if worker == _SERVER and server is not None:
            return look_at(server, alone=False)
        if worker in workers:
            return look_at(workers[worker])
        return Standing(Evidence.NONE)

    def _ask_for_stacks(self, workers: Iterable[WorkerId], now: float) -> None:
        for worker in workers:
            self._doomed[worker] = self._standing(worker)
            # A worker that does not run tests yet may not have a handler for the signal.
            if worker != _SERVER and self._cluster.worker_status(worker).stage is not Stage.STARTING:
                self._cluster.stacks(worker)
                self._cluster.signal(worker, DUMP_SIGNAL)
        self._supervisor.vigil.look_again(now + DUMP_SECONDS)

    # --- acting ---

    def _see_off(self, now: float, *, collected: bool) -> Replaced:
        """Replace the workers that stand where they stood before their stacks were written."""
        stacks: dict[WorkerId, list[Frame]] = {}
        for worker, before in self._doomed.items():
            standing = self._standing(worker)
            if standing.evidence is Evidence.NONE or standing.place != before.place:
                continue
            frames = weighing.frames_of(self._cluster.stacks(worker)) if worker != _SERVER else []
            if standing.evidence is Evidence.DOUBTFUL and not _is_native(frames):
                continue
            stacks[worker] = frames
        self._doomed.clear()
        if not stacks:
            return Replaced()
        said = self._describe(stacks, now)
        what = _KILLED if all(map(self._deaths.has_finished, stacks)) else _BEGUN_ANEW
        try:
            replaced = self._replace(stacks, now, collected=collected)
        except OSError as error:
            self._acts = False
            self._terminal.remember(f"{said}; no fresh interpreter can be started: {in_words(error)}")
            return Replaced()
        self._terminal.remember(f"{said}: {what}{self._remember(said)}", least=QUIETEST)
        return replaced

    def _replace(self, stacks: dict[WorkerId, list[Frame]], now: float, *, collected: bool) -> Replaced:
        """Let other processes do what the stuck workers had to do.

        :raises OSError: if no interpreter can be started.
        """
        if not collected:
            self._collecting.start_over()
            return Replaced()
        if self._cluster.method is not StartMethod.SPAWN:
            self._cluster.switch()
        if _SERVER not in stacks:
            return Replaced(tuple(self._give_up(worker, now) for worker in stacks))
        dead = tuple(self._cluster.give_up_former())
        running = self._run.running()
        innocent = [w for w in dead if w not in running or not self._results.is_told(running[w])]
        stuck = tuple(self._give_up(worker, now) for worker in dead)
        for worker in innocent:
            self._supervisor.has_killed(worker, _WHY)
        return Replaced(stuck, dead, _WHY)

    def _give_up(self, worker: WorkerId, now: float) -> events.Stuck:
        """Give up a worker that will never go on; return the event for the core."""
        test = self._run.running().get(worker)
        told = test is not None and self._results.is_told(test)
        if told or self._is_left_undone(worker):
            self._supervisor.stood_still(worker, self._deadlocks.seconds(worker, now))
        else:
            self._supervisor.has_killed(worker, _WHY)
            self._deaths.excuse(worker)
        if test is not None and not told:
            self._results.abandoned(test)
        return events.Stuck(worker, told)

    def _is_left_undone(self, worker: WorkerId) -> bool:
        """Whether a worker has begun what no other can do: tear down its fixtures, or end its session."""
        stage = self._cluster.worker_status(worker).stage
        return stage is Stage.LATE_TEARDOWN or (
            stage is Stage.ENDING and not self._deaths.has_finished(worker)
        )

    # --- saying ---

    def _describe(self, stacks: dict[WorkerId, list[Frame]], now: float) -> str:
        who = _listed(self._name(worker, frames) for worker, frames in stacks.items())
        seconds = max(self._deadlocks.seconds(worker, now) for worker in stacks)
        certain = all(self._deadlocks.evidence(worker) is Evidence.PROVEN for worker in stacks)
        plural = len(stacks) > 1
        verb = ("have" if plural else "has") + (" waited" if certain else " most likely waited")
        return (
            f"{who} {verb} {seconds:.0f} s for {'locks' if plural else 'a lock'} that no thread can release"
        )

    def _name(self, worker: WorkerId, frames: list[Frame]) -> str:
        words = []
        test = self._run.running().get(worker)
        if test is not None:
            words.append(printable_line(self._results.nodeid(test)))
        frame = next((frame for frame in frames if not _is_stdlib(frame)), None)
        if frame is not None:
            words.append(f"at {printable_line(frame.within([*_LIBRARIES, str(self._config.rootpath)]))}")
        return f"{_who(worker)} ({', '.join(words)})" if words else _who(worker)

    def _remember(self, said: str) -> str:
        """Have the next runs start differently; return what to add to the line."""
        from pytest_procpar.start_method.remembered import remember

        if remember(self._config, StartMethod.SPAWN, f"{said}, after a fork"):
            return "; the next runs begin with start method spawn"
        return '; to begin so, configure pytest with procpar_start_method = "spawn"'


_WHY = "it waited for a lock that no thread could release"
_BEGUN_ANEW = "begun anew in fresh interpreters (start method spawn)"
_KILLED = "killed at its exit"


def _who(worker: WorkerId) -> str:
    return "the process that workers are forked from" if worker == _SERVER else worker_name(worker)


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    if len(every) > _NAMED:
        every = [*every[: _NAMED - 1], f"{len(every) - _NAMED + 1} more"]
    return " and ".join(filter(None, [", ".join(every[:-1]), every[-1]]))


_STDLIB = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
_LIBRARIES = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))


def _is_stdlib(frame: Frame) -> bool:
    return frame.file.startswith(_STDLIB) and not frame.file.startswith(_LIBRARIES)


def _is_native(frames: list[Frame]) -> bool:
    """Whether a stack ends in an installed library: then that library's C code is what waits.

    Python code that waits for a lock for so long at a time looks at other things in between.
    """
    return bool(frames) and frames[0].file.startswith(_LIBRARIES) and not _is_stdlib(frames[0])
