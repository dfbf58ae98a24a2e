"""What a run is told of its tests: what earlier runs say is told where it may change something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_procpar.core.model import Dist, RunOptions
from pytest_procpar.core.run.sharing.knowing import known_of
from pytest_procpar.core.run.sharing.wide_fixtures import Known, SharedData, WideFixtures

#: Four tests: two of a module with two fixtures, two of none.
SHARED: SharedData = (
    [1, 1, 0, 0],
    [((), ()), ((0,), (0, 1))],
    [("db", "t.py::db[0]", 0), ("web", "t.py::web", 0)],
)


def known(
    durations: Sequence[float | None],
    shared: SharedData | None = None,
    settings: Mapping[str, float] | None = None,
    dist: Dist = Dist.LOAD,
) -> Known | None:
    return known_of(shared, durations, settings or {}, RunOptions(4, dist))


def test_tests_of_which_none_is_long_are_dealt_as_they_are() -> None:
    assert known([0.01] * 1000) is None
    assert known([]) is None
    assert known([None, None]) is None


def test_a_long_test_makes_durations_count() -> None:
    durations = (*[0.01] * 1000, 1.0, None)
    found = known(durations)
    assert found == Known(durations=durations)


def test_groups_are_always_ordered_by_what_they_take() -> None:
    assert known([0.01] * 1000, dist=Dist.LOADFILE) == Known(durations=(0.01,) * 1000)


def test_fixtures_of_one_home_have_equal_shares() -> None:
    found = known([0.01] * 1000, SHARED, {"t.py": 3.0, "other.py": 9.0})
    assert found is not None
    assert found.wide == WideFixtures.of(SHARED)
    assert dict(found.costs or {}) == {"t.py::db[0]": 1.5, "t.py::web": 1.5}
    assert found.durations is None


def test_what_is_shared_is_told_without_a_history() -> None:
    found = known([], SHARED)
    assert found == Known(WideFixtures.of(SHARED), None, {})
