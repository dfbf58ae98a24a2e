"""How the controller works with several throw-away processes at once: jobs that wait for their messages.

A job is a generator. It yields a process and a moment, and is sent the next message from that process, or a
`Silence`: the process has ended, or sent nothing by that moment.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from enum import Enum
from typing import TypeAlias, TypeVar

from pytest_procpar.cluster.cluster import Cluster
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.protocol.codec import Message
from pytest_procpar.core.protocol.common import Broke
from pytest_procpar.core.protocol.probe import (
    FromProbe,
    Perform,
    Performed,
    ProbeExited,
    ProbeReady,
    Rested,
    Until,
)
from pytest_procpar.core.protocol.server import Reaped
from pytest_procpar.core.record import record
from pytest_procpar.recheck.probing.checkpoints import Indices, ProbeHandle
from pytest_procpar.system.calls import KILLED, describe_status, monotonic
from pytest_procpar.system.oom import OutOfMemory

__all__ = ["Ended", "Job", "Conversations", "ProbeContext", "Silence", "TimeOver", "hung_grace"]

#: How long a fork may take, or anything else that is not up to a test, in seconds.
_FORK_SECONDS = 30.0

#: After how many seconds at most `ended` is asked again although nothing has happened.
_BEAT = 1.0

#: Unless it hung, a test may take this many times as long as in the run, plus this many seconds; the last one
#: is for a test that hung, in seconds: see `hung_grace`.
_PATIENCE = 10.0
_GRACE = 5.0
_HUNG_GRACE = 1.0


class Silence(Enum):
    """Why no message comes from a process."""

    #: It has ended.
    ENDED = "ended"
    #: It sent nothing by the moment until which it was waited for.
    LATE = "late"


_T = TypeVar("_T")
_Kind = TypeVar("_Kind", bound=FromProbe)

_Heard: TypeAlias = Message | Silence

#: Returns a `_T`, by way of what processes say.
Job: TypeAlias = Generator[tuple[ProbeHandle, float], _Heard, _T]


@record
class ProbeContext:
    """What is known about the run that probes look into, and when they are to end.

    ``seconds`` returns how long a test took in the run; ``limit`` how long a test that hung there may take,
    and 0 for others. ``ended`` returns whether to end at once; it is called whenever something happens, and
    every second. ``wake`` is a descriptor that becomes readable when that changes.
    """

    seconds: Callable[[TestIndex], float]
    limit: Callable[[TestIndex], float]
    ended: Callable[[], bool]
    wake: int


def hung_grace(limit: float) -> float:
    """How much longer than its limit to wait for a test that has hung, in seconds."""
    return _HUNG_GRACE + min(limit, _HUNG_GRACE)


class Ended(Exception):
    """Time ran out, or the user has asked for the end; with an argument: what went wrong."""


class TimeOver(Ended):
    """Time ran out."""


class Conversations:
    """The loop, and what jobs say to processes.

    :param lost: called with a process that has ended while no job waited for it.
    """

    def __init__(
        self,
        cluster: Cluster,
        context: ProbeContext,
        lost: Callable[[ProbeHandle], None],
    ) -> None:
        self._lost = lost
        self._cluster = cluster
        self._context = context
        self._selector = selectors.DefaultSelector()
        self._selector.register(cluster.fileno(), selectors.EVENT_READ, None)
        self._selector.register(context.wake, selectors.EVENT_READ, None)
        self._jobs: dict[ProbeHandle, tuple[Job[None], float]] = {}
        self._memory = OutOfMemory()
        #: When to give up, on the clock of `monotonic`.
        self.deadline = 0.0

    # --- the loop ---

    def drive(self, jobs: Sequence[Job[None]], *, insist: bool = False) -> None:
        """Run jobs to their ends; with `insist`, only the deadline ends them early."""
        for job in jobs:
            self._start(job)
        while self._jobs:
            now = monotonic()
            if not insist and self._context.ended():
                raise Ended
            if now >= self.deadline:
                raise TimeOver
            for handle, (_, until) in list(self._jobs.items()):
                if now >= until:
                    self._tell(handle, Silence.LATE)
            if not self._jobs:  # otherwise the next select would wait for nothing until the deadline
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
            handle, until = next(job)
            self._jobs[handle] = (job, until)

    def _tell(self, handle: ProbeHandle, heard: _Heard) -> None:
        """Pass what a process said to the job that waits for it, if there is one."""
        if handle in self._jobs:
            job, _ = self._jobs.pop(handle)
            with suppress(StopIteration):
                handle, until = job.send(heard)
                self._jobs[handle] = (job, until)

    def _listen(self, handle: ProbeHandle, *, at_its_end: bool) -> None:
        if handle.closed:
            return
        messages, is_open = handle.port.receive()
        for message in messages:
            if isinstance(message, ProbeReady):
                handle.found(message.pid)
                self._watch_end(handle)
            elif isinstance(message, Broke):
                if handle in self._jobs:
                    raise Ended(message.text)
                break  # a failed checkpoint: go on without it
            self._tell(handle, message)
        if at_its_end or not is_open or handle.port.garbled:
            self._unwatch(handle)
            self._end_if_short_of_memory(killed=False)
            if handle in self._jobs:
                self._tell(handle, Silence.ENDED)
            else:
                self._lost(handle)

    def _end_if_short_of_memory(self, *, killed: bool) -> None:
        """Raise `Ended` after an out-of-memory kill: it says nothing about a test, and would happen again."""
        if which := self._memory.seen(killed=killed):
            raise Ended(f"the kernel has killed a process meanwhile: {which} was exhausted")

    def watch(self, handle: ProbeHandle) -> None:
        """Listen to a process."""
        self._selector.register(handle.port, selectors.EVENT_READ, handle)

    def _watch_end(self, handle: ProbeHandle) -> None:
        if handle.pidfd is not None:
            self._selector.register(handle.pidfd, selectors.EVENT_READ, handle)

    def _unwatch(self, handle: ProbeHandle) -> None:
        for source in (handle.port, handle.pidfd):
            if source is not None:
                with suppress(KeyError, ValueError):
                    self._selector.unregister(source)

    def abandon(self) -> list[ProbeHandle]:
        """Give up all jobs; return the processes that they waited for."""
        waited = list(self._jobs)
        for job, _ in self._jobs.values():
            job.close()
        self._jobs.clear()
        return waited

    def close(self) -> None:
        """Close for good: end the processes that only a given-up job knew."""
        watched = {key.data for key in self._selector.get_map().values()}
        for handle in watched - {None}:
            self.discard(handle)
        self._selector.close()

    # --- what is said to processes, and heard from them ---

    def fork_child(self, parent: ProbeHandle) -> Job[ProbeHandle | None]:
        """Fork a child of `parent`; return None if there can be none."""
        if parent.pid is None and (yield from self.expect(parent, ProbeReady, _FORK_SECONDS)) is None:
            return None
        child = parent.fork_child()
        self.watch(child)
        if (yield from self.expect(child, ProbeReady, _FORK_SECONDS)) is None:
            self.discard(child)
            return None
        return child

    def expect(
        self, handle: ProbeHandle, kind: type[_Kind], seconds: float = _FORK_SECONDS
    ) -> Job[_Kind | None]:
        """Wait up to `seconds` for a message of this kind; return None if it does not come."""
        until = monotonic() + seconds
        while True:
            heard = yield handle, until
            if isinstance(heard, Silence):
                return None
            if isinstance(heard, kind):
                return heard

    def perform(self, handle: ProbeHandle, tests: Indices, then: Until) -> Job[str]:
        """Make a process run tests, and note how they end; return the first line of the last failure.

        If the process dies, it has one outcome more than tests.
        """
        message = ""
        until = monotonic() + self._time_for(tests)
        handle.port.send(Perform(tests, then))
        for test in tests:
            answer = yield from self._answer(handle, until)
            if isinstance(answer, Performed):
                handle.tests += (test,)
                handle.words += (Outcome(answer.word),)
                message = answer.message
            else:
                handle.words += (Outcome.HUNG if answer is Silence.LATE else Outcome.CRASHED,)
                status = "" if answer is Silence.LATE else (yield from self._status(handle))
                if status == KILLED:
                    self._end_if_short_of_memory(killed=True)
                return status
        rested = yield from self._answer(handle, until)  # if it dies now, that is not the test's doing
        if isinstance(rested, Rested):
            handle.holding = rested.holding
        return message

    def _answer(self, handle: ProbeHandle, until: float) -> Job[_Heard]:
        """The next message of a process, without those that children of its own have exited."""
        while isinstance(heard := (yield handle, until), ProbeExited):
            pass
        return heard

    def _status(self, handle: ProbeHandle) -> Job[str]:
        """How a process that has died came to its end, in words."""
        parent, pid = handle.parent, handle.pid
        if parent is None or pid is None or parent.closed:
            return ""
        handle.kill()
        until = monotonic() + _FORK_SECONDS
        while isinstance(heard := (yield parent, until), ProbeExited):
            if heard.pid == pid:
                handle.pid = None
                return describe_status(heard.status)
        return ""

    def _time_for(self, tests: Indices) -> float:
        # Wait for a test that hung as long as in the run, and hardly longer: it may hang again in every
        # probe.
        limit = max((self._context.limit(test) for test in tests), default=0.0)
        grace = hung_grace(limit) if limit else _GRACE
        return grace + sum(
            self._context.limit(test) or _PATIENCE * self._context.seconds(test) for test in tests
        )

    def discard(self, handle: ProbeHandle, wait: float = 0.0) -> None:
        """End a process that is of no use any more, and wait up to `wait` seconds until it is gone."""
        handle.kill()
        if wait:
            handle.await_end(wait)
        self._unwatch(handle)
        handle.close()
