"""Draws a suite: trivial tests, and among them all that the re-check has names for."""

from __future__ import annotations

import random
from collections.abc import Sequence

from benchmarks.orders.model import HEALTHY, Behaviour, Flags

#: How many tests a file has.
A_FILE = 50
#: Each so many'th trivial test takes a moment in which nobody may watch.
_OCCUPIES = 8

#: From so many tests on there is room for a helping of everything.
_ROOM_FOR_ALL = 100

#: Where a flag can be kept: see `writing`.
_PLACES = ("environ", "attribute", "module")


def suite_of(tests: int, seed: int, *, hidden: bool = False) -> list[Behaviour]:
    """The behaviour of each test. The same seed gives the same suite; the more tests, the more is planted.

    In less than a hundred tests there is only what can be judged without a doubt. What is `hidden` comes on
    top: neither the order of the tests nor its reverse shows it.
    """
    garden = _Garden(tests, random.Random(f"orders-{tests}-{seed}"))
    if tests < _ROOM_FOR_ALL:
        garden.plant_little()
        if hidden:
            garden.plant_hidden()
        return garden.suite
    for _ in range(max(1, round((tests / 500) ** 0.5))):
        garden.start_root()
    if hidden:
        garden.plant_hidden()
    return garden.suite


class _Garden:
    def __init__(self, tests: int, draw: random.Random) -> None:
        self._draw = draw
        self._free = list(range(tests))
        draw.shuffle(self._free)
        self._flags = 0
        occupies = Behaviour(occupies=True)
        self.suite = [HEALTHY if place % _OCCUPIES else occupies for place in range(tests)]

    def start_root(self) -> None:
        """One helping of everything."""
        for _ in range(4):
            self._victims(polluters=1)
        self._victims(polluters=1, victims=4)
        self._victims(polluters=1, alternatives=3)
        for _ in range(2):
            self._victims(polluters=2)
        self._victims(polluters=3)
        for _ in range(2):
            self._victims(polluters=1, victims=2, cleaners=2, alternatives=2)
        for _ in range(2):
            self._victims(polluters=1, crashes=True)
        self._victims(polluters=2, crashes=True)
        for _ in range(2):
            self._brittle(setters=1)
        self._brittle(setters=1, cleaners=1)
        self._brittle(setters=2)
        self._brittle_at_the_end_of_a_chain()
        self._brittle_before_its_setter()
        for _ in range(2):
            own = self._flag()
            self._put([Behaviour(victim_of=own, sets=own)])
        for pattern in ("PF", "PPF", "PPPFF"):
            self._put([Behaviour(pattern=pattern)])
        self._put([Behaviour(chance=0.1)])
        self._put([Behaviour(watches=True), Behaviour(watches=True)])
        self._put([Behaviour(wrong=True), Behaviour(wrong=True), Behaviour(wrong=True, crashes=True)])

    def plant_little(self) -> None:
        """One of each kind, but for what chance or the moment decides."""
        self._victims(polluters=1, victims=2, cleaners=1)
        self._victims(polluters=2, after=False)
        self._victims(polluters=1, crashes=True, after=True)
        self._brittle(setters=1)
        self._brittle_at_the_end_of_a_chain()
        own = self._flag()
        self._put([Behaviour(victim_of=own, sets=own), Behaviour(wrong=True)])
        self._put([Behaviour(wrong=True, crashes=True)])

    def plant_hidden(self) -> None:
        """What is between undoes it, in both directions."""
        for cleaners in (1, 1, 2, 4):
            flag = self._flag()
            self._put_between(
                Behaviour(sets=flag), Behaviour(clears=flag), cleaners, Behaviour(victim_of=flag)
            )
        one, other = self._flag(), self._flag()
        self._put_between(
            Behaviour(sets=one), Behaviour(sets=other, clears=one), 1, Behaviour(victim_of=one | other)
        )
        flag = self._flag()
        self._put_between(Behaviour(sets=flag), Behaviour(clears=flag), 1, Behaviour(needs=flag))
        self._put_between(Behaviour(needs=flag), Behaviour(clears=flag), 1, Behaviour(sets=flag))

    def _put_between(self, first: Behaviour, between: Behaviour, count: int, last: Behaviour) -> None:
        self._put([first, *[between] * count, last], ordered=True)

    def _flag(self) -> Flags:
        self._flags += 1
        return frozenset({f"{self._draw.choice(_PLACES)}:FLAG_{self._flags}"})

    def _put(self, behaviours: Sequence[Behaviour], *, ordered: bool = False) -> None:
        """Give free places to these, in their order if need be."""
        places = [self._free.pop() for _ in behaviours]
        for place, behaviour in zip(sorted(places) if ordered else places, behaviours, strict=True):
            self.suite[place] = behaviour

    def _victims(
        self,
        *,
        polluters: int,
        victims: int = 1,
        alternatives: int = 1,
        cleaners: int = 0,
        crashes: bool = False,
        after: bool | None = None,
    ) -> None:
        """Victims of so many tests together, each of which has alternatives; cleaners are between.

        If nothing is said, three of four come after all that hurts them; the others may need the reverse
        order to show.
        """
        flags = [self._flag() for _ in range(polluters)]
        causes = [Behaviour(sets=flag) for flag in flags for _ in range(alternatives)]
        causes += [Behaviour(clears=flags[0]) for _ in range(cleaners)]
        self._draw.shuffle(causes)
        hurt = [Behaviour(victim_of=frozenset().union(*flags), crashes=crashes)] * victims
        if after is None:
            after = self._draw.random() < 0.75
        self._put([*causes, *hurt] if after else [*hurt, *causes], ordered=True)

    def _brittle(self, *, setters: int, cleaners: int = 0) -> None:
        flags = [self._flag() for _ in range(setters)]
        causes = [Behaviour(sets=flag) for flag in flags]
        causes += [Behaviour(clears=flags[0]) for _ in range(cleaners)]
        self._draw.shuffle(causes)
        self._put([*causes, Behaviour(needs=frozenset().union(*flags))], ordered=True)

    def _brittle_at_the_end_of_a_chain(self) -> None:
        """It needs a test that does its work only after another one."""
        first, second = self._flag(), self._flag()
        chain = [Behaviour(sets=first), Behaviour(sets=second, once=first), Behaviour(needs=second)]
        self._put(chain, ordered=True)

    def _brittle_before_its_setter(self) -> None:
        """Only the reverse order lets it pass."""
        flag = self._flag()
        self._put([Behaviour(needs=flag), Behaviour(sets=flag)], ordered=True)
