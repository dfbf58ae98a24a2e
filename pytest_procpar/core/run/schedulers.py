"""Which scheduler deals out a suite's tests."""

from __future__ import annotations

from pytest_procpar.core.model import Dist, RunOptions, TestIndex
from pytest_procpar.core.run.batching import Backlog, group_tests, split_into_partitions
from pytest_procpar.core.run.events import Effect, SuiteCollected
from pytest_procpar.core.run.ledger import Ledger, ScatteredLedger
from pytest_procpar.core.run.scheduler import Scheduler

__all__ = ["make_schedulers"]


def make_schedulers(
    suite: SuiteCollected, options: RunOptions, out: list[Effect], in_hand: int
) -> list[Scheduler]:
    """A scheduler for each of a suite's partitions.

    Single tests are dealt by what is known of them, if anything is; groups, copies and pinned tests are not.
    """
    known = suite.known
    free = options.dist in (Dist.LOAD, Dist.WORKSTEAL) and not options.pinned
    if known is not None and (known.wide or known.durations) and suite.count and free:
        # Most runs of trivial tests need none of this.
        from pytest_procpar.core.run.sharing.expectations import Expectations
        from pytest_procpar.core.run.sharing.scheduler import SharingScheduler
        from pytest_procpar.core.run.sharing.wide_fixtures import WideFixtures

        wide = known.wide or WideFixtures.none(suite.count)
        expected = Expectations(wide, known.durations, known.costs)
        return [SharingScheduler(expected, Ledger(suite.count), options, out, in_hand)]
    durations = None if known is None else known.durations
    schedulers = []
    for tests in split_into_partitions(suite.count, suite.keys, options):
        units = group_tests(len(tests), suite.keys, options, durations)
        own = (tuple(TestIndex(tests[i]) for i in unit) for unit in units)
        if isinstance(tests, range):
            ledger = Ledger(len(tests), tests.start)
        else:
            ledger = ScatteredLedger(map(TestIndex, tests))
        schedulers.append(Scheduler(Backlog(own, options), ledger, options, out, in_hand))
    return schedulers
