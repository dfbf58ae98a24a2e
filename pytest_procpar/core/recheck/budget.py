"""How long a re-check may take, and what of that is for what.

Times are in seconds, moments on the caller's clock. All red runs pay for cheap probes. That a test may depend
on others is searched only where these say so.
"""

from __future__ import annotations

from math import ceil, log2

__all__ = ["LEAST_BUDGET", "LEAST_BUDGET_ASKED_FOR", "Spending", "of_a_search"]

#: The least time that a re-check may take if nothing else is said.
LEAST_BUDGET = 10.0
#: The same where more than failures is to be looked into: somebody waits for the answer.
LEAST_BUDGET_ASKED_FOR = 60.0

#: What is added to a run whose failures are plain: this part of it, but not less than so much.
_PART, _LEAST = 0.2, 2.0
#: What tests may take that are run though there was no time for each alone: this part of that.
_TRIFLE = 0.25
#: What is kept of that: this part, and where there are plain failures so much as a fresh process takes, but
#: no more than that part.
_AROUND, _MOST_FRESH = 0.1, 0.5
#: By when of that the last probe is to be done that is expected to take long: fresh processes come after it.
_LONG = 0.5
#: What is kept for fresh processes: this part of the whole budget, or so many seconds if that is less; more
#: if there are many findings that need them, so many seconds for each, but no more than that part. A finding
#: takes two processes, of which several run at once: about what it takes to start one, if that is more.
_RESERVED, _LEAST_RESERVED = 0.25, 5.0
_A_FINDING, _MOST_RESERVED = 1.0, 0.5
#: Which part of what is left it may take to look into what has shown, if others are to follow.
_FOR_SHOWN = 0.6
#: Which part of what is left it may take to run every test alone.
_FOR_ALONE = 0.4
#: Which part of what is left the first orders may take; and if they are to be whole.
_FOR_PASSES, _FOR_WHOLE = 0.5, 0.85
#: How many probes a search takes beside those that halve: repetitions, controls, and what makes it minimal.
_CONFIRMING = 12
#: Which part is kept for looking into what other orders have shown.
_FOR_SEARCHES = 0.15


class Spending:
    """The time of one re-check.

    :param budget: what the user allows; None: nothing was said.
    :param seconds: how long the run took.
    :param asked_for: whether more than failures is to be looked into.
    :param fresh: how long a fresh process takes, as far as that can be told before.
    """

    def __init__(self, budget: float | None, seconds: float, *, asked_for: bool, fresh: float = 0.0) -> None:
        self._a_finding = max(_A_FINDING, fresh)
        #: Whether somebody is ready to wait: then all may be tried that there is time for.
        self.patient = budget is not None or asked_for
        self.budget = max(LEAST_BUDGET_ASKED_FOR if asked_for else LEAST_BUDGET, seconds)
        if budget is not None:
            self.budget = budget
        self._cheap = max(_LEAST, _PART * seconds)
        self._fresh = min(fresh, _MOST_FRESH * self._cheap)
        self._began = 0.0
        self._findings = 0
        self._plain = False
        #: When all is to be over.
        self.deadline = 0.0

    def begin(self, now: float) -> None:
        """It begins."""
        self._began, self.deadline = now, now + self.budget

    def ready(self, now: float) -> None:
        """Processes can be forked: what it takes to get there is no matter of what is tried."""
        self._began = now

    def extend(self, seconds: float) -> None:
        """Something else has taken so long, and comes on top."""
        self.deadline += seconds

    def found(self, findings: int, *, plain: bool = False) -> None:
        """There are so many findings by now that have to be seen in a fresh process each.

        :param plain: whether there are others that just fail: those share one.
        """
        self._findings, self._plain = findings, plain

    @property
    def cheap(self) -> float:
        """How long that may take which is done though there is nothing yet to be found, in seconds."""
        return self.budget if self.patient else self._cheap

    @property
    def trifle(self) -> float:
        """How long that may take which is done on the way, in seconds."""
        return _TRIFLE * self.cheap

    @property
    def end_of_search(self) -> float:
        """Until when processes are forked and tried, as far as it is known by now what comes then."""
        least = min(_RESERVED * self.budget, _LEAST_RESERVED)
        return self.deadline - max(least, min(self._a_finding * self._findings, _MOST_RESERVED * self.budget))

    def end_of_hung(self, now: float, seconds: float) -> float:
        """When that is to be over which hung, after so many seconds at the most, and is run once more now.

        That comes on top: what hangs takes its limit, and has most often been the longest part of the run.
        """
        return self.deadline if self.patient else max(self.deadline, now + seconds + LEAST_BUDGET)

    def end_of_shown(self, now: float) -> float:
        """By when that is to be looked into which has shown, if other orders are to follow."""
        return now + _FOR_SHOWN * max(0.0, self.end_of_search - now)

    def end_of_alone(self, now: float) -> float:
        """By when every test is to be run alone, if it can be done."""
        return now + _FOR_ALONE * max(0.0, self.end_of_search - now)

    def end_of_passes(self, now: float, seconds: float) -> float:
        """By when of that the first orders are to be run that begin now, if it can be done.

        :param seconds: how long the longest of them takes. There is more time if all of it can be run: half
            of the tests have a quarter of the pairs.
        """
        left = max(0.0, self.end_of_search - now)
        return now + (
            max(seconds, _FOR_PASSES * left) if seconds <= _FOR_WHOLE * left else _FOR_PASSES * left
        )

    @property
    def end_of_orders(self) -> float:
        """By when of that orders are to be run that show what is to be searched then."""
        return self.end_of_search - _FOR_SEARCHES * self.budget

    @property
    def end_of_cheap(self) -> float:
        """Until when that is begun which is done though there is nothing yet to be found."""
        least = _AROUND * self._cheap
        return self._within(self._cheap - (max(least, self._fresh) if self._plain else least))

    @property
    def end_of_long(self) -> float:
        """By when of that probes are to be done that are expected to take long."""
        return self._within(_LONG * self._cheap)

    def _within(self, seconds: float) -> float:
        return self.end_of_search if self.patient else min(self.end_of_search, self._began + seconds)

    def needed(self, seconds: float, *, more: bool = False) -> int:
        """The budget that leaves so much time for probes, with something to spare.

        :param more: whether other orders are to follow, which have their part of it.
        """
        wanted = (1.0 + 1.25 * seconds) / (_FOR_SHOWN if more else 1.0)
        least = min(wanted / (1.0 - _RESERVED), wanted + _LEAST_RESERVED)
        found = min(wanted / (1.0 - _MOST_RESERVED), wanted + self._a_finding * self._findings)
        return ceil(max(least, found))


def of_a_search(tests: int, longest: float) -> float:
    """How long it may take to find what a test depends on, of so many tests, in seconds.

    Each probe begins at a check-point. So it takes about two tests: one between two check-points, and the one
    that is judged.

    :param longest: how long the longest of the tests takes.
    """
    return 2 * longest * (_CONFIRMING + ceil(log2(max(1, tests))))
