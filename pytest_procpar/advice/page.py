"""The lines of the advice."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_procpar.core.advice.advice import Advice
from pytest_procpar.core.printable import printable_line

__all__ = ["lines_of"]

#: How many dear fixtures and how many workers are listed.
_MOST_DEAR, _MOST_IDLE = 3, 8
#: A gain that is smaller than this many seconds, and than this part of the run, is not advised.
_LEAST_GAIN, _LEAST_PART = 0.1, 0.03


def lines_of(advice: Advice, *, has_workers: bool) -> list[str]:
    """What to print, a line each.

    :param has_workers: whether there were workers; otherwise all tests ran in pytest's own process.
    """
    return [*_facts(advice, has_workers), *_first(advice, has_workers)]


def _facts(advice: Advice, has_workers: bool) -> Iterator[str]:
    workers = len(advice.idle)
    total = advice.before + advice.tests
    where = f"in {_count(workers, 'worker')}" if has_workers else "without workers"
    yield f"{_count(advice.count, 'test')} {where}: {_seconds(total)}"
    yield (
        f"before the first test: {_seconds(advice.before)} ({_percent(advice.before / total)}): "
        f"start, imports, collection; no number of workers shortens it"
    )
    yield f"tests: {_seconds(advice.tests)}; {_seconds(advice.work)} of work in all"
    nodeid, seconds = advice.longest
    yield f"longest test: {_seconds(seconds)}, {printable_line(nodeid)}"
    file, seconds = advice.longest_of_file
    yield f"longest file: {_seconds(seconds)}, {printable_line(file)}"
    for one in advice.dear[:_MOST_DEAR]:
        enough = f", {_times(one.needed)} would do" if one.wasted else ""
        yield (
            f"dear fixtures: {_seconds(one.cost)}, set up {_times(one.set_ups)}{enough}: "
            f"{printable_line(one.key)}"
        )
    if has_workers:
        each = ", ".join(
            f"{name} {_percent(share)}" for name, share in list(advice.idle.items())[:_MOST_IDLE]
        )
        more = len(advice.idle) - _MOST_IDLE
        yield f"idle: {_percent(advice.idle_share)} ({each}{f', and {more} more' if more > 0 else ''})"
    what = "the longest test" if advice.is_bound_by_one_test else "the sum of all tests"
    yield (
        f"no schedule is faster than {_seconds(advice.bound)}: {what}; "
        f"a good one takes {_seconds(advice.best)}"
    )
    some = ", ".join(f"-n {count} {_seconds(seconds)}" for count, seconds in advice.expected.items())
    yield f"tests expected to take: {some}"


def _first(advice: Advice, has_workers: bool) -> Iterator[str]:
    """What to do first, with the seconds that it gains; the most first."""
    workers = len(advice.idle)
    least = max(_LEAST_GAIN, _LEAST_PART * (advice.before + advice.tests))
    gains = []
    worth = advice.worth
    gain = advice.best - advice.expected[worth]
    if worth > workers or not has_workers:
        gains.append((gain, f"-n {worth}"))
    wasted = sum(one.wasted for one in advice.dear) / workers
    gains.append((wasted, "set up dear fixtures less often: --dist=loadfile keeps a file's tests together"))
    if advice.is_bound_by_one_test:
        nodeid, _ = advice.longest
        gain = advice.best - advice.work / workers
        gains.append((gain, f"make the longest test shorter, or several of it: {printable_line(nodeid)}"))
    advised = sorted((one for one in gains if one[0] >= least), reverse=True)
    for gain, what in advised:
        yield f"gains about {_seconds(gain)}: {what}"
    if has_workers and worth < workers and advice.expected[worth] < 1.05 * advice.best:
        yield f"-n {worth} would be about as fast as -n {workers}"
    if not advised:
        yield "nothing of this kind would gain much; --durations=10 shows the slowest tests"


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1e3:.0f} ms"


def _percent(share: float) -> str:
    return f"{share:.0%}"
