"""How long a re-check may take, and how that time is divided.

Durations are in seconds; moments are on the caller's clock. Every red run pays for cheap probes. A search for
tests that another test depends on begins only where these probes suggest one.
"""

from __future__ import annotations

from math import ceil, log2

__all__ = ["LEAST_BUDGET", "LEAST_BUDGET_ASKED_FOR", "Spending", "of_a_search"]

#: The least time that a re-check may take if the user sets no budget.
LEAST_BUDGET = 10.0
#: The same if the re-check is to look into more than failures: then somebody waits for the answer.
LEAST_BUDGET_ASKED_FOR = 60.0

#: What the re-check adds to a run whose failures are plain: this part of the run's time, but at least this
#: much.
_PART, _LEAST = 0.2, 2.0
#: What may be spent on tests that run although there was no time for each alone: this part of that addition.
_TRIFLE = 0.25
#: What is kept back from that addition: this part of it, for beginning and ending. Where there are plain
#: failures, as much as a fresh process takes, too, but no more than that part of it in all.
_AROUND, _MOST_KEPT = 0.2, 0.5
#: The part of that addition after which no probe that is expected to take long may end: fresh processes
#: follow.
_LONG = 0.5
#: What is kept for fresh processes: this part of the whole budget, or that many seconds if that is less. If
#: many findings need them, more is kept: this many seconds for each finding, but at most that part of the
#: budget. A finding takes two processes, several of which run at once: about the time that it takes to start
#: one, if that is more.
_RESERVED, _LEAST_RESERVED = 0.25, 5.0
_A_FINDING, _MOST_RESERVED = 1.0, 0.5
#: A finding takes this many times as long if a patch is tried for it, too: in fresh processes, one after the
#: other.
_EXPLAINED = 3.0
#: The part of the remaining time for looking into what has shown, if other orders are to follow.
_FOR_SHOWN = 0.6
#: The part of the remaining time for running every test alone.
_FOR_ALONE = 0.4
#: The part of the remaining time for the first orders; and the most that it may be so that they run whole.
_FOR_PASSES, _FOR_WHOLE = 0.5, 0.85
#: How many probes a search takes in addition to those that halve: repetitions, controls, and making it
#: minimal.
_CONFIRMING = 12
#: The part of the budget that is kept for looking into what other orders have shown.
_FOR_SEARCHES = 0.15


class Spending:
    """The time of one re-check.

    :param budget: what the user allows; None: the user has not said.
    :param seconds: how long the run took.
    :param asked_for: whether the re-check is to look into more than failures.
    :param fresh: how long a fresh process takes, as far as can be estimated beforehand.
    :param explained: whether it is to be found out of each finding what would help, too.
    """

    def __init__(
        self,
        budget: float | None,
        seconds: float,
        *,
        asked_for: bool,
        fresh: float = 0.0,
        explained: bool = False,
    ) -> None:
        self._a_finding = max(_A_FINDING, fresh) * (_EXPLAINED if explained else 1.0)
        #: Whether somebody is willing to wait: then everything is tried for which there is time.
        self.patient = budget is not None or asked_for
        self.budget = max(LEAST_BUDGET_ASKED_FOR if asked_for else LEAST_BUDGET, seconds)
        if budget is not None:
            self.budget = budget
        self._cheap = max(_LEAST, _PART * seconds)
        self._fresh = fresh
        self._began = 0.0
        self._findings = 0
        self._plain = False
        #: When everything must be over.
        self.deadline = 0.0

    def begin(self, now: float) -> None:
        """The re-check begins."""
        self._began, self.deadline = now, now + self.budget

    def ready(self, now: float) -> None:
        """Processes can be forked; the time that it took to get there does not count."""
        self._began = now

    def extend(self, seconds: float) -> None:
        """Something else has taken this long; that time does not count."""
        self.deadline += seconds

    def found(self, findings: int, *, plain: bool = False) -> None:
        """Note how many findings must each be seen in a fresh process.

        :param plain: whether there are plain failures as well: those share one process.
        """
        self._findings, self._plain = findings, plain

    @property
    def cheap(self) -> float:
        """How long cheap probes may take, before there is anything to search for, in seconds."""
        return self.budget if self.patient else self._cheap

    @property
    def trifle(self) -> float:
        """How long may be spent on things done in passing, in seconds."""
        return _TRIFLE * self.cheap

    @property
    def end_of_search(self) -> float:
        """Until when processes may be forked and tried, given what is known of the work that follows."""
        least = min(_RESERVED * self.budget, _LEAST_RESERVED)
        return self.deadline - max(least, min(self._a_finding * self._findings, _MOST_RESERVED * self.budget))

    def end_of_hung(self, now: float, seconds: float) -> float:
        """When the second run of something that hung must be over, if it begins now and takes `seconds`.

        That comes on top of the budget: what hangs uses up its time limit, and was most often the longest
        part of the run.
        """
        return self.deadline if self.patient else max(self.deadline, now + seconds + LEAST_BUDGET)

    def end_of_shown(self, now: float) -> float:
        """Until when to look into what has shown, if other orders are to follow."""
        return now + _FOR_SHOWN * max(0.0, self.end_of_search - now)

    def end_of_alone(self, now: float) -> float:
        """By when every test should have run alone, if possible."""
        return now + _FOR_ALONE * max(0.0, self.end_of_search - now)

    def end_of_passes(self, now: float, seconds: float) -> float:
        """By when the first orders, which begin now, should have run, if possible.

        :param seconds: how long the longest of them takes. If all of it can be run, there is more time: half
            of the tests have only a quarter of the pairs.
        """
        left = max(0.0, self.end_of_search - now)
        return now + (
            max(seconds, _FOR_PASSES * left) if seconds <= _FOR_WHOLE * left else _FOR_PASSES * left
        )

    @property
    def end_of_orders(self) -> float:
        """By when orders must have run, if their results are to be searched afterwards."""
        return self.end_of_search - _FOR_SEARCHES * self.budget

    @property
    def end_of_cheap(self) -> float:
        """Until when cheap probes may begin, while there is nothing to search for."""
        kept = _AROUND * self._cheap + (self._fresh if self._plain else 0.0)
        return self._within(self._cheap - min(kept, _MOST_KEPT * self._cheap))

    @property
    def end_of_long(self) -> float:
        """By when probes that are expected to take long must be done."""
        return self._within(_LONG * self._cheap)

    def _within(self, seconds: float) -> float:
        return self.end_of_search if self.patient else min(self.end_of_search, self._began + seconds)

    def needed(self, seconds: float, *, more: bool = False) -> int:
        """The budget, in whole seconds, that leaves `seconds` for probes, with something to spare.

        :param more: whether other orders are to follow, which take their part of it.
        """
        wanted = (1.0 + 1.25 * seconds) / (_FOR_SHOWN if more else 1.0)
        least = min(wanted / (1.0 - _RESERVED), wanted + _LEAST_RESERVED)
        found = min(wanted / (1.0 - _MOST_RESERVED), wanted + self._a_finding * self._findings)
        return ceil(max(least, found))


def of_a_search(tests: int, longest: float) -> float:
    """How long a search for what a test depends on may take, among `tests` tests, in seconds.

    Each probe begins at a checkpoint. So it takes about two tests: one between two checkpoints, and the
    judged one.

    :param longest: how long the longest of the tests takes, in seconds.
    """
    return 2 * longest * (_CONFIRMING + ceil(log2(max(1, tests))))
