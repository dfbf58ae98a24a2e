"""How long a re-check may take, and what of that is for what.

Times are in seconds, moments on the caller's clock. All red runs pay for cheap probes. That a test may depend
on others is searched only where these say so.
"""

from __future__ import annotations

from math import ceil

__all__ = ["LEAST_BUDGET", "LEAST_BUDGET_ASKED_FOR", "Spending"]

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
#: Which part of what is left one inquiry may take after which others are to follow.
_FOR_ONE = 0.4
#: Which part of what is left the first orders may take.
_FOR_PASSES = 0.5
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

    def end_of_one(self, now: float) -> float:
        """By when an inquiry is to end that begins now, if others are to follow."""
        return now + _FOR_ONE * max(0.0, self.end_of_search - now)

    def end_of_passes(self, now: float) -> float:
        """By when of that the first orders are to be run that begin now, if it can be done."""
        return now + _FOR_PASSES * max(0.0, self.end_of_search - now)

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

    def needed(self, seconds: float) -> int:
        """The budget that leaves so much time for probes, with something to spare."""
        return ceil((1.0 + 1.25 * seconds) / (1.0 - _RESERVED))
