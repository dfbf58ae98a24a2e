"""Medians of paired ratios. Pure: no clock, no file, no process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

Metric = Literal["wall", "cpu", "pss"]
METRICS: tuple[Metric, ...] = ("wall", "cpu", "pss")


@dataclass(frozen=True)
class Ratio:
    """The median of the per-round ratios, with the least and the greatest of them."""

    median: float
    low: float
    high: float
    rounds: int


@dataclass
class Series:
    """What one contender showed in one case: a value a round, or why there is none.

    Wall and CPU are seconds, PSS is bytes, ``others`` the cores that foreign processes kept busy
    in the timed runs. A failure in any run makes the whole series failed:
    the figures of a runner that does not run every test are no figures.
    """

    values: dict[Metric, dict[int, float]] = field(default_factory=lambda: {metric: {} for metric in METRICS})
    failure: str = ""
    others: dict[int, float] = field(default_factory=dict)

    def add(self, metric: Metric, round_: int, value: float) -> None:
        """Record one run's value."""
        self.values[metric][round_] = value

    def middle(self, metric: Metric) -> float | None:
        """The median of the absolute values; None where nothing was measured."""
        values = self.values[metric]
        return median(values.values()) if values else None


def paired_ratio(ours: Mapping[int, float], base: Mapping[int, float]) -> Ratio | None:
    """Compare round by round, over the rounds both have.

    Two runs of one round are seconds apart and share the machine's mood; the quotient of two
    medians would compare runs minutes apart. None where no round has both, or the base is 0.
    """
    ratios = [ours[one] / base[one] for one in ours if base.get(one)]
    if not ratios:
        return None
    return Ratio(median(ratios), min(ratios), max(ratios), len(ratios))


def ratio_of(ours: Series | None, base: Series | None, metric: Metric) -> Ratio | None:
    """`paired_ratio` of one metric; None if either series is missing or failed."""
    if ours is None or base is None or ours.failure or base.failure:
        return None
    return paired_ratio(ours.values[metric], base.values[metric])


def noise(everybody: Iterable[Series]) -> float | None:
    """The median number of cores that foreign processes kept busy; None without timed runs."""
    values = [value for one in everybody for value in one.others.values()]
    return median(values) if values else None


def rotated(names: list[str], by: int) -> list[str]:
    """The same names starting ``by`` places later, so that nobody is always first."""
    by %= max(len(names), 1)
    return names[by:] + names[:by]
