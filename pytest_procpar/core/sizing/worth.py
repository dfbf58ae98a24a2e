"""How many workers shorten a run, judged by what the tests took in earlier runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_procpar.core.advice.makespan import Batch, schedule
from pytest_procpar.core.history.durations import function_of, settings_of
from pytest_procpar.core.record import record

__all__ = ["Worth", "batches_of", "worth"]

#: A number of workers is enough if no other one ends the run sooner by more than this part.
_ENOUGH = 0.03
#: By how many seconds another worker makes a run longer. Its life takes 15 ms of processor time without other
#: plugins (measured on CPython 3.11, with 2 processors), and part of that while others run tests; plugins may
#: make it several times that, which is not known here.
START_SECONDS = 0.01
#: The history was wrong if the tests take this many times as long as it says, plus this many seconds.
_WRONG, _SLACK = 1.5, 1.0
#: What it costs to set up the fixtures of a module or class, in seconds, for its tests to be kept together.
_DEAR = 0.02


@record
class Worth:
    """How many workers are worth having, and how many seconds the tests take with as many."""

    workers: int
    seconds: float

    @property
    def patience(self) -> float:
        """After how many seconds the history must have been wrong."""
        return _WRONG * self.seconds + _SLACK


def batches_of(
    ids: Sequence[str],
    seconds: Sequence[float],
    costs: Mapping[str, float],
    keys: Sequence[str] | None = None,
) -> list[Batch]:
    """The tests in batches: those that share a dear fixture, and those that must stay together.

    :param ids: their nodeids.
    :param seconds: what each of them takes without the fixtures that it shares.
    :param costs: what these cost, by module or class.
    :param keys: what keeps tests together (``--dist=loadfile`` and its like); None: nothing does.
    """
    if keys is not None:
        groups: dict[str, float] = {}
        for key, each in zip(keys, seconds, strict=True):
            groups[key] = groups.get(key, 0.0) + each
        return [Batch((each,)) for each in groups.values()]
    dear = {key: cost for key, cost in costs.items() if key and cost >= _DEAR}
    if not dear:
        return [Batch(tuple(seconds))]
    homes: dict[str, list[float]] = {}
    inner: set[str] = set()
    for nodeid, each in zip(ids, seconds, strict=True):
        found = [key for key in settings_of(function_of(nodeid))[1:] if key in dear]
        some = homes.setdefault(found[0] if found else "", [])
        some.append(each)
        for key in found[1:]:  # a dear class in a dear module is set up once more
            if key not in inner:
                inner.add(key)
                some.append(dear[key])
    return [Batch(tuple(some), dear.get(home, 0.0)) for home, some in homes.items()]


def worth(batches: Sequence[Batch], most: int) -> Worth:
    """The smallest number of workers with which the tests end about as soon as with any, up to `most`.

    A schedule is made only where the bound that none can undercut leaves a doubt.
    """
    longest = max((max(batch.tests, default=0.0) + batch.cost for batch in batches), default=0.0)
    work = sum(batch.seconds for batch in batches)
    bounds = {n: max(longest, work / n) + n * START_SECONDS for n in range(1, most + 1)}
    promising = min(bounds, key=lambda count: (bounds[count], count))
    made = {count: _seconds(batches, count) for count in {promising, most}}
    best = min(made.values())
    for count in range(1, most + 1):
        if bounds[count] > (1 + _ENOUGH) * best:
            continue
        if count not in made:
            made[count] = _seconds(batches, count)
            best = min(best, made[count])
        if made[count] <= (1 + _ENOUGH) * best:
            return Worth(count, made[count])
    return Worth(most, made[most])


def _seconds(batches: Sequence[Batch], count: int) -> float:
    return schedule(batches, count).seconds + count * START_SECONDS
