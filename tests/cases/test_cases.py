"""Small suites that have gone wrong with workers, with the real libraries: each ends as under plain pytest.

The libraries are those of the dependency group ``cases``. A case is skipped if one that it needs is not
installed.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cases.running import CASES, Case, Ended, missing, run


def run_both(case: Case, place: Path) -> tuple[Ended, Ended]:
    """Under plain pytest, and with workers."""
    return _run_plain(case, place / "plain"), _run_workers(case, place / "workers")


def _run_plain(case: Case, place: Path, *, strict: bool = False) -> Ended:
    return _shown("plain pytest", run(case, place, strict=strict))


def _run_workers(case: Case, place: Path, *, strict: bool = False) -> Ended:
    return _shown("workers", run(case, place, "-n", "2", *case.worker_args, strict=strict))


def _shown(name: str, ended: Ended) -> Ended:
    print(f"--- {name}: exit status {ended.status}\n{ended.out}")
    return ended


def assert_same_end(case: Case, plain: Ended, ours: Ended) -> None:
    """Test by test, in time, with nothing left running and no file of the suite changed."""
    assert plain.outcomes, "plain pytest has run no test"
    assert plain.status is not None, "plain pytest hangs"
    assert ours.status is not None, "the run with workers hangs"
    assert not ours.left
    assert not ours.changed
    if not case.explained:
        assert _end(ours) == _end(plain)


def _end(ended: Ended) -> tuple[object, ...]:
    return ended.status, ended.outcomes


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_suite_ends_as_under_plain_pytest(case: Case, tmp_path: Path) -> None:
    if absent := missing(case):
        pytest.skip(f"{', '.join(absent)} is not installed (see the dependency group `cases`)")
    plain, ours = run_both(case, tmp_path)
    assert_same_end(case, plain, ours)
    if case.method is not None:
        assert ours.method == case.method
    for words in case.says:
        assert re.search(words, ours.out), f"nothing says {words!r}"
    # And where warnings are errors; plain pytest only if that ends otherwise than without.
    strict = _run_workers(case, tmp_path / "strict", strict=True)
    if _end(strict) != _end(plain):
        plain = _run_plain(case, tmp_path / "strict-plain", strict=True)
    assert_same_end(case, plain, strict)
