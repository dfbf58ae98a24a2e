"""Which dead workers are replaced."""

from __future__ import annotations

import pytest

from pytest_procpar.core.model import RunOptions, WorkerId
from pytest_procpar.core.run.replacing import Replacing


@pytest.mark.parametrize(
    ("limit", "crashes", "refusal"),
    [
        (None, 99, None),
        (0, 0, None),
        (0, 1, "worker gw0 crashed and worker restarting disabled"),
        (2, 2, None),
        (2, 3, "maximum crashed workers reached: 2"),
    ],
)
def test_as_many_are_replaced_as_the_user_allows(
    limit: int | None, crashes: int, refusal: str | None
) -> None:
    replacing = Replacing(RunOptions(workers=2, max_restarts=limit))
    for number in range(crashes):
        replacing.crashed(WorkerId(number))
    assert replacing.refusal() == refusal


def test_workers_that_never_get_to_a_test_are_not_replaced_for_ever() -> None:
    replacing = Replacing(RunOptions(workers=2))
    for _ in range(4):
        replacing.stillborn()
    assert replacing.refusal() is None
    replacing.stillborn()
    assert replacing.refusal() == "5 workers in a row died before their first test"
    replacing.began()
    assert replacing.refusal() is None


def test_a_reason_is_news_once() -> None:
    replacing = Replacing(RunOptions(workers=2))
    assert [replacing.is_news(why) for why in ("a", "a", "b", "a")] == [True, False, True, True]
