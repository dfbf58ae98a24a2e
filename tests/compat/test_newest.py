from __future__ import annotations

import pytest

from pytest_procpar.compat.pytest_private.newest import NEWEST_TRIED, untried_note

pytestmark = pytest.mark.pytest_dependent

MAJOR, MINOR = NEWEST_TRIED


@pytest.mark.parametrize(
    "version",
    [(8, 2, 0), (MAJOR, MINOR, 0), (MAJOR, MINOR, 7), (MAJOR, MINOR, 0, "dev3"), (MAJOR,)],
)
def test_nothing_is_said_of_a_pytest_that_was_tried(version: tuple[int | str, ...]) -> None:
    assert untried_note(version) is None


@pytest.mark.parametrize("version", [(MAJOR, MINOR + 1, 0), (MAJOR, MINOR + 1, "0rc1"), (MAJOR + 1, 0, 0)])
def test_a_newer_pytest_is_named(version: tuple[int | str, ...]) -> None:
    note = untried_note(version)
    assert note is not None
    assert f"pytest {version[0]}.{version[1]} is newer than {MAJOR}.{MINOR}" in note


@pytest.mark.skipif(len(pytest.version_tuple) > 3, reason="a pre-release")
def test_this_pytest_is_none_that_was_not_tried() -> None:
    """If it fails: once all other tests pass with this pytest, raise `NEWEST_TRIED`."""
    assert untried_note(pytest.version_tuple) is None
