"""What is printed: differences, counts, and the markdown table of times.

Pure: results in, text or JSON values out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median

from benchmarks.downstream.compare import Comparison, Difference, Run
from benchmarks.downstream.run import Cost

WALL_GOAL = 0.65
SHORT = 0.5
_SHOWN = 40


@dataclass(frozen=True)
class Times:
    """Interleaved rounds of one suite: the n-th plain run and the n-th parallel run are neighbours."""

    plain: tuple[Cost, ...]
    parallel: tuple[Cost, ...]

    @property
    def wall_ratio(self) -> float:
        """Median over the rounds of parallel wall by plain wall."""
        return median(p.wall / q.wall for p, q in zip(self.parallel, self.plain, strict=True))

    @property
    def cpu_ratio(self) -> float:
        """Median over the rounds of parallel processor time by plain's."""
        return median(p.cpu / q.cpu for p, q in zip(self.parallel, self.plain, strict=True))

    @property
    def plain_wall(self) -> float:
        """Median wall of the plain runs, in seconds."""
        return median(cost.wall for cost in self.plain)

    @property
    def parallel_wall(self) -> float:
        """Median wall of the parallel runs, in seconds."""
        return median(cost.wall for cost in self.parallel)


@dataclass
class Result:
    """What was found about one suite.

    Attributes:
        suite: Name and version.
        error: Why it could not be run at all; else empty.
        plain: The plain run, once there was one.
        comparisons: By the options of the run that was compared with it.
        waived: Why differing numbers of warnings do not count; else empty.
        explained: Why other differences do not count; else empty.
        start_method: The one of a run that could choose; empty if there was none.
        start_reason: Why that is not "fork"; else empty.
        times: When asked for.
    """

    suite: str
    error: str = ""
    plain: Run | None = None
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    waived: str = ""
    explained: str = ""
    start_method: str = ""
    start_reason: str = ""
    times: Times | None = None

    @property
    def good(self) -> bool:
        """Whether it ran and every run equalled the plain one."""
        return not self.error and all(map(self.same, self.comparisons.values()))

    def same(self, comparison: Comparison) -> bool:
        """Whether a run counts as equal to the plain one."""
        if comparison.equal or self.explained:
            return True
        return bool(self.waived and not comparison.tests and not comparison.totals)


def counts_text(summary: Mapping[str, int]) -> str:
    """``summary`` as pytest writes it, but for plurals."""
    return ", ".join(f"{count} {word}" for word, count in summary.items()) or "no counts"


def _line(difference: Difference) -> str:
    reason = f"  ({difference.reason})" if difference.reason else ""
    plain, parallel = difference.plain or "absent", difference.parallel or "absent"
    return f"    {difference.subject}: plain {plain}, parallel {parallel}{reason}"


def comparison_text(options: str, comparison: Comparison, waived: str = "") -> str:
    """The verdict of one run; the first differences are listed, and how many more there are."""
    name = options or "plain again"
    if comparison.equal:
        return f"  {name}: equal"
    lines = [f"  {name}: {len(comparison.tests)} tests differ"]
    lines += map(_line, comparison.tests[:_SHOWN])
    if len(comparison.tests) > _SHOWN:
        lines.append(f"    and {len(comparison.tests) - _SHOWN} more")
    lines += map(_line, comparison.totals)
    note = f"  [waived: {waived}]" if waived else ""
    lines += [_line(difference) + note for difference in comparison.warnings]
    return "\n".join(lines)


def times_table(results: Sequence[Result], options: str) -> str:
    """Markdown: a row a suite, then whether the goals of wall time are met."""
    timed = [(result.suite, result.times) for result in results if result.times is not None]
    if not timed:
        return ""
    lines = [
        f"| suite | plain s | `{options}` s | wall ratio | cpu ratio |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {times.plain_wall:.2f} | {times.parallel_wall:.2f} "
        f"| {times.wall_ratio:.2f} | {times.cpu_ratio:.2f} |"
        for name, times in timed
    ]
    overall = median(times.wall_ratio for _, times in timed)
    cpu = median(times.cpu_ratio for _, times in timed)
    slower = [n for n, times in timed if times.plain_wall > SHORT and times.wall_ratio > 1.0]
    verdict = "met" if overall <= WALL_GOAL else "missed"
    lines += [
        f"| **median** | | | **{overall:.2f}** | **{cpu:.2f}** |",
        "",
        f"Median wall at most {WALL_GOAL} x plain: {verdict} ({overall:.2f}).",
        f"Longer than {SHORT} s and slower than plain: {', '.join(slower) or 'none'}.",
    ]
    return "\n".join(lines)


def outcome_table(results: Sequence[Result], runs: Sequence[str]) -> str:
    """Markdown: a row a suite with plain's counts, a column a run: "equal" or what differs."""
    heads = " | ".join(f"`{options or 'plain again'}`" for options in runs)
    lines = [f"| suite | plain | {heads} |", "|---|---" + "|---" * len(runs) + "|"]
    for result in results:
        counts = counts_text(result.plain.summary) if result.plain else "could not run"
        cells = " | ".join(cell(result.comparisons.get(options)) for options in runs)
        lines.append(f"| {result.suite} | {counts} | {cells} |")
    return "\n".join(lines)


def cell(comparison: Comparison | None) -> str:
    """What differs in one run, in few words; "equal" if nothing does."""
    if comparison is None:
        return "-"
    parts = [f"{len(comparison.tests)} tests"] if comparison.tests else []
    parts += [f"{d.subject} {d.plain}/{d.parallel}" for d in comparison.totals]
    parts += [f"warnings {d.plain}/{d.parallel}" for d in comparison.warnings]
    return "; ".join(parts) or "equal"


def as_json(results: Sequence[Result]) -> list[dict[str, object]]:
    """Everything found, as JSON values."""
    return [
        {
            "suite": result.suite,
            "good": result.good,
            "error": result.error,
            "status": result.plain.status if result.plain else None,
            "summary": dict(result.plain.summary) if result.plain else None,
            "start_method": result.start_method,
            "start_reason": result.start_reason,
            "runs": {options: asdict(found) for options, found in result.comparisons.items()},
            "times": asdict(result.times) if result.times else None,
        }
        for result in results
    ]
