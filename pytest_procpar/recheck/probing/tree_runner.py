"""Runs probes in the processes of one tree, each from the closest state that there is, and leaves others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_procpar.core.inquiry.probes import Probe, ProbeResult
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.protocol.probe import Until
from pytest_procpar.recheck.probing.checkpoints import CheckpointTree, Indices, ProbeHandle, check_points
from pytest_procpar.recheck.probing.conversations import Conversations, Job
from pytest_procpar.system.calls import monotonic

__all__ = ["TreeRunner"]

#: Once tests that took this many seconds in the run have run in probes, their times there tell the pace.
_TELLING = 1.0

#: How long a killed process may take to be gone, in seconds.
_END_SECONDS = 2.0

#: If what several probes begin with takes more than this many seconds, it is not run again for each.
_WORTH_SHARING = 0.05


class TreeRunner:
    """Jobs in the processes of a tree; one object serves all trees, since it remembers only the pace.

    :param seconds: returns how long a test took in the run.
    """

    def __init__(self, jobs: Conversations, seconds: Callable[[TestIndex], float]) -> None:
        self._jobs = jobs
        self._seconds = seconds
        #: How long tests have taken in probes, and how long the same tests took in the run, in seconds.
        self._took, self._expected = 0.0, 0.0

    @property
    def pace(self) -> float:
        """How many times longer tests take in probes than in the run, as far as is known; not less than 1."""
        return max(1.0, self._took / self._expected) if self._expected >= _TELLING else 1.0

    def work(
        self,
        tree: CheckpointTree,
        numbers: list[int],
        probes: Sequence[Probe],
        outcomes: dict[int, ProbeResult],
    ) -> Job[None]:
        """Run a tree's probes, one after the other."""
        for at, number in enumerate(numbers):
            following = probes[numbers[at + 1]].tests if at + 1 < len(numbers) else ()
            shared = _common(probes[number].tests, following)
            handle = yield from self._start(tree, probes[number])
            if handle is None:
                outcomes[number] = ProbeResult(())
                continue
            try:
                outcomes[number] = yield from self._probe(tree, handle, probes[number], shared)
            except GeneratorExit:  # keep what ran before time ran out
                outcomes[number] = ProbeResult(handle.words, in_time=False)
                raise

    def _probe(
        self, tree: CheckpointTree, handle: ProbeHandle, probe: Probe, shared: int
    ) -> Job[ProbeResult]:
        """Run one probe; also leave a checkpoint after the `shared` tests that the next probe begins with."""
        tests = probe.tests
        done = len(handle.tests)
        places = [done + place for place in check_points(tests[done:], self._seconds)]
        if probe.fresh:
            places = []
        elif done < shared < len(tests) and sum(map(self._seconds, tests[done:shared])) > _WORTH_SHARING:
            places = sorted({*places, shared})
        if places:
            tree.sweeps.append(handle)
        for place in [*places, len(tests)]:
            then: Until = "session" if places else None
            if place < len(tests):
                then = tests[place]
            began, some = monotonic(), tests[len(handle.tests) : place]
            message = yield from self._jobs.perform(handle, some, then)
            self._took += monotonic() - began
            self._expected += sum(map(self._seconds, some))
            if len(handle.tests) < place:  # it is dead
                break
            if place < len(tests):
                self._leave_check_point(tree, handle)
        if not places or len(handle.tests) < len(tests):
            self.discard(tree, handle)
        while (surplus := tree.surplus()) is not None:
            yield from self.retire(tree, surplus)
        return ProbeResult(handle.words, message)

    def _start(self, tree: CheckpointTree, probe: Probe) -> Job[ProbeHandle | None]:
        """Fork a child from the process that has run most of a probe; return None if none can be forked."""
        while True:
            start = tree.root if probe.fresh else tree.closest(probe.tests[:-1])
            if start is tree.root:
                yield from self.free(tree)
            handle = yield from self._jobs.fork_child(start)
            if handle is not None or start is tree.root:
                return handle
            if not start.closed:  # it may have been ended as soon as it was forked
                self.discard(tree, start)

    def _leave_check_point(self, tree: CheckpointTree, handle: ProbeHandle) -> None:
        if not tree.has(handle.tests):
            kept = handle.fork_child()  # no need to wait for it: the tests go on
            self._jobs.watch(kept)
            for old in tree.keep(kept):
                self.discard(tree, old)

    def retire(self, tree: CheckpointTree, sweep: ProbeHandle) -> Job[None]:
        """Let the process of a pass tear down what its checkpoints share, and end them all."""
        for handle in tree.born_of(sweep):
            self.discard(tree, handle)
        yield from self.end(tree, sweep)

    def end(self, tree: CheckpointTree, handle: ProbeHandle) -> Job[None]:
        """Let a process tear down its fixtures, unless it is dead, and end it."""
        if len(handle.words) == len(handle.tests):
            yield from self._jobs.perform(handle, (), None)
        self.discard(tree, handle)

    def free(self, tree: CheckpointTree) -> Job[None]:
        """Tear down what the processes of passes hold: a test may need the same port or database, say."""
        for sweep in [sweep for sweep in tree.sweeps if sweep.holding]:
            yield from self.retire(tree, sweep)

    def retire_all(self, tree: CheckpointTree) -> Job[None]:
        """Retire the processes of all passes."""
        while tree.sweeps:
            yield from self.retire(tree, tree.sweeps[0])

    def clear(self, tree: CheckpointTree) -> Job[None]:
        """Tear down what passes hold, end all processes but the root, and wait until they are gone."""
        for sweep in tree.sweeps:
            if len(sweep.words) == len(sweep.tests):
                yield from self._jobs.perform(sweep, (), None)
        for handle in tree.handles():
            if handle is not tree.root:
                tree.drop(handle)
                self._jobs.discard(handle, _END_SECONDS)

    def repeat(
        self,
        tree: CheckpointTree,
        handle: ProbeHandle | None,
        tests: Indices,
        is_needed: Callable[[], bool],
    ) -> Job[None]:
        """Run tests in a process again and again, as long as they are needed."""
        while handle is not None and is_needed():
            size = len(handle.tests)
            yield from self._jobs.perform(handle, tests, tests[0])
            if len(handle.tests) < size + len(tests):
                break
        if handle is not None:
            yield from self.end(tree, handle)

    def discard(self, tree: CheckpointTree, handle: ProbeHandle) -> None:
        """End a process, and take it out of the tree."""
        tree.drop(handle)
        self._jobs.discard(handle)


def _common(one: Indices, other: Indices) -> int:
    """How many tests two sequences have in common at their beginning."""
    size = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        size += 1
    return size
