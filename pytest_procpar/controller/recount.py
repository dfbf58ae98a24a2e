"""What follows from failures caused by the fork: which result counts, and what the next run does.

`recheck.fork_trial` finds out which failures these are.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_procpar.config.given import given
from pytest_procpar.config.settings import Settings
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.model import StartMethod, TestIndex
from pytest_procpar.core.printable import listed
from pytest_procpar.recheck.fork_trial import Blamed, Trial
from pytest_procpar.report.results import Results
from pytest_procpar.start_method.remembered import remember

__all__ = ["make_trial", "recount"]

#: How many tests at most are named.
_NAMED = 3


def make_trial(
    config: pytest.Config, settings: Settings, method: StartMethod, run_record: RunRecord
) -> Trial | None:
    """Make the trial that finds out whether the fork is to blame; None where nothing was forked."""
    if settings.recheck.what == "none":
        return None
    if method is StartMethod.SPAWN and not run_record.forks_anyway:
        return None
    return Trial(config, run_record, method, freeze_heap=settings.worker.freeze_heap)


def recount(
    session: pytest.Session,
    results: Results,
    run_record: RunRecord,
    blamed: Sequence[Blamed],
    left: Sequence[TestIndex],
) -> str:
    """Let the results of fresh interpreters count for these tests; return the line that says so.

    :param left: the tests that were not run.
    """
    config = session.config
    for one in sorted(blamed, key=lambda one: one.test):
        for test in run_record.alike(one.test):
            results.counts_instead(session, test, one.reports)
    names = [results.nodeid(one.test) for one in blamed]
    helped = [results.nodeid(one.test) for one in blamed if not one.forked_anyway]
    count = "counts" if len(names) == 1 else "count"
    what = f"{listed(names, _NAMED)} failed only in forked workers, and {count} as in a fresh interpreter"
    pin = f'procpar_start_method = "{StartMethod.SPAWN.value}"'
    if left:
        what += f"; {len(left)} test{'' if len(left) == 1 else 's'} that followed did not run"
    if any(one.forked_anyway for one in blamed):
        what += f"; under every start method {_who_forks(config)} forks their processes: they pass without it"
    if not helped:
        return what
    reason = f"{listed(helped, 1)} failed only in forked workers"
    if remember(config, StartMethod.SPAWN, reason):
        return f"{what}; the next run takes start method spawn ({pin} pins it)"
    return f"{what}; write {pin} into the pytest section of pyproject.toml: there is no cache to remember it"


def _who_forks(config: pytest.Config) -> str:
    """What makes tests get processes of their own, in the user's words."""
    return given(config).isolating_option or "the mark isolated"
