"""How long what is driven may take: inquiries that are not the last leave time, and findings need some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from pytest_procpar.core.findings import Finding, Kind, Suspect
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.probes import Outcome, Probe, Word
from pytest_procpar.core.spending import Spending
from pytest_procpar.core.suspects import Inquiry
from pytest_procpar.surveying import Driver
from tests.core.pollution import HEALTHY, Bench, Model, Suite, flags, ids

POLLUTED = Suite([HEALTHY, Model(sets=flags("a")), HEALTHY, Model(victim_of=flags("a"))])
VICTIM = Suspect(TestIndex(3), Word.FAILED, failed_after=ids(0, 1, 2))


class Probing:
    """Answers probes at once, and notes until when each might take."""

    def __init__(self) -> None:
        self._bench = Bench(POLLUTED)
        self.deadlines: list[float] = []

    def run(self, probes: Sequence[Probe], deadline: float) -> list[Outcome]:
        self.deadlines.append(deadline)
        return self._bench.answer(probes)


class Silent:
    """Shows no progress."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args: None


def inquired(time: Spending, known: Sequence[Finding] = (), until: float | None = None) -> list[float]:
    """Until when the probes of an inquiry into the victim might take."""
    probing = Probing()
    inquiry = Inquiry([VICTIM], lambda test: ids(*range(test)), lambda test: "file")
    Driver(cast("Any", probing), cast("Any", Silent()), time).inquire(inquiry, known, until)
    assert [finding.kind for finding in inquiry.findings()] == [Kind.VICTIM]
    return probing.deadlines


@pytest.fixture
def time() -> Spending:
    made = Spending(100.0, 1.0, asked_for=True)
    made.begin(0.0)
    return made


def test_an_inquiry_after_which_others_follow_ends_earlier(time: Spending) -> None:
    assert set(inquired(time, until=40.0)) == {40.0}
    assert set(inquired(time)) == {95.0}


def test_what_is_known_by_then_needs_time_that_is_not_searched_in(time: Spending) -> None:
    known = [Finding(TestIndex(i), Kind.VICTIM, ids(9)) for i in range(10, 30)]
    known += [Finding(TestIndex(i), Kind.PLAIN) for i in range(30, 60)]
    assert set(inquired(time, known)) == {80.0}
    assert time.end_of_search == 80.0
