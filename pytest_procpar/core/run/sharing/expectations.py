"""How long tests and the set-ups of wide fixtures are expected to take: what is known, and what is seen.

All times are in seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from pytest_procpar.core.model import TestIndex, Took
from pytest_procpar.core.run.sharing.wide_fixtures import Use, WideFixtures

__all__ = ["Expectations", "Mean"]

#: What a test is expected to take while nothing is known of any, and at least, whatever others have taken.
_NOMINAL = 0.02
_LEAST = 0.001


class Mean:
    """The mean of what was noted."""

    __slots__ = ("count", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0

    def note(self, value: float) -> None:
        """Take one more value into account."""
        self.count += 1
        self.total += value

    def or_else(self, default: float) -> float:
        """The mean, or `default` if nothing was noted."""
        return self.total / self.count if self.count else default


class Expectations:
    """What is expected of each test and of each wide fixture; it changes with every test that ends.

    A test without a known duration is expected to take what others of its home have taken in this run; a
    fixture that has not been set up is expected to cost what fixtures of the same name have cost.

    :param durations: how long each test takes without its wide fixtures, None where that is not known.
    :param costs: what setting up a wide fixture costs, by its label.
    """

    __slots__ = (
        "_costs", "_durations", "_first_costs", "_given", "_name_of", "_names_in", "_of_all", "_of_home",
        "_own_costs", "_own_first_costs", "_set_ups", "_set_ups_with", "_suspected", "ended", "homes",
        "use_of", "uses",
    )  # fmt: skip

    def __init__(
        self,
        wide: WideFixtures,
        durations: Sequence[float | None] | None = None,
        costs: Mapping[str, float] | None = None,
    ) -> None:
        self.use_of = wide.use_of
        self.uses = wide.uses
        self.homes = wide.homes
        self._durations = durations
        names = {name: place for place, name in enumerate(dict.fromkeys(wide.names))}
        self._name_of = [names[name] for name in wide.names]
        #: The names of the fixtures that each use needs, once each.
        self._names_in = [tuple({self._name_of[f] for f in fixtures}) for _, fixtures in wide.uses]
        #: How long tests have taken, by their innermost home (-1: none), and all of them.
        self._of_home: dict[int, Mean] = {}
        self._of_all = Mean()
        #: The durations that are known from elsewhere.
        self._given = Mean()
        #: How long the set-ups of tests took for which a fixture was set up, by fixture and by its name.
        #: Those of each worker's first test are kept apart: they may have set up what the session shares.
        self._own_costs = [Mean() for _ in wide.names]
        self._costs = [Mean() for _ in names]
        self._own_first_costs = [Mean() for _ in wide.names]
        self._first_costs = [Mean() for _ in names]
        #: How long set-ups took that found all in place, by the names of the fixtures that they use, and all.
        self._set_ups_with = [Mean() for _ in names]
        self._set_ups = Mean()
        #: What fixtures cost at least of which nothing is known but that they are being set up.
        self._suspected: dict[int, float] = {}
        #: How many tests have ended.
        self.ended = 0
        for fixture, label in enumerate(wide.labels):
            if costs is not None and label in costs:
                self._note_cost(fixture, costs[label], first=False)
        for duration in durations or ():
            if duration is not None:
                self._given.note(duration)

    # --- what is expected ---

    @property
    def know_tests(self) -> bool:
        """Whether durations of single tests are known."""
        return self._durations is not None

    @property
    def know_something(self) -> bool:
        """Whether expectations have a ground."""
        return self._of_all.count + self._given.count > 0 or any(mean.count for mean in self._costs)

    def use(self, test: TestIndex) -> Use:
        """The homes that a test is in, and the fixtures that it needs."""
        return self.uses[self.use_of[test]]

    def seconds(self, test: TestIndex) -> float:
        """How long a test will take where its wide fixtures are set up."""
        if self._durations is not None:
            duration = self._durations[test]
            if duration is not None:
                return duration
        homes = self.uses[self.use_of[test]][0]
        of_home = self._of_home.get(homes[-1] if homes else -1)
        mean = of_home or (self._given if self._given.count else self._of_all)
        return max(_LEAST, mean.or_else(_NOMINAL))

    def seconds_of(self, tests: Collection[TestIndex]) -> float:
        """How long tests of one home will take together, without their wide fixtures."""
        if self._durations is not None:
            return sum(map(self.seconds, tests))
        return len(tests) * self.seconds(next(iter(tests))) if tests else 0.0

    def knows_cost(self, fixture: int) -> bool:
        """Whether this fixture, or one of the same name, has been set up."""
        name = self._name_of[fixture]
        return self._costs[name].count + self._first_costs[name].count > 0

    def cost(self, fixture: int) -> float:
        """What it costs to set up a fixture; 0 if nothing is known."""
        name = self._name_of[fixture]
        for mean in (
            self._own_costs[fixture],
            self._costs[name],
            self._own_first_costs[fixture],
            self._first_costs[name],
        ):
            if mean.count:
                break
        else:
            return self._suspected.get(fixture, 0.0)
        usual = self._set_ups_with[name].or_else(self._set_ups.or_else(0.0))
        return max(0.0, mean.total / mean.count - usual)

    def cost_of(self, fixtures: Iterable[int]) -> float:
        """What it costs to set up some fixtures."""
        return sum(map(self.cost, fixtures))

    # --- what is seen ---

    def suspect(self, fixtures: Collection[int], elapsed: float) -> None:
        """Note that a test that needs these fixtures set up has been running for so long.

        What has lasted for a while is expected to last as long again (Lindy's law): the set-ups of unknown
        cost are expected to take twice the time, all together.
        """
        unknown = [fixture for fixture in fixtures if not self.knows_cost(fixture)]
        for fixture in unknown:
            self._suspected[fixture] = 2 * elapsed / len(unknown)

    def learn(self, test: TestIndex, new: Sequence[int], took: Took, *, first: bool) -> None:
        """Note how long a test took.

        :param new: the wide fixtures that were set up for it.
        :param first: whether it was its worker's first test.
        """
        seconds, set_up = took
        self.ended += 1
        if set_up is None:
            return
        set_up = min(max(0.0, set_up), seconds)
        if new:
            seconds -= self._learn_costs(new, set_up, first)
        else:
            self._set_ups.note(set_up)
            for name in self._names_in[self.use_of[test]]:
                self._set_ups_with[name].note(set_up)
        homes = self.uses[self.use_of[test]][0]
        home = homes[-1] if homes else -1
        of_home = self._of_home.get(home)
        if of_home is None:
            of_home = self._of_home[home] = Mean()
        of_home.note(seconds)
        self._of_all.note(seconds)

    def _learn_costs(self, new: Sequence[int], set_up: float, first: bool) -> float:
        """Attribute a set-up to the fixtures that it set up; return the part that is not the test's own.

        Where there are several, those that are known keep what they are known for, and the others share the
        rest.
        """
        usual = min(self._set_ups.or_else(0.0), set_up)
        unknown = [fixture for fixture in new if not self.knows_cost(fixture)]
        known = [fixture for fixture in new if fixture not in unknown]
        costs = [self.cost(fixture) for fixture in known]
        excess = set_up - usual
        if unknown:
            share = max(0.0, excess - sum(costs)) / len(unknown)
            for fixture in unknown:
                self._note_cost(fixture, share + usual, first)
        else:
            whole = sum(costs)
            for fixture, cost in zip(known, costs, strict=True):
                part = cost / whole if whole else 1 / len(known)
                self._note_cost(fixture, excess * part + usual, first)
        return excess

    def _note_cost(self, fixture: int, set_up: float, first: bool) -> None:
        own, by_name = (self._own_first_costs, self._first_costs) if first else (self._own_costs, self._costs)
        own[fixture].note(set_up)
        by_name[self._name_of[fixture]].note(set_up)
