"""What tests take apart from the fixtures that they share, and what these take, in what processes ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_procpar.core.history.durations import function_of, settings_of
from pytest_procpar.core.history.fixture_costs import Step, paid
from pytest_procpar.core.history.run_log import Timed
from pytest_procpar.core.record import record

__all__ = ["OwnTimes", "own_times"]


@record
class OwnTimes:
    """All times are in seconds.

    ``tests`` are the set-up, call and teardown of each test in each process, without what it shares.
    ``costs`` are the set-up and teardown of each setting that this run tells of, by key; if it tells of one
    of the two only, the other is what earlier runs have found. ``steps`` are the tests of each process as
    they set settings up.
    """

    tests: Sequence[Sequence[tuple[float, float, float]]]
    costs: Mapping[str, tuple[float, float]]
    steps: Sequence[Sequence[Step]]


def own_times(
    processes: Sequence[Sequence[Timed]], known_up: Mapping[str, float], known_down: Mapping[str, float]
) -> OwnTimes:
    """Tell tests and the fixtures that they share apart.

    :param processes: what each process ran, in order.
    :param known_up: what earlier runs have found for set-ups, in seconds, by key.
    :param known_down: the same for teardowns.
    """
    setups, teardowns = _steps(processes)
    up, down = paid(setups, known_up), paid(teardowns, known_down)
    own_up = {(payment.process, payment.place): payment.own for payment in up.payments}
    own_down = {
        (payment.process, len(processes[payment.process]) - 1 - payment.place): payment.own
        for payment in down.payments
    }
    tests = [
        [
            (
                own_up.get((number, place), test.setup),
                test.call,
                own_down.get((number, place), test.teardown),
            )
            for place, test in enumerate(process)
        ]
        for number, process in enumerate(processes)
    ]
    costs = {
        key: (up.costs.get(key, known_up.get(key, 0.0)), down.costs.get(key, known_down.get(key, 0.0)))
        for key in sorted({*up.costs, *down.costs})
    }
    return OwnTimes(tests, costs, setups)


def _steps(processes: Sequence[Sequence[Timed]]) -> tuple[list[list[Step]], list[list[Step]]]:
    """What each process ran, from its beginning and from its end."""
    known: dict[str, tuple[str, ...]] = {}
    setups: list[list[Step]] = []
    teardowns: list[list[Step]] = []
    for process in processes:
        ups: list[Step] = []
        downs: list[Step] = []
        for test in process:
            function = function_of(test.nodeid)
            within = function.rpartition("::")[0] or function
            settings = known.get(within)
            if settings is None:
                settings = known[within] = settings_of(function)
            ups.append((settings, function, test.ending, test.setup))
            downs.append((settings, function, test.ending, test.teardown))
        setups.append(ups)
        teardowns.append(downs[::-1])
    return setups, teardowns
