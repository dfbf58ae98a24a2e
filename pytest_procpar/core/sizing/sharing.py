"""How the runs of a machine share its processors: each run works out its own share, in the same way.

No run hands out anything, and none waits for another. What a run gets follows from the claims that all of
them can read: processors are dealt one by one in rounds, in the order in which the runs came, to those that
want more. That is max-min fairness in whole numbers (D. Bertsekas, R. Gallager, Data Networks, 1992, 6.5.2):
nobody gets less than an equal share unless it wants less, and what one does not want goes to the others.

So a newcomer has its share at once, and those that were there before give way as their tests end.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_procpar.core.record import changed
from pytest_procpar.core.sizing.claims import Claim

__all__ = ["LOOK_SECONDS", "SETTLED_SECONDS", "HostShare", "is_stalled", "share_of"]

#: A run gives way to others only when they have lasted for this long: what a commit hook runs is over by
#: then, and tests that others take over need their fixtures set up again.
SETTLED_SECONDS = 2.0
#: How often a run looks at the others' claims, at most.
LOOK_SECONDS = 1.0
#: A run stands still if no test has ended for so many seconds, and so many times what its longest one took.
_STALLED_SECONDS, _STALLED_TIMES = 5.0, 3


def is_stalled(silent: float, longest: float) -> bool:
    """Whether the workers that run tests most likely wait for what one that rests has.

    A worker that rests keeps what its session has set up: a lock of a file, for instance.

    :param silent: how many seconds ago a test has ended.
    :param longest: how many seconds the longest test has taken so far.
    """
    return silent >= max(_STALLED_SECONDS, _STALLED_TIMES * longest)


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
    """How many workers a run has, as other runs come and go.

    :param mine: the run's claim, with what it wants at first.
    :param others: those of the other runs.
    :param threads: see `share_of`.
    :param gives_way: whether it follows the others; otherwise it only counts for them.
    """

    def __init__(
        self, mine: Claim, others: Sequence[Claim], threads: int = 1, *, gives_way: bool = True
    ) -> None:
        self.claim = mine
        self._threads = threads
        self._gives_way = gives_way
        self.workers = share_of(mine, others, threads) if gives_way else mine.want
        #: How many workers it has had at most: those that rest are among them.
        self._had = self.workers
        #: How many workers it needs for tests to end at all, as far as that is known.
        self._needed = 1
        #: How many other runs there were at first.
        self.rivals = len(others)
        self._look_at = 0.0

    def wants_a_look(self, now: float) -> bool:
        """Whether it is time to look at the others' claims, in seconds of any clock."""
        return now >= self._look_at

    def look(
        self, want: int, others: Sequence[Claim], now: float, host_now: int, *, stalled: bool = False
    ) -> int:
        """Take note of the claims as they are now; return how many workers the run is to have.

        :param want: how many workers it could keep busy.
        :param host_now: the time of the claims' clock.
        :param stalled: whether no test ends. If workers rest, one of them goes on then, and from then on the
            run does not make do with fewer.
        """
        self._look_at = now + LOOK_SECONDS
        self.claim = changed(self.claim, want=max(1, want))
        if not self._gives_way:
            return self.workers
        settled = [
            other
            for other in others
            if other.since < self.claim.since or host_now - other.since >= SETTLED_SECONDS * 1e9
        ]
        least, most = (share_of(self.claim, some, self._threads) for some in (others, settled))
        if stalled and self.workers < self._had:
            self._needed = self.workers + 1
        self.workers = max(min(max(self.workers, least), most), min(self._needed, self.claim.want))
        self._had = max(self._had, self.workers)
        return self.workers

    def deadline(self) -> float | None:
        """When to look even if nothing happens; None: not before something happens."""
        is_short = self._gives_way and self.workers < self.claim.want
        return self._look_at if is_short else None
