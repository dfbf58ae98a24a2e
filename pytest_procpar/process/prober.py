"""Runs probes in throw-away processes: several at once, each from the closest state that there is."""

from __future__ import annotations

import os
import selectors
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import Any

from pytest_procpar.core.blame import find_blame
from pytest_procpar.core.insights import Change
from pytest_procpar.core.messages import (
    Changed,
    Compare,
    Gone,
    Here,
    Perform,
    Performed,
    Rested,
    Restore,
    Watch,
)
from pytest_procpar.core.model import TestIndex, WorkerId
from pytest_procpar.core.probes import Outcome, Probe, Word
from pytest_procpar.process.launch import Cluster
from pytest_procpar.process.system import describe_status, monotonic
from pytest_procpar.process.trees import Tests, Tree, Twig, check_points, memory_cap

__all__ = ["Ended", "Prober"]

#: The workers of the run have smaller numbers.
_FIRST_ROOT = 1_000_000

#: How long a fork may take, and what fixtures do at the end of it all, in seconds.
_FORK_SECONDS = 30.0
_TEARDOWN_SECONDS = 10.0

#: A test may take so many times what it took in the run, and so many seconds on top.
_PATIENCE = 10.0
_GRACE = 5.0

#: How often state is put back at most to prove which of it is to blame.
_TRIALS = 300

#: Which part of the time that tests took in the run, beside others, they may take at the least.
_OPTIMISM = 0.6

#: From so many seconds on it is not run again what several probes begin with.
_WORTH_SHARING = 0.05

#: What a job waits for: something from a process, until then. It is sent the message, or None if the process
#: is gone, or `_LATE`.
_Job = Generator[tuple[Twig, float], object, Any]
_LATE = object()


class Ended(Exception):
    """The time was over, or somebody has asked for an end."""


class Prober:
    """Owns the trees: one an identity that may be used at the same time as the others.

    :param inputs: the ``workerinput`` of each identity.
    :param basetemp: the run's folder for temporary files.
    :param seconds: how long a test took in the run.
    :param limit: how long a test may take that has hung in the run; 0 for others.
    :param ended: asked whenever something happens: whether to end at once.
    :param wake: a descriptor that becomes readable when that changes.
    """

    def __init__(
        self,
        cluster: Cluster,
        inputs: Sequence[dict[str, Any]],
        basetemp: str | None,
        seconds: Callable[[TestIndex], float],
        limit: Callable[[TestIndex], float],
        ended: Callable[[], bool],
        wake: int,
    ) -> None:
        self._cluster = cluster
        self._seconds = seconds
        self._limit = limit
        self._ended = ended
        self._selector = selectors.DefaultSelector()
        self._selector.register(cluster.fileno(), selectors.EVENT_READ, None)
        self._selector.register(wake, selectors.EVENT_READ, None)
        self._jobs: dict[Twig, tuple[_Job, float]] = {}
        self._deadline = 0.0
        self._idle_sides = False
        cap = memory_cap() // max(1, len(inputs))
        self._trees = []
        for number, workerinput in enumerate(inputs):
            folder = (
                None if basetemp is None else os.path.join(basetemp, f"recheck-{workerinput['workerid']}")
            )
            port = cluster.plant(WorkerId(_FIRST_ROOT + number), workerinput, folder)
            root = Twig(port, None)
            self._watch(root)
            self._trees.append(Tree(root, cap))

    # --- what is asked ---

    def run(self, probes: Sequence[Probe], deadline: float) -> list[Outcome]:
        """Run probes until `deadline` (of `monotonic`) at most; their outcomes.

        :raises Ended: if not all could be run.
        """
        self._deadline = deadline
        outcomes: dict[int, Outcome] = {}
        together = [i for i, probe in enumerate(probes) if not probe.beside]
        try:
            shares = self._deal(together, probes)
            if any(self._is_hopeless(probes[i], tree) for tree, share in shares for i in share):
                raise Ended
            self._drive([self._work(tree, share, probes, outcomes) for tree, share in shares])
            for i, probe in enumerate(probes):
                if probe.beside:
                    outcomes[i] = self._run_beside(probe)
        except BaseException:
            self._forget_jobs()
            raise
        return [outcomes[i] for i in range(len(probes))]

    def explain(self, cause: Tests, victim: TestIndex, deadline: float) -> tuple[Change, ...]:
        """What `cause` changes of the state that tests share, and which of it, put back, lets `victim` pass.

        :raises Ended: if there was no time to find out.
        """
        self._deadline = deadline
        found: list[Change] = []
        try:
            self._drive([self._explain(self._trees[0], cause, victim, found)])
        except BaseException:
            self._forget_jobs()
            raise
        return tuple(found)

    def _deal(self, numbers: list[int], probes: Sequence[Probe]) -> list[tuple[Tree, list[int]]]:
        """Deal probes out to trees: what begins alike to the same one."""
        shares: list[list[int]] = [[] for _ in self._trees]
        loads = [0.0] * len(self._trees)
        homes: dict[Tests, int] = {}
        for i in sorted(numbers, key=lambda i: (probes[i].tests, probes[i].round)):
            tests = probes[i].tests
            known = [len(tree.closest(tests[:-1]).tests) for tree in self._trees]
            place = max(range(len(known)), key=lambda at: (known[at], -loads[at]))
            if not known[place] and len(tests) > 2:
                place = homes.setdefault(tests[:2], place)
            shares[place].append(i)
            loads[place] += sum(map(self._seconds, tests[known[place] :])) + 0.005
        return [(tree, share) for tree, share in zip(self._trees, shares, strict=True) if share]

    def _is_hopeless(self, probe: Probe, tree: Tree) -> bool:
        """Whether a probe would take far longer than there is time: then it is not begun."""
        known = len(tree.closest(probe.tests[:-1]).tests)
        seconds = sum(map(self._seconds, probe.tests[known:]))
        return _OPTIMISM * seconds > self._deadline - monotonic()

    def _work(
        self, tree: Tree, numbers: list[int], probes: Sequence[Probe], outcomes: dict[int, Outcome]
    ) -> _Job:
        """Run a tree's probes, one after the other."""
        for at, number in enumerate(numbers):
            following = probes[numbers[at + 1]].tests if at + 1 < len(numbers) else ()
            shared = _common(probes[number].tests, following)
            outcomes[number] = yield from self._probe(tree, probes[number], shared)

    def _probe(self, tree: Tree, probe: Probe, shared: int) -> _Job:
        """Run one probe; a check-point is left, too, after `shared` of its tests if others begin so."""
        tests = probe.tests
        twig = yield from self._start(tree, probe)
        if twig is None:
            return Outcome(())
        done = len(twig.tests)
        places = [done + place for place in check_points(tests[done:], self._seconds)]
        if probe.fresh:
            places = []
        elif done < shared < len(tests) and sum(map(self._seconds, tests[done:shared])) > _WORTH_SHARING:
            places = sorted({*places, shared})
        if places:
            tree.trunks.append(twig)
        for place in [*places, len(tests)]:
            last = "session" if places else None
            then = tests[place] if place < len(tests) else last
            message = yield from self._perform(twig, tests[len(twig.tests) : place], then)
            if len(twig.tests) < place:  # it is dead
                break
            if place < len(tests):
                self._leave_check_point(tree, twig)
        if not places or len(twig.tests) < len(tests):
            self._discard(tree, twig)
        while (surplus := tree.surplus()) is not None:
            yield from self._retire(tree, surplus)
        return Outcome(twig.words, message)

    def _start(self, tree: Tree, probe: Probe) -> _Job:
        """A child of what has run the longest part of a probe; None if there can be none."""
        while True:
            start = tree.root if probe.fresh else tree.closest(probe.tests[:-1])
            twig = yield from self._sprout(tree, start)
            if twig is not None or start is tree.root:
                return twig
            if not start.closed:  # it may have been ended as soon as it was forked
                self._discard(tree, start)

    def _leave_check_point(self, tree: Tree, twig: Twig) -> None:
        if not tree.has(twig.tests):
            kept = twig.sprout()  # nobody waits for it: the tests go on
            self._watch(kept)
            for old in tree.keep(kept):
                self._discard(tree, old)

    def _retire(self, tree: Tree, trunk: Twig) -> _Job:
        """Let a trunk tear down what its check-points share, and end them all."""
        for twig in tree.born_of(trunk):
            self._discard(tree, twig)
        yield from self._perform(trunk, (), None)
        self._discard(tree, trunk)

    def _run_beside(self, probe: Probe) -> Outcome:
        """Run a probe while others run again and again: it has all trees for itself."""
        judged, *rest = self._trees
        outcomes: dict[int, Outcome] = {}
        self._idle_sides = False
        sides = [self._side(tree, tests) for tree, tests in zip(rest, probe.beside, strict=False)]

        def work() -> _Job:
            try:
                yield from self._work(judged, [0], [Probe(probe.tests)], outcomes)
            finally:
                self._idle_sides = True

        self._drive([*sides, work()])
        return outcomes[0]

    def _side(self, tree: Tree, tests: Tests) -> _Job:
        twig = yield from self._sprout(tree, tree.root)
        while twig is not None and not self._idle_sides:
            size = len(twig.tests)
            yield from self._perform(twig, tests, tests[0])
            if len(twig.tests) < size + len(tests):
                break
        if twig is not None:
            self._discard(tree, twig)

    # --- state ---

    def _explain(self, tree: Tree, cause: Tests, victim: TestIndex, found: list[Change]) -> _Job:
        twig = yield from self._sprout(tree, tree.root)
        if twig is None:
            return
        twig.port.send(Watch())
        yield from self._perform(twig, cause, victim)
        if len(twig.tests) == len(cause):
            slots = yield from self._changed(twig, victim)
            proven = yield from self._prove(tree, twig, victim, slots)
            found += [Change(slot[0], slot[1], slot[2], slot[0] in proven) for slot in slots]
        self._discard(tree, twig)

    def _changed(self, twig: Twig, victim: TestIndex) -> _Job:
        """The slots that are otherwise than before, for a victim that comes next."""
        twig.port.send(Perform((), victim))  # what it would not find any more is not to blame
        if (yield from self._expect(twig, Rested, _FORK_SECONDS)) is None:
            return ()
        twig.port.send(Compare())
        answer = yield from self._expect(twig, Changed, _FORK_SECONDS)
        return () if answer is None else answer.slots

    def _prove(self, tree: Tree, twig: Twig, victim: TestIndex, slots: tuple[Any, ...]) -> _Job:
        """The names of the slots that, put back, let the victim pass."""
        names = [name for name, _, _, restorable in slots if restorable]
        if (yield from self._passes_with(tree, twig, victim, ())):  # then no slot can be to blame
            return set()
        search = find_blame(len(names), probes=_TRIALS, batch=1)
        try:
            batch = next(search)
            while True:
                passed = []
                for chosen in batch:
                    restored = tuple(names[at] for at in sorted(chosen))
                    passed.append((yield from self._passes_with(tree, twig, victim, restored)))
                batch = search.send(passed)
        except StopIteration as stop:
            return {names[at] for at in stop.value or ()}

    def _passes_with(self, tree: Tree, twig: Twig, victim: TestIndex, restored: tuple[str, ...]) -> _Job:
        child = yield from self._sprout(tree, twig)
        if child is None:
            return False
        child.port.send(Restore(restored))
        yield from self._perform(child, (victim,), None)
        passed = child.words[-1].good
        self._discard(tree, child)
        return passed

    # --- what is said to processes, and heard ---

    def _sprout(self, tree: Tree, parent: Twig) -> _Job:
        """A child of `parent`; None if there can be none."""
        if parent.pid is None and (yield from self._expect(parent, Here, _FORK_SECONDS)) is None:
            return None
        child = parent.sprout()
        self._watch(child)
        if (yield from self._expect(child, Here, _FORK_SECONDS)) is None:
            self._discard(tree, child)
            return None
        return child

    def _expect(self, twig: Twig, kind: type, seconds: float) -> _Job:
        until = monotonic() + seconds
        while True:
            message = yield twig, until
            if message is None or message is _LATE:
                return None
            if isinstance(message, kind):
                return message

    def _perform(self, twig: Twig, tests: Tests, then: Any) -> _Job:
        """Let a process run tests, and note how they end; the first line of the last failure.

        If it dies, it has one word more than tests.
        """
        message = ""
        until = monotonic() + self._time_for(tests)
        twig.port.send(Perform(tests, then))
        for test in tests:
            answer = yield twig, until
            if isinstance(answer, Performed):
                twig.tests += (test,)
                twig.words += (Word(answer.word),)
                message = answer.message
            else:
                twig.words += (Word.HUNG if answer is _LATE else Word.CRASHED,)
                return "" if answer is _LATE else (yield from self._status(twig))
        yield twig, until  # Rested; if it dies now that is not the test's doing
        return message

    def _status(self, twig: Twig) -> _Job:
        """How a process that has died came to its end, in words."""
        parent, pid = twig.parent, twig.pid
        if parent is None or pid is None or parent.closed:
            return ""
        twig.kill()
        until = monotonic() + _FORK_SECONDS
        while isinstance(message := (yield parent, until), Gone):
            if message.pid == pid:
                twig.pid = None
                return describe_status(message.status)
        return ""

    def _time_for(self, tests: Tests) -> float:
        return _GRACE + sum(_PATIENCE * self._seconds(test) + self._limit(test) for test in tests)

    def _discard(self, tree: Tree, twig: Twig) -> None:
        """End a process that is of no use any more."""
        tree.drop(twig)
        twig.kill()
        self._unwatch(twig)
        twig.close()

    # --- the loop ---

    def _drive(self, jobs: Sequence[_Job]) -> None:
        """Run jobs to their ends."""
        for job in jobs:
            self._resume(job, None)
        while self._jobs:
            now = monotonic()
            if self._ended() or now >= self._deadline:
                raise Ended
            for twig, (_, until) in list(self._jobs.items()):
                if now >= until:
                    self._tell(twig, _LATE)
            if not self._jobs:  # or the next select would wait for nothing, until the deadline
                break
            until = min([self._deadline, *(until for _, until in self._jobs.values())])
            for key, _ in self._selector.select(max(0.0, until - now)):
                if key.data is not None:
                    self._listen(key.data, at_its_end=key.fileobj is not key.data.port)
                elif key.fd == self._cluster.fileno() and not self._cluster.from_server()[1]:
                    raise Ended

    def _resume(self, job: _Job, message: object) -> None:
        try:
            twig, until = job.send(message)
        except StopIteration:
            return
        self._jobs[twig] = (job, until)

    def _tell(self, twig: Twig, message: object) -> None:
        """Give a message to the job that waits for it, if any does."""
        if twig in self._jobs:
            job, _ = self._jobs.pop(twig)
            self._resume(job, message)

    def _listen(self, twig: Twig, *, at_its_end: bool) -> None:
        if twig.closed:
            return
        messages, is_open = twig.port.receive()
        for message in messages:
            if isinstance(message, Here):
                twig.found(message.pid)
                self._watch_end(twig)
            self._tell(twig, message)
        if at_its_end or not is_open or twig.port.garbled:
            self._unwatch(twig)
            if twig in self._jobs:
                self._tell(twig, None)
            else:  # nobody may wait for an answer of it later
                for tree in self._trees:
                    if tree.keeps(twig):
                        self._discard(tree, twig)

    def _watch(self, twig: Twig) -> None:
        self._selector.register(twig.port, selectors.EVENT_READ, twig)

    def _watch_end(self, twig: Twig) -> None:
        if twig.pidfd is not None:
            self._selector.register(twig.pidfd, selectors.EVENT_READ, twig)

    def _unwatch(self, twig: Twig) -> None:
        for source in (twig.port, twig.pidfd):
            if source is not None:
                with suppress(KeyError, ValueError):
                    self._selector.unregister(source)

    def _forget_jobs(self) -> None:
        """Leave what is being run: the processes that run it are ended."""
        for twig, (job, _) in list(self._jobs.items()):
            job.close()
            for tree in self._trees:
                if twig is not tree.root:
                    tree.drop(twig)
            if twig.parent is not None:
                self._discard(self._trees[0], twig)
        self._jobs.clear()

    # --- the end ---

    def close(self) -> None:
        """Tear down what is alive, and see every process ended."""
        self._ended = lambda: False
        self._deadline = monotonic() + _TEARDOWN_SECONDS
        with suppress(Ended):
            self._drive([self._retire(tree, trunk) for tree in self._trees for trunk in tree.trunks[:1]])
        for tree in self._trees:
            for twig in tree.twigs():
                self._discard(tree, twig)
        self._selector.close()


def _common(one: Tests, other: Tests) -> int:
    """How many tests two sequences have in common at their beginning."""
    size = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        size += 1
    return size
