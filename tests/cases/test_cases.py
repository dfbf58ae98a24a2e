"""Small suites that have gone wrong with workers, with the real libraries: each ends as under plain pytest.

The libraries are those of the dependency group ``cases``. A case is skipped if one that it needs is not
installed.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cases.running import CASES, Case, Ended, missing, run

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def run_both(case: Case, place: Path, *, strict: bool = False) -> tuple[Ended, Ended]:
    """Under plain pytest, and with workers."""
    if absent := missing(case):
        pytest.skip(f"{', '.join(absent)} is not installed (see the dependency group `cases`)")
    plain, ours = (run(case, place / name, *args, strict=strict) for name, args in _runs(case).items())
    for name, ended in (("plain pytest", plain), ("workers", ours)):
        print(f"--- {name}: exit status {ended.status}\n{ended.out}")
    return plain, ours


def _runs(case: Case) -> dict[str, list[str]]:
    return {"plain": [], "workers": ["-n", "2", *case.worker_args]}


def assert_same_end(case: Case, plain: Ended, ours: Ended) -> None:
    """Test by test, in time, with nothing left running and no file of the suite changed."""
    assert plain.outcomes, "plain pytest has run no test"
    assert plain.status is not None, "plain pytest hangs"
    assert ours.status is not None, "the run with workers hangs"
    assert not ours.left
    assert not ours.changed
    if not case.explained:
        assert ours.outcomes == plain.outcomes
        assert ours.status == plain.status


@each_case
def test_a_suite_ends_as_under_plain_pytest(case: Case, tmp_path: Path) -> None:
    plain, ours = run_both(case, tmp_path)
    assert_same_end(case, plain, ours)
    if case.method is not None:
        assert ours.method == case.method
    for words in case.says:
        assert re.search(words, ours.out), f"nothing says {words!r}"


@each_case
def test_a_suite_ends_as_under_plain_pytest_where_warnings_are_errors(case: Case, tmp_path: Path) -> None:
    assert_same_end(case, *run_both(case, tmp_path, strict=True))
