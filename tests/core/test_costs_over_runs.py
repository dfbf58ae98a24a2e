"""What fixtures cost stays known, whichever of them a later run can tell apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.history.durations import EMPTY
from pytest_procpar.core.history.forecast import Forecast
from pytest_procpar.core.history.merging import merged
from pytest_procpar.core.history.recording import history_of, seen_in
from pytest_procpar.core.history.run_log import Ending, Timed

TEST = 0.01  # seconds


def process(modules: list[int], costs: dict[int, float]) -> list[Timed]:
    """A process that runs three tests of each of these modules."""
    return [
        Timed(f"m{module}.py::t{n}", Ending.RAN, costs[module] if n == 0 else 0.0, TEST, 0.0)
        for module in modules
        for n in range(3)
    ]


@given(
    st.dictionaries(st.integers(0, 9), st.sampled_from([0.3, 1.0, 5.0]), min_size=2, max_size=8),
    st.lists(st.randoms(use_true_random=False), min_size=1, max_size=4),
)
def test_a_module_is_as_dear_after_several_runs_as_after_the_first(
    costs: dict[int, float], shuffles: list[object]
) -> None:
    known = EMPTY
    for run, shuffle in enumerate(shuffles):
        modules = list(costs)
        shuffle.shuffle(modules)  # type: ignore[attr-defined]
        processes = [process(modules[at::2], costs) for at in range(2)]
        seen = seen_in(processes, known)
        known = merged([known, history_of(seen, known, f"run {run}", float(run))])
    found = Forecast(known).settings()
    assert {key: cost for key, cost in found.items() if key} == pytest.approx(
        {f"m{module}.py": cost for module, cost in costs.items()}
    )
