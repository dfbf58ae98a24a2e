"""The tests that no worker has, in blocks: those of a module or class that share fixtures lie together."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby

from pytest_procpar.core.model import Dist, RunOptions, TestIndex
from pytest_procpar.core.run.batching import Backlog, Unit
from pytest_procpar.core.run.sharing.expectations import Expectations

__all__ = ["Block", "Shelf"]

#: What set-ups may cost for a block to be dealt as if nothing were shared: so many seconds, or this share of
#: the time that its tests take.
CHEAP_SECONDS = 0.005
CHEAP_SHARE = 0.02

#: What lasts for this share of what each worker has left to do is dealt before what is shorter.
GRAIN = 0.02

#: What sums of seconds may differ by and be equal.
_ROUNDING = 1e-9


class Block:
    """Neighbours of one home (-1: of none), which is `depth` homes below the outermost; or a long test."""

    __slots__ = ("depth", "fixtures", "home", "is_bulky", "long", "seconds", "tests")

    def __init__(self, home: int, depth: int, tests: Iterable[TestIndex], long: bool = False) -> None:
        self.home = home
        self.depth = depth
        self.tests = deque(tests)
        #: Whether it is a single test that is dealt early since it is long.
        self.long = long
        #: Whether it is dealt before those that are not.
        self.is_bulky = False
        #: The fixtures that its tests need.
        self.fixtures: frozenset[int] = frozenset()
        #: What it is expected to take, set-ups included.
        self.seconds = 0.0

    @property
    def first(self) -> TestIndex:
        """The first of its tests in the collected order."""
        return self.tests[0]


class Shelf(Backlog):
    """Deals whole blocks, the longest first, as long as there are as many as workers that want some.

    A block of which it is not known what its fixtures cost, or that they cost much, is not divided here (a
    waiting worker may take a part of it later, see `best_split`). Tests that share nothing dear are dealt in
    batches that become smaller, like those of `Backlog`, measured in seconds once something is known.
    """

    __slots__ = ("_bulky", "_divided", "_expected", "_is_weighed", "_next_look", "_rest", "_seconds")

    def __init__(self, tests: Iterable[TestIndex], expected: Expectations, options: RunOptions) -> None:
        tests = list(tests)
        super().__init__([(test,) for test in tests], options)
        self._expected = expected
        #: What is dealt in the collected order.
        self._rest: deque[Block] = deque(self._blocks(tests, 0))
        #: What is dealt first, the longest last.
        self._bulky: list[Block] = []
        #: The homes of which a part has been taken, or has come back.
        self._divided: set[int] = set()
        #: What all of it is expected to take.
        self._seconds = 0.0
        self._is_weighed = False
        #: How many tests have to end until expectations are looked at again.
        self._next_look = 1
        self._look()

    # --- what comes and goes ---

    def put_back(self, units: Sequence[Unit]) -> None:
        """Return tests; they are dealt next."""
        tests = [test for unit in units for test in unit]
        self._size += len(tests)
        blocks = self._blocks(tests, 0)
        if self._is_weighed:
            blocks = [part for block in blocks for part in self._refined(block)]
            self._seconds += sum(block.seconds for block in blocks)
        self._divided.update(block.home for block in blocks)
        self._rest.extendleft(reversed(blocks))

    def take_all(self) -> list[Unit]:
        """Take everything, in the collected order."""
        tests = sorted(test for block in (*self._rest, *self._bulky) for test in block.tests)
        self._rest.clear()
        self._bulky.clear()
        self._size = 0
        return [(test,) for test in tests]

    def first_batch(self, waiting: int, workers: int) -> list[Unit]:
        """The first batch for one of `workers`, while `waiting` of them, this one included, have none yet.

        If there are fewer blocks than that, the larger ones are divided, each evenly.
        """
        parts = 1 if self._bulky else self._parts(waiting)
        if parts > 1:
            block = self._rest[0]
            return self._cut(block, max(1, len(block.tests) // parts))  # the shares that `Backlog` deals
        is_even = self._few or self._options.dist is Dist.WORKSTEAL
        return self.take_batch(waiting if is_even else workers)

    def take_batch(self, shares: int) -> list[Unit]:
        """The next batch for one of `shares` workers: a long block, or neighbours."""
        return self.take_in_turn(0) or self.take_neighbours(shares)

    def take_neighbours(self, shares: int) -> list[Unit]:
        """The next tests in the collected order: whole blocks, or parts of those that may be divided."""
        parts = shares if self._few or self._options.dist is Dist.WORKSTEAL else 2 * shares
        if self._is_weighed:
            left = self._seconds / parts
        else:  # as many tests as `Backlog` deals
            left = -(-self._size // parts) if self._options.dist is Dist.WORKSTEAL else self._size // parts
        taken: list[Unit] = []
        while self._rest:
            block = self._rest[0]
            each = block.seconds / len(block.tests) if self._is_weighed else 1.0
            if self._is_unknown(block):
                return self._limited(taken or self._whole(block))
            if self._is_whole(block):
                if taken and each * len(block.tests) > left:
                    break
                count = len(block.tests)
            else:
                count = self._fitting(block, left, each)
                if taken and not count:
                    break
                count = max(1, count)
            left -= each * count
            taken += self._cut(block, count)
            if left <= 0:
                break
        return self._limited(taken)

    def take_of(self, home: int) -> list[Unit]:
        """What is left of a home whose tests should not be scattered; empty if there is nothing."""
        for block in (*self._bulky, *self._rest) if home in self._divided else ():
            if block.home == home and self._is_whole(block):
                if block.is_bulky:
                    self._bulky.remove(block)
                return self._limited(self._whole(block))
        return []

    def take_in_turn(self, turn: int) -> list[Unit]:
        """The block that is the longest but `turn`; empty if there are not so many."""
        if turn >= len(self._bulky):
            return []
        return self._limited(self._whole(self._bulky.pop(-1 - turn)))

    # --- what is on it ---

    @property
    def has_bulk(self) -> bool:
        """Whether there are blocks that are dealt first."""
        return bool(self._bulky)

    @property
    def bulk(self) -> list[float]:
        """How many seconds each of the blocks is expected to take that are dealt first, the longest first."""
        return [block.seconds for block in reversed(self._bulky)]

    @property
    def grain(self) -> float:
        """How many seconds are short here."""
        return GRAIN * self._seconds / self._options.workers

    def refresh(self) -> None:
        """Look at all blocks again if much more is known than when that was done."""
        if self._expected.ended >= self._next_look:
            self._next_look = 2 * self._expected.ended
            self._look()

    def _look(self) -> None:
        """Find out which blocks are dealt first, and which may be divided."""
        if not self._expected.know_something or not self._size:
            return
        self._is_weighed = True
        blocks = sorted([*self._rest, *self._bulky], key=lambda block: block.first)
        blocks = [part for block in blocks for part in self._refined(block)]
        self._seconds = sum(block.seconds for block in blocks)
        grain = self.grain
        if self._expected.know_tests and self._options.workers > 1:
            blocks = [part for block in blocks for part in self._without_long(block, grain)]
        for block in blocks:
            bulky = block.long or (block.seconds >= grain and self._is_whole(block))
            block.is_bulky = bulky and self._options.workers > 1
        self._rest = deque(block for block in blocks if not block.is_bulky)
        self._bulky = [block for block in blocks if block.is_bulky]
        self._bulky.sort(key=lambda block: (-block.seconds, block.first))
        self._bulky.reverse()

    def _refined(self, block: Block) -> Iterable[Block]:
        """A block, with its time as it is expected now; its parts, if what it shares as a whole is cheap."""
        if block.long:
            return (block,)
        if block.home < 0 or self._is_whole(block):
            self._weigh(block)
            return (block,)
        return [part for inner in self._blocks(block.tests, block.depth + 1) for part in self._refined(inner)]

    def _without_long(self, block: Block, grain: float) -> list[Block]:
        """A block, and the tests apart that last for long, if they may leave it."""
        if block.long or block.home >= 0:
            return [block]
        seconds = self._expected.seconds
        long = [test for test in block.tests if seconds(test) >= grain]
        if not long:
            return [block]
        apart = [Block(-1, 0, (test,), long=True) for test in long]
        for one in apart:
            self._weigh(one)
        rest = Block(block.home, block.depth, (test for test in block.tests if seconds(test) < grain))
        if rest.tests:
            self._weigh(rest)
            apart.append(rest)
        return apart

    def _blocks(self, tests: Iterable[TestIndex], depth: int) -> list[Block]:
        use = self._expected.use

        def home(test: TestIndex) -> int:
            homes = use(test)[0]
            return homes[depth] if len(homes) > depth else -1

        blocks = [Block(of, depth, group) for of, group in groupby(tests, home)]
        for block in blocks:
            self._weigh(block)
        return blocks

    def _weigh(self, block: Block) -> None:
        use = self._expected.use
        if not block.fixtures:
            block.fixtures = frozenset(f for test in block.tests for f in use(test)[1])
        block.seconds = self._expected.seconds_of(block.tests) + self._expected.cost_of(block.fixtures)

    def _is_whole(self, block: Block) -> bool:
        """Whether it would cost much, as far as is known, to have two workers run a block."""
        if self._is_unknown(block):
            return True
        cost = self._expected.cost_of(self._own(block))
        return cost > CHEAP_SECONDS and cost > CHEAP_SHARE * (block.seconds - cost)

    def _is_unknown(self, block: Block) -> bool:
        """Whether it is not known what the fixtures cost that a block shares as a whole."""
        return not all(map(self._expected.knows_cost, self._own(block)))

    def _own(self, block: Block) -> list[int]:
        """The fixtures that belong to a block's home."""
        homes = self._expected.homes
        return [fixture for fixture in block.fixtures if homes[fixture] == block.home]

    def _parts(self, waiting: int) -> int:
        """In how many parts to divide the first block, so that each of so many workers gets something."""
        supply = sum(1 if self._is_whole(block) else len(block.tests) for block in self._rest)
        if supply >= waiting or not supply:
            return 1
        counts = [1] * len(self._rest)
        sizes = [len(block.tests) for block in self._rest]
        for _ in range(waiting - len(counts)):  # the highest averages (D'Hondt): as even as can be
            counts[max(range(len(sizes)), key=lambda place: (sizes[place] / counts[place], -place))] += 1
        return counts[0]

    # --- taking ---

    def _fitting(self, block: Block, left: float, each: float) -> int:
        """How many of a block's first tests go into a batch in which so much is left."""
        if not self._expected.know_tests:
            fitting = left / each + _ROUNDING if each > 0 else math.inf
            return int(min(len(block.tests), fitting))
        count = 0
        for test in block.tests:
            left -= self._expected.seconds(test)
            if left < -_ROUNDING:
                break
            count += 1
        return count

    def _whole(self, block: Block) -> list[Unit]:
        return self._cut(block, len(block.tests))

    def _cut(self, block: Block, count: int) -> list[Unit]:
        """Take the first tests of a block."""
        part = block.seconds * count / len(block.tests)
        taken: list[Unit] = [(block.tests.popleft(),) for _ in range(count)]
        block.seconds -= part
        self._seconds -= part
        self._size -= count
        if block.tests:
            self._divided.add(block.home)
        elif self._rest:
            if self._rest[0] is block:
                self._rest.popleft()
            elif not block.is_bulky:
                self._rest.remove(block)
        return taken

    def _limited(self, taken: list[Unit]) -> list[Unit]:
        """What a batch may hold under ``--maxschedchunk``; the rest goes back."""
        limit = self._options.max_chunk
        if limit is None or self._options.dist is Dist.WORKSTEAL or len(taken) <= limit:
            return taken
        self.put_back(taken[limit:])
        return taken[:limit]
