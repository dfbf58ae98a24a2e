"""The only reader of our options: what they say, in one frozen value, before anything is made of it.

They are read at two moments. What `read_early` finds holds before initial conftests are imported, and decides
how workers may be started. What `given` finds when `pytest_cmdline_main` begins holds for the rest of the
run: until then, plugins and conftests may have changed it. Ini values are read in `settings`, which checks
them.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import pytest

from pytest_procpar.core.record import fields, record

if TYPE_CHECKING:
    from pytest_procpar.core.survey.orders import SuiteOrder

__all__ = ["Given", "given", "read_early", "read_given"]


@record
class Given:
    """The options by their destinations, each as pytest's parser, or a plugin, has left it.

    A value whose type is ``object`` may be anything: other plugins define the option, or change it.
    """

    # --- those that pytest-xdist defines, too; None if an old version of it does not ---
    numprocesses: object
    dist: str
    distload: bool
    tx: tuple[str, ...]
    maxprocesses: object
    maxworkerrestart: object
    maxschedchunk: object
    loadscopereorder: bool
    testrunuid: str | None
    # --- those that only we have ---
    start_method: str | None
    hang_timeout: float | None
    isolate: bool
    max_tests_per_worker: int | None
    leaks: str | None
    failure_output: str
    procpar_report: str | None
    procpar_advise: bool
    procpar_try: bool
    procpar_try_report: str | None
    procpar_history_tool: str | None
    procpar_replay: str | None
    recheck: str | None
    recheck_order: SuiteOrder | None
    recheck_budget: float | None
    recheck_tests: object
    recheck_explain: bool
    recheck_suggest: str | None
    recheck_cleaners: bool
    recheck_strict: bool

    @property
    def tries_suite(self) -> bool:
        """Whether the suite is to be run in several ways instead of once."""
        return bool(self.procpar_try or self.procpar_try_report)

    @property
    def names_workers(self) -> bool:
        """Whether an option has a say in who runs the tests. If not, this process does."""
        named = (self.numprocesses, self.maxprocesses, self.procpar_replay, self.isolating_option)
        asked = self.tx or self.distload or self.wants_recheck
        return bool(asked) or any(value is not None for value in named)

    @property
    def records_history(self) -> bool:
        """Whether the durations of this run are to be recorded, whoever runs the tests."""
        return self.procpar_history_tool == "record"

    @property
    def isolating_option(self) -> str | None:
        """The option that gives tests new processes; None if there is none."""
        if self.isolate:
            return "--isolate"
        return "--max-tests-per-worker" if self.max_tests_per_worker else None

    @property
    def wants_recheck(self) -> bool:
        """Whether an option asks for a re-check; that needs a fork server, and so at least one worker."""
        more = (self.recheck_order, self.recheck_explain, self.recheck_cleaners, self.recheck_strict)
        asked = any(more) or self.recheck_suggest is not None
        return self.recheck != "none" and (self.recheck is not None or asked)


_EARLY = pytest.StashKey[Given]()
_GIVEN = pytest.StashKey[Given]()


def given(config: pytest.Config) -> Given:
    """What was asked for when somebody first asked this, which is as `pytest_cmdline_main` begins."""
    found = config.stash.get(_GIVEN, None)
    if found is None:
        found = config.stash[_GIVEN] = read_given(config)
    return found


def read_given(config: pytest.Config) -> Given:
    """What is asked for at this moment, for who comes before `given`."""
    return _read(config.option)


def read_early(config: pytest.Config) -> Given:
    """What was asked for before initial conftests were imported."""
    found = config.stash.get(_EARLY, None)
    if found is None:
        found = config.stash[_EARLY] = _read(config.known_args_namespace)
    return found


def _read(options: argparse.Namespace) -> Given:
    values: dict[str, Any] = {name: getattr(options, name, None) for name in fields(Given)}
    return Given(**{**values, "tx": tuple(values["tx"] or ())})
