"""Runs probes in throw-away processes: several at once, each from the closest state that there is."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pytest_procpar.cluster.cluster import Cluster
from pytest_procpar.core.inquiry.contention import is_contended
from pytest_procpar.core.inquiry.probes import Probe, ProbeResult
from pytest_procpar.core.model import TestIndex, WorkerId, WorkerInput
from pytest_procpar.core.protocol.probe import ProbeReady
from pytest_procpar.core.recheck.result import StateChange
from pytest_procpar.core.survey.changers import StateAfter
from pytest_procpar.recheck.probing.checkpoints import (
    CheckpointTree,
    Indices,
    ProbeHandle,
    check_point_cap,
    memory_cap,
)
from pytest_procpar.recheck.probing.conversations import (
    Conversations,
    Ended,
    Job,
    ProbeContext,
    TimeOver,
    hung_grace,
)
from pytest_procpar.recheck.probing.explain import explain, states
from pytest_procpar.recheck.probing.tree_runner import TreeRunner
from pytest_procpar.system.calls import monotonic
from pytest_procpar.system.headroom import fitting, headroom, no_room, resident

__all__ = ["Ended", "Prober"]

#: The first number of a root; the workers of the run have smaller ones.
_FIRST_ROOT = 1_000_000

#: How much memory of its own a process takes that shares the suite with others, in bytes.
_SHARING = 16 << 20

#: How long the teardown of fixtures may take, normally and if the run is to end at once, in seconds.
_TEARDOWN_SECONDS = 10.0
_HURRIED_SECONDS = 2.0

#: How long a killed process may take to be gone, in seconds.
_END_SECONDS = 2.0

#: A lower bound for the time of tests in probes, as a part of their time in the run, where others ran beside
#: them.
_OPTIMISM = 0.6

#: The result of a probe for which there was no time.
_NO_TIME = ProbeResult((), in_time=False)


class Prober:
    """Owns the checkpoint trees: one for each identity, but no more at a time than memory allows.

    Trees are started when they are needed, and again after `end_trees`.

    :param inputs: the ``workerinput`` of each identity.
    :param basetemp: the run's folder for temporary files.
    :param context: what is known about the run, and when to end.
    :param size: how much memory a worker took, in bytes.
    :param kept: a folder for copies of the files that probes change, see `system.kept_files`.
    """

    def __init__(
        self,
        cluster: Cluster,
        inputs: Sequence[WorkerInput],
        basetemp: str | None,
        context: ProbeContext,
        size: int,
        kept: str,
    ) -> None:
        self._cluster = cluster
        self._inputs = inputs
        self._basetemp = basetemp
        self._kept = kept
        self._seconds = context.seconds
        self._limit = context.limit
        self._ended = context.ended
        self._jobs = Conversations(cluster, context, self._lost)
        self._runner = TreeRunner(self._jobs, context.seconds)
        self._trees: list[CheckpointTree] = []
        self._planted = 0
        #: How much memory a process takes that has collected the suite, if that is known, in bytes.
        self.size = size

    def _start_roots(self, most: int | None = None) -> None:
        """Start the roots if there are none: one for each identity, at most `most`, as many as memory allows.

        :raises Ended: if there is not enough memory for one.
        """
        if self._trees:
            return
        room = headroom()
        size = _SHARING if self._cluster.method.collects_once else max(self.size, resident())
        inputs = self._inputs[: fitting(len(self._inputs[:most]), room, size)]
        if not inputs:
            raise Ended(no_room(room, size))
        cap, kept = memory_cap() // len(inputs), check_point_cap(len(inputs))
        for workerinput in inputs:
            name = f"recheck-{workerinput['workerid']}"
            folder = None if self._basetemp is None else os.path.join(self._basetemp, name)
            port = self._cluster.start_root(
                WorkerId(_FIRST_ROOT + self._planted), workerinput, folder, self._kept
            )
            self._planted += 1
            root = ProbeHandle(port, None)
            self._jobs.watch(root)
            self._trees.append(CheckpointTree(root, cap, kept))

    @property
    def pace(self) -> float:
        """How many times longer tests take in probes than in the run, as far as is known; not less than 1."""
        return self._runner.pace

    # --- what callers ask ---

    def prepare(self, deadline: float) -> None:
        """Start the roots, and wait until each is able to fork, or until `deadline` (of `monotonic`).

        :raises Ended: if the run is to end, or there is not enough memory for one root.
        """
        self._jobs.deadline = deadline
        self._start_roots()
        try:
            self._jobs.drive([self._await(tree) for tree in self._trees])
        except TimeOver:
            self._forget_jobs()

    def _await(self, tree: CheckpointTree) -> Job[None]:
        if tree.root.pid is None:
            yield from self._jobs.expect(tree.root, ProbeReady)

    def run(self, probes: Sequence[Probe], deadline: float) -> list[ProbeResult]:
        """Run probes until `deadline` (of `monotonic`); return their results.

        A probe that cannot end by then is not begun: see `ProbeResult.in_time`.

        :raises Ended: if the run is to end.
        """
        self._jobs.deadline = deadline
        self._start_roots()
        outcomes: dict[int, ProbeResult] = {}
        try:
            self._run(probes, outcomes)
        except TimeOver:
            self._forget_jobs()
        except BaseException:
            self._forget_jobs()
            raise
        return [outcomes.get(i, _NO_TIME) for i in range(len(probes))]

    def _run(self, probes: Sequence[Probe], outcomes: dict[int, ProbeResult]) -> None:
        together = [i for i, probe in enumerate(probes) if not probe.beside]
        shares = [
            (tree, [i for i in share if not self._is_hopeless(probes[i], tree)])
            for tree, share in self._deal(together, probes)
        ]
        if len(probes) == 1 and shares and shares[0][1] and self._begins_anew(probes[0]):
            self._jobs.drive(
                [self._runner.free(tree) for tree in self._trees]
            )  # nothing may hold resources then
        self._jobs.drive([self._runner.work(tree, share, probes, outcomes) for tree, share in shares])
        if len(probes) == 1 and not probes[0].beside and self._has_met(probes[0], outcomes.get(0)):
            self._jobs.drive([self._runner.clear(tree) for tree in self._trees])
            self._jobs.drive([self._runner.work(self._trees[0], [0], probes, outcomes)])
        for i, probe in enumerate(probes):
            if probe.beside and not self._is_hopeless(probe, self._trees[0]):
                outcomes[i] = self._run_beside(probe)

    def explain(
        self, cause: Indices, test: TestIndex, deadline: float, *, needed: bool
    ) -> tuple[StateChange, ...]:
        """Find the shared state that `cause` changes, and the parts of it that make `test` depend on it.

        If the cause is `needed`, these parts let the test pass although all else is put back; otherwise they
        let it pass once they are put back.

        :raises Ended: if there was no time to find out.
        """
        self._jobs.deadline = deadline
        self._start_roots(1)
        found: list[StateChange] = []

        def work(tree: CheckpointTree) -> Job[None]:
            yield from self._runner.free(tree)
            handle = yield from self._jobs.fork_child(tree.root)
            if handle is not None:
                found.extend((yield from explain(self._jobs, handle, cause, test, needed=needed)))
                yield from self._runner.end(tree, handle)

        try:
            self._jobs.drive([work(self._trees[0])])
        except BaseException:
            self._forget_jobs()
            raise
        return tuple(found)

    def states(self, order: Indices, deadline: float) -> list[StateAfter]:
        """What differs from the initial state after each test of this order, as far as time allows.

        :raises Ended: if the run is to end.
        """
        self._jobs.deadline = deadline
        self._start_roots()
        found: list[StateAfter] = []

        def work(tree: CheckpointTree) -> Job[None]:
            yield from self._runner.free(tree)
            handle = yield from self._jobs.fork_child(tree.root)
            if handle is not None:
                yield from states(self._jobs, handle, order, found)
                yield from self._runner.end(tree, handle)

        try:
            self._jobs.drive([work(self._trees[0])])
        except TimeOver:
            self._forget_jobs()
        except BaseException:
            self._forget_jobs()
            raise
        return found

    def _deal(self, numbers: list[int], probes: Sequence[Probe]) -> list[tuple[CheckpointTree, list[int]]]:
        """Deal probes out to trees; those that begin alike go to the same tree."""
        shares: list[list[int]] = [[] for _ in self._trees]
        loads = [0.0] * len(self._trees)
        homes: dict[Indices, int] = {}
        for i in sorted(numbers, key=lambda i: (probes[i].tests, probes[i].round)):
            tests = probes[i].tests
            known = [len(tree.closest(tests[:-1]).tests) for tree in self._trees]
            place = max(range(len(known)), key=lambda at: (known[at], -loads[at]))
            if not known[place] and len(tests) > 2:
                place = homes.setdefault(tests[:2], place)
            shares[place].append(i)
            loads[place] += sum(map(self._seconds, tests[known[place] :])) + 0.005
        return [(tree, share) for tree, share in zip(self._trees, shares, strict=True) if share]

    def _is_hopeless(self, probe: Probe, tree: CheckpointTree) -> bool:
        """Whether a probe would take far longer than there is time: then it is not begun."""
        known = len(tree.closest(probe.tests[:-1]).tests)
        rest = probe.tests[known:]
        seconds = _OPTIMISM * sum(map(self._seconds, rest))
        seconds += sum(limit + hung_grace(limit) for limit in map(self._limit, rest) if limit)
        return seconds >= self._jobs.deadline - monotonic()

    def _has_met(self, probe: Probe, outcome: ProbeResult | None) -> bool:
        """Whether a probe may have failed because a process that waits has what it wanted, such as a port."""
        waits = any(len(tree.handles()) > 1 for tree in self._trees)
        return waits and outcome is not None and outcome.of(probe).bad and is_contended(outcome.message)

    def _begins_anew(self, probe: Probe) -> bool:
        """Whether no checkpoint can be used for a probe."""
        return probe.fresh or all(tree.closest(probe.tests[:-1]) is tree.root for tree in self._trees)

    def _run_beside(self, probe: Probe) -> ProbeResult:
        """Run a probe while others run again and again; it has all trees to itself."""
        judged, *rest = self._trees
        if not rest:  # there is memory for one only
            return ProbeResult(())
        outcomes: dict[int, ProbeResult] = {}
        is_needed = True
        sides = list(zip(rest, probe.sides(len(rest)), strict=False))
        begun: dict[CheckpointTree, ProbeHandle | None] = {}

        def begin(tree: CheckpointTree) -> Job[None]:
            yield from self._runner.free(tree)
            begun[tree] = yield from self._jobs.fork_child(tree.root)

        def go_on(tree: CheckpointTree, tests: Indices) -> Job[None]:
            if tree not in begun:
                yield from begin(tree)
            yield from self._runner.repeat(tree, begun[tree], tests, lambda: is_needed)

        def work() -> Job[None]:
            nonlocal is_needed
            try:
                yield from self._runner.work(judged, [0], [Probe(probe.tests)], outcomes)
            finally:
                is_needed = False

        if probe.round % 2 == 0:  # the order of starts may matter: every second round, the sides start first
            self._jobs.drive([begin(tree) for tree, _ in sides])
        self._jobs.drive([*(go_on(*side) for side in sides), work()])
        return outcomes[0]

    def _lost(self, handle: ProbeHandle) -> None:
        """Handle the end of a process that no job waits for: drop it, so that none waits for it later."""
        for tree in self._trees:
            if tree.keeps(handle):
                self._runner.discard(tree, handle)

    def _forget_jobs(self) -> None:
        """Give up all jobs, and end the processes that run them."""
        for handle in self._jobs.abandon():
            for tree in self._trees:
                tree.drop(handle)
            if handle.parent is not None:
                self._jobs.discard(handle)

    # --- the end ---

    def end_trees(self) -> None:
        """Tear down all fixtures and end every process: others may need their resources and memory now."""
        self._jobs.deadline = monotonic() + (_HURRIED_SECONDS if self._ended() else _TEARDOWN_SECONDS)
        try:
            self._jobs.drive([self._runner.retire_all(tree) for tree in self._trees], insist=True)
        except Ended:
            self._forget_jobs()
        for tree in self._trees:
            self.size = max(self.size, tree.root.size)
            tree.root.kill()
            tree.root.await_end(_END_SECONDS)
            for handle in tree.handles():
                self._runner.discard(tree, handle)
        self._trees.clear()

    def close(self) -> None:
        """Tear down all fixtures, and end every process for good."""
        self.end_trees()
        self._jobs.close()
