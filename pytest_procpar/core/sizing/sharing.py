"""How the runs of a machine share its processors: each run works out its own share, in the same way.

No run hands out anything, and none waits for another. What a run gets follows from the claims that all of
them can read: processors are dealt one by one in rounds, in the order in which the runs came, to those that
want more. That is max-min fairness in whole numbers (D. Bertsekas, R. Gallager, Data Networks, 1992, 6.5.2):
nobody gets less than an equal share unless it wants less, and what one does not want goes to the others.

So a newcomer has its share at once. A run that was there before keeps the workers that it has: what they have
set up may be what others of its tests wait for. It starts no more until its share is greater.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_procpar.core.record import changed
from pytest_procpar.core.sizing.claims import Claim

__all__ = ["LOOK_SECONDS", "HostShare", "share_of"]

#: How often a run looks at the others' claims, at most.
LOOK_SECONDS = 1.0


def share_of(mine: Claim, others: Sequence[Claim], threads: int = 1) -> int:
    """How many workers a run is to have: at least 1, and not more than it wants.

    Runs that can use none of the same processors do not matter to each other. Those that are limited by the
    quota of one control group share that quota.

    :param threads: how many of the processors count as one.
    """
    rivals = [other for other in others if other.processors & mine.processors]
    if not rivals:
        return mine.want
    union = mine.processors
    for other in rivals:
        union |= other.processors
    share = _dealt(max(1, union.bit_count() // threads), mine, rivals)
    if mine.quota:
        share = min(share, _dealt(mine.quota, mine, [one for one in rivals if one.group == mine.group]))
    return share


def _dealt(processors: int, mine: Claim, rivals: Sequence[Claim]) -> int:
    """What a run gets if this many processors are dealt in rounds; each run gets one in any case."""
    earlier = [other.want for other in rivals if other.since < mine.since]
    later = [other.want for other in rivals if other.since >= mine.since]
    share = 1
    while share < mine.want:
        before = sum(min(want, share + 1) for want in earlier) + sum(min(want, share) for want in later)
        if before + share >= processors:
            break
        share += 1
    return share


class HostShare:
    """How many workers a run may have, as other runs come and go: never fewer than before.

    :param mine: the run's claim, with what it wants at first.
    :param others: those of the other runs.
    :param threads: see `share_of`.
    :param follows: whether it depends on the others; otherwise it only counts for them.
    """

    def __init__(
        self, mine: Claim, others: Sequence[Claim], threads: int = 1, *, follows: bool = True
    ) -> None:
        self.claim = mine
        self._threads = threads
        self._follows = follows
        self.workers = share_of(mine, others, threads) if follows else mine.want
        #: How many other runs there were at first.
        self.rivals = len(others)
        self._look_at = 0.0

    def wants_a_look(self, now: float) -> bool:
        """Whether it is time to look at the others' claims, in seconds of any clock."""
        return now >= self._look_at

    def look(self, want: int, others: Sequence[Claim], now: float) -> int:
        """Take note of the claims as they are now; return how many workers the run may have.

        :param want: how many workers it could keep busy.
        """
        self._look_at = now + LOOK_SECONDS
        self.claim = changed(self.claim, want=max(1, want))
        if self._follows:
            self.workers = max(self.workers, share_of(self.claim, others, self._threads))
        return self.workers

    def deadline(self) -> float | None:
        """When to look even if nothing happens; None: not before something happens."""
        is_short = self._follows and self.workers < self.claim.want
        return self._look_at if is_short else None
