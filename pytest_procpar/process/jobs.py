"""What the controller does with several throw-away processes at once: jobs that wait for what they say.

A job is a generator. It yields a process and a moment, and is sent the next message of that process, or a
`Silence`: it has ended, or has said nothing by then.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from enum import Enum
from typing import TypeAlias, TypeVar

from pytest_procpar.core.messages import (
    Broke,
    FromBranch,
    Gone,
    Here,
    Message,
    Perform,
    Performed,
    Reaped,
    Rested,
    Until,
)
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.probes import Word
from pytest_procpar.core.record import record
from pytest_procpar.process.launch import Cluster
from pytest_procpar.process.memory import OutOfMemory
from pytest_procpar.process.system import KILLED, describe_status, monotonic
from pytest_procpar.process.trees import Indices, Twig

__all__ = ["Ended", "Job", "Jobs", "ProbeContext", "Silence", "TimeOver", "hung_grace"]

#: How long a fork may take, and whatever else is not a test's doing, in seconds.
_FORK_SECONDS = 30.0

#: After how many seconds at the latest it is asked whether to end, though nothing has happened.
_BEAT = 1.0

#: A test may take so many times what it took in the run, unless it hung, and so many seconds on top.
_PATIENCE = 10.0
_GRACE = 5.0
_HUNG_GRACE = 1.0


class Silence(Enum):
    """Why no message comes from a process."""

    #: It has ended.
    ENDED = "ended"
    #: It has said nothing by the moment until which it was waited for.
    LATE = "late"


_T = TypeVar("_T")
_Kind = TypeVar("_Kind", bound=FromBranch)

_Heard: TypeAlias = Message | Silence

#: Comes to a `_T`, by what processes say.
Job: TypeAlias = Generator[tuple[Twig, float], _Heard, _T]


@record
class ProbeContext:
    """What is known of the run that probes look into, and when they are to end.

    ``seconds`` tells how long a test took in the run; ``limit`` how long a test may take that has hung there,
    0 for others. ``ended`` is asked whenever something happens, and every second: whether to end at once;
    ``wake`` is a descriptor that becomes readable when that changes.
    """

    seconds: Callable[[TestIndex], float]
    limit: Callable[[TestIndex], float]
    ended: Callable[[], bool]
    wake: int


def hung_grace(limit: float) -> float:
    """How much longer than its limit a test is waited for that has hung, in seconds."""
    return _HUNG_GRACE + min(limit, _HUNG_GRACE)


class Ended(Exception):
    """The time is over, or the user has asked for the end; with an argument: what went wrong."""


class TimeOver(Ended):
    """The time that was given is over."""


class Jobs:
    """The loop, and what jobs say to processes.

    :param lost: told of a process that has ended while no job waited for it.
    """

    def __init__(
        self,
        cluster: Cluster,
        context: ProbeContext,
        lost: Callable[[Twig], None],
    ) -> None:
        self._lost = lost
        self._cluster = cluster
        self._context = context
        self._selector = selectors.DefaultSelector()
        self._selector.register(cluster.fileno(), selectors.EVENT_READ, None)
        self._selector.register(context.wake, selectors.EVENT_READ, None)
        self._jobs: dict[Twig, tuple[Job[None], float]] = {}
        self._memory = OutOfMemory()
        #: When to give up, on the clock of `monotonic`.
        self.deadline = 0.0

    # --- the loop ---

    def drive(self, jobs: Sequence[Job[None]], *, insist: bool = False) -> None:
        """Run jobs to their ends; if asked to `insist`, nothing ends them early but the deadline."""
        for job in jobs:
            self._start(job)
        while self._jobs:
            now = monotonic()
            if not insist and self._context.ended():
                raise Ended
            if now >= self.deadline:
                raise TimeOver
            for twig, (_, until) in list(self._jobs.items()):
                if now >= until:
                    self._tell(twig, Silence.LATE)
            if not self._jobs:  # or the next select would wait for nothing, until the deadline
                break
            until = min([self.deadline, now + _BEAT, *(until for _, until in self._jobs.values())])
            ready = [key for key, _ in self._selector.select(max(0.0, until - now))]
            if any(key.fd == self._cluster.fileno() for key in ready):
                self._listen_to_server()  # first: it knows why a stream has ended
            for key in ready:
                if key.data is not None:
                    self._listen(key.data, at_its_end=key.fileobj is not key.data.port)

    def _listen_to_server(self) -> None:
        messages, is_open = self._cluster.from_server()
        for message in messages:
            if isinstance(message, Reaped) and message.reason is not None:
                raise Ended(f"a process could not be started: {message.reason}")
        if not is_open:
            raise Ended("the process that others are forked from has died")

    def _start(self, job: Job[None]) -> None:
        with suppress(StopIteration):
            twig, until = next(job)
            self._jobs[twig] = (job, until)

    def _tell(self, twig: Twig, heard: _Heard) -> None:
        """Give what was heard of a process to the job that waits for it, if any does."""
        if twig in self._jobs:
            job, _ = self._jobs.pop(twig)
            with suppress(StopIteration):
                twig, until = job.send(heard)
                self._jobs[twig] = (job, until)

    def _listen(self, twig: Twig, *, at_its_end: bool) -> None:
        if twig.closed:
            return
        messages, is_open = twig.port.receive()
        for message in messages:
            if isinstance(message, Here):
                twig.found(message.pid)
                self._watch_end(twig)
            elif isinstance(message, Broke):
                if twig in self._jobs:
                    raise Ended(message.text)
                break  # a check-point that could not be left: it is done without
            self._tell(twig, message)
        if at_its_end or not is_open or twig.port.garbled:
            self._unwatch(twig)
            self._end_if_short_of_memory(killed=False)
            if twig in self._jobs:
                self._tell(twig, Silence.ENDED)
            else:
                self._lost(twig)

    def _end_if_short_of_memory(self, *, killed: bool) -> None:
        """An out-of-memory kill says nothing about a test, and would happen again: nothing more is run."""
        if which := self._memory.seen(killed=killed):
            raise Ended(f"the kernel has killed a process meanwhile: {which} was exhausted")

    def watch(self, twig: Twig) -> None:
        """Listen to a process."""
        self._selector.register(twig.port, selectors.EVENT_READ, twig)

    def _watch_end(self, twig: Twig) -> None:
        if twig.pidfd is not None:
            self._selector.register(twig.pidfd, selectors.EVENT_READ, twig)

    def _unwatch(self, twig: Twig) -> None:
        for source in (twig.port, twig.pidfd):
            if source is not None:
                with suppress(KeyError, ValueError):
                    self._selector.unregister(source)

    def abandon(self) -> list[Twig]:
        """Leave what is being run: the processes that were waited for."""
        waited = list(self._jobs)
        for job, _ in self._jobs.values():
            job.close()
        self._jobs.clear()
        return waited

    def close(self) -> None:
        """No job will run any more: end the processes that only a given-up job knew."""
        watched = {key.data for key in self._selector.get_map().values()}
        for twig in watched - {None}:
            self.discard(twig)
        self._selector.close()

    # --- what is said to processes, and heard ---

    def sprout(self, parent: Twig) -> Job[Twig | None]:
        """A child of `parent`; None if there can be none."""
        if parent.pid is None and (yield from self.expect(parent, Here, _FORK_SECONDS)) is None:
            return None
        child = parent.sprout()
        self.watch(child)
        if (yield from self.expect(child, Here, _FORK_SECONDS)) is None:
            self.discard(child)
            return None
        return child

    def expect(self, twig: Twig, kind: type[_Kind], seconds: float = _FORK_SECONDS) -> Job[_Kind | None]:
        """Wait for a message of this kind, so long at most; None if it does not come."""
        until = monotonic() + seconds
        while True:
            heard = yield twig, until
            if isinstance(heard, Silence):
                return None
            if isinstance(heard, kind):
                return heard

    def perform(self, twig: Twig, tests: Indices, then: Until) -> Job[str]:
        """Let a process run tests, and note how they end; the first line of the last failure.

        If it dies, it has one word more than tests.
        """
        message = ""
        until = monotonic() + self._time_for(tests)
        twig.port.send(Perform(tests, then))
        for test in tests:
            answer = yield from self._answer(twig, until)
            if isinstance(answer, Performed):
                twig.tests += (test,)
                twig.words += (Word(answer.word),)
                message = answer.message
            else:
                twig.words += (Word.HUNG if answer is Silence.LATE else Word.CRASHED,)
                status = "" if answer is Silence.LATE else (yield from self._status(twig))
                if status == KILLED:
                    self._end_if_short_of_memory(killed=True)
                return status
        rested = yield from self._answer(twig, until)  # if it dies now that is not the test's doing
        if isinstance(rested, Rested):
            twig.holding = rested.holding
        return message

    def _answer(self, twig: Twig, until: float) -> Job[_Heard]:
        """What a process says next, but of children of its that were ended meanwhile."""
        while isinstance(heard := (yield twig, until), Gone):
            pass
        return heard

    def _status(self, twig: Twig) -> Job[str]:
        """How a process that has died came to its end, in words."""
        parent, pid = twig.parent, twig.pid
        if parent is None or pid is None or parent.closed:
            return ""
        twig.kill()
        until = monotonic() + _FORK_SECONDS
        while isinstance(heard := (yield parent, until), Gone):
            if heard.pid == pid:
                twig.pid = None
                return describe_status(heard.status)
        return ""

    def _time_for(self, tests: Indices) -> float:
        # What has hung is waited for as long as then, and hardly longer: it may do so again in every probe.
        limit = max((self._context.limit(test) for test in tests), default=0.0)
        grace = hung_grace(limit) if limit else _GRACE
        return grace + sum(
            self._context.limit(test) or _PATIENCE * self._context.seconds(test) for test in tests
        )

    def discard(self, twig: Twig) -> None:
        """End a process that is of no use any more."""
        twig.kill()
        self._unwatch(twig)
        twig.close()
