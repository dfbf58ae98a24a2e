"""Which parameters a version runs in CI: all versions together run all of them, and each of them some."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import is_dealt


@pytest.mark.parametrize("versions", [1, 2, 6])
@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 13, 157])
def test_versions_together_run_everything_and_none_runs_nothing(count: int, versions: int) -> None:
    runs = [
        {number for number in range(count) if is_dealt(number, count, version, versions)}
        for version in range(1, versions + 1)
    ]
    assert set.union(*runs) == set(range(count))
    assert all(runs)
    assert sum(map(len, runs)) == max(count, versions)


def test_modules_that_ci_collects_for_other_versions_are_all_that_have_the_marks() -> None:
    # `.ci/run` looks for the words in modules of this name.
    tests = Path(__file__).parent
    others = [file for file in tests.rglob("*.py") if not file.name.startswith("test_")]
    words = ("python_dependent", "pytest_dependent")
    with_words = [file for file in others if any(word in file.read_text(encoding="utf-8") for word in words)]
    assert with_words == [tests / "conftest.py"]
