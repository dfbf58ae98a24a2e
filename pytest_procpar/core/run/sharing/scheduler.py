"""Deals out tests of which it is known what they share, or how long they take."""

from __future__ import annotations

import heapq

from pytest_procpar.core.model import RunOptions, TestIndex, Took, WorkerId
from pytest_procpar.core.run.batching import Unit
from pytest_procpar.core.run.events import Effect
from pytest_procpar.core.run.ledger import Ledger
from pytest_procpar.core.run.partition import IN_HAND
from pytest_procpar.core.run.scheduler import HORIZON, Scheduler
from pytest_procpar.core.run.sharing.expectations import Expectations
from pytest_procpar.core.run.sharing.shelf import Shelf
from pytest_procpar.core.run.sharing.splitting import COLD, Split, Standing, best_split, seconds_in_order
from pytest_procpar.core.run.worker_state import Phase, WorkerState

__all__ = ["SharingScheduler"]


class SharingScheduler(Scheduler):
    """Gives workers whole modules and classes as long as there are enough, and divides them if that pays.

    While nothing is known, each worker begins with a block of its own. From the first set-up on, what has
    been seen counts: see `Shelf` for who draws what, and `best_split` for what a waiting worker takes.
    """

    __slots__ = ("_asked", "_expected", "_new", "_shelf", "_standing")

    def __init__(
        self,
        expected: Expectations,
        ledger: Ledger,
        options: RunOptions,
        out: list[Effect],
        in_hand: int = IN_HAND,
    ) -> None:
        self._shelf = Shelf(map(TestIndex, range(len(expected.use_of))), expected, options)
        super().__init__(self._shelf, ledger, options, out, in_hand)
        self._expected = expected
        #: What stands in each worker once its running test is set up, and what is set up for that test.
        self._standing: dict[WorkerId, Standing] = {}
        self._new: dict[WorkerId, tuple[int, ...]] = {}
        #: From whom a worker wants tests that have been asked for.
        self._asked: dict[WorkerId, WorkerState] = {}

    # --- what stands in a worker ---

    def leave(self, worker: WorkerState) -> TestIndex | None:
        """Take back the tests of a dead worker, and forget what stood there."""
        self._standing.pop(worker.id, None)
        self._new.pop(worker.id, None)
        self._asked = {
            thief: victim
            for thief, victim in self._asked.items()
            if thief != worker.id and victim is not worker
        }
        return super().leave(worker)

    def _note_begun(self, worker: WorkerState, test: TestIndex) -> None:
        super()._note_begun(worker, test)
        homes, fixtures = self._expected.use(test)
        standing = self._standing.get(worker.id, COLD)
        if homes == standing.homes and standing.fixtures.issuperset(fixtures):
            self._new[worker.id] = ()
            return
        home_of = self._expected.homes
        kept = [fixture for fixture in standing.fixtures if home_of[fixture] in homes]
        self._new[worker.id] = tuple(fixture for fixture in fixtures if fixture not in kept)
        self._standing[worker.id] = Standing(homes, frozenset([*kept, *fixtures]))

    def finished(self, worker: WorkerState, test: TestIndex, now: float, took: Took | None = None) -> None:
        """Learn from a test that has ended; what a set-up has cost may be news to workers that wait."""
        new = self._new.get(worker.id, ())
        if worker.running == test:
            self._learn(worker, test, new, took)
        super().finished(worker, test, now, took)
        if took is not None and new:
            self.feed_hungry(now)

    def _learn(self, worker: WorkerState, test: TestIndex, new: tuple[int, ...], took: Took | None) -> None:
        if took is not None:
            self._expected.learn(test, new, took, first=not worker.finished)
            if took[1] is None and new:
                standing = self._standing[worker.id]
                self._standing[worker.id] = Standing(standing.homes, standing.fixtures.difference(new))
        if not worker.owned:  # it has torn everything down
            self._standing.pop(worker.id, None)

    # --- how long things will take ---

    def _rest_of_test(self, worker: WorkerState, now: float) -> float:
        """How many seconds a worker's running test is expected to need still.

        What takes longer than expected will take as long again (Lindy's law).
        """
        if worker.running is None:
            return 0.0
        new = self._new.get(worker.id, ())
        expected = self._expected.seconds(worker.running) + self._expected.cost_of(new)
        elapsed = now - worker.latest
        return expected - elapsed if elapsed < expected else elapsed

    def _remaining(self, worker: WorkerState, now: float) -> float:
        """How many seconds a worker will need for all that it has."""
        tests = [*worker.current, *(test for unit in (*worker.handed, *worker.units) for test in unit)]
        standing = self._standing.get(worker.id, COLD)
        return self._rest_of_test(worker, now) + seconds_in_order(tests, standing, self._expected)

    # --- tests find their workers ---

    def _next_batch(self, worker: WorkerState, now: float) -> list[Unit]:
        shelf, shares = self._shelf, self._options.workers
        shelf.refresh()
        for home in reversed(self._homes_at_the_end(worker)):
            if mates := shelf.take_of(home):
                return mates
        if not shelf.has_bulk or self._rest_of_test(worker, now) <= max(HORIZON, shelf.grain):
            return shelf.take_batch(shares)
        return shelf.take_in_turn(self._turn(worker, now)) or shelf.take_neighbours(shares)

    def _homes_at_the_end(self, worker: WorkerState) -> tuple[int, ...]:
        """The homes of the last test that a worker has."""
        if worker.units or worker.handed:
            return self._expected.use((worker.units or worker.handed)[-1][-1])[0]
        return self._standing.get(worker.id, COLD).homes

    def _turn(self, worker: WorkerState, now: float) -> int:
        """How many long blocks others take before this worker has run what it has.

        A worker draws as its last test begins, which may be long before that ends. If it then took the
        longest block, that would begin later than it could.
        """
        ends = [
            (self._remaining(other, now), other.id)
            for other in self._workers.values()
            if other.phase in (Phase.STARTING, Phase.ACTIVE)
        ]
        heapq.heapify(ends)
        for turn, seconds in enumerate(self._shelf.bulk):
            end, first = ends[0]
            if first == worker.id:
                return turn
            heapq.heapreplace(ends, (end + seconds, first))
        return len(self._shelf.bulk)

    def _steal_for(self, thief: WorkerState, now: float) -> None:
        """Take units that have not begun from the worker of which that helps most, if it helps."""
        if thief.told is not None and self._rest_of_test(thief, now) > HORIZON:
            return  # it tears down all that stands there, and takes what is left when it is through
        # Who has been told what follows its last test has torn down all by then.
        its_standing = self._standing.get(thief.id, COLD) if thief.told is None else COLD
        kind = thief.running, its_standing, thief.fresh
        if self._is_vain(kind):
            return
        others = [
            worker
            for worker in self._workers.values()
            if worker is not thief and worker.phase is Phase.ACTIVE and not worker.revoking and worker.spare
        ]
        for worker in others:
            if new := self._new.get(worker.id) if worker.running is not None else None:
                self._expected.suspect(new, now - worker.latest)
        its_rest = self._rest_of_test(thief, now)
        victim, best = thief, Split(0, 0.0)
        for worker in others:
            if self._is_bound(worker, thief):
                continue
            if not worker.outlasts(HORIZON, now):
                self._look_at(worker.latest + HORIZON)
                continue
            split = self._split(worker, (its_rest, its_standing), now)
            if not split.units:
                self._look_at(now + max(HORIZON, -split.gain))
            elif split.gain > best.gain:
                victim, best = worker, split
        if best.units:
            if best.units > len(victim.units):
                self._asked[thief.id] = victim
            self._take(victim, best.units, thief)
        else:
            self._note_vain(kind)

    def _tell(self, worker: WorkerState) -> None:
        """Tell a worker without tests what to expect, unless an answer is out that decides it.

        Told that nothing follows for now, it would tear down what it is about to be given tests for.
        """
        victim = self._asked.pop(worker.id, None)
        if victim is None or not victim.revoking or self._stopped:
            super()._tell(worker)
        else:
            self._asked[worker.id] = victim

    def _split(self, victim: WorkerState, thief: tuple[float, Standing], now: float) -> Split:
        """What to take from a worker."""
        handed = list(victim.handed)
        bound = [*victim.current, *(test for unit in handed[: victim.claimed] for test in unit)]
        standing = self._standing.get(victim.id, COLD)
        before = self._rest_of_test(victim, now) + seconds_in_order(bound, standing, self._expected)
        if bound:
            homes, fixtures = self._expected.use(bound[-1])
            home_of = self._expected.homes
            kept = [fixture for fixture in standing.fixtures if home_of[fixture] in homes]
            standing = Standing(homes, frozenset([*kept, *fixtures]))
        units = [*handed[victim.claimed :], *victim.units]
        return best_split(units, (before, standing), thief, self._expected)
