"""What a probe asks for."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pytest_procpar.core.inquiry.probes import Probe
from pytest_procpar.core.model import TestIndex
from tests.core.pollution import ids

_PROBE = Probe(ids(0), (ids(1, 2), ids(3), ids(4, 5)))


@pytest.mark.parametrize(
    ("processes", "sides"),
    [
        (0, []),
        (1, [ids(1, 2, 3, 4, 5)]),
        (2, [ids(1, 2, 4, 5), ids(3)]),
        (3, [ids(1, 2), ids(3), ids(4, 5)]),
        (4, [ids(1, 2), ids(3), ids(4, 5)]),
    ],
)
def test_nothing_that_ran_beside_is_lost_when_there_are_fewer_processes(
    processes: int, sides: list[tuple[TestIndex, ...]]
) -> None:
    assert _PROBE.sides(processes) == sides


def test_what_runs_beside_begins_elsewhere_each_round() -> None:
    side = ids(*range(10))
    first = [Probe(ids(99), (side,), round=number).sides(1)[0] for number in range(5)]
    assert first[0] == side
    assert all(sorted(other) == sorted(side) for other in first)
    starts = sorted(other[0] for other in first)
    assert all(later - earlier >= 1 for earlier, later in pairwise(starts))
    assert starts[-1] >= 8
