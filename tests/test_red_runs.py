"""The benchmark of red runs reads what the re-check says, and knows what that may cost."""

from __future__ import annotations

import pytest

from benchmarks import red_runs


def test_the_section_is_all_that_the_recheck_says() -> None:
    output = (
        "F\n=== procpar: re-check ===\nfails on its own too: a\n    b\n=== short test summary info ===\nx\n"
    )
    assert red_runs.section_of(output) == "fails on its own too: a\n    b\n"
    assert red_runs.section_of("F\n=== short test summary info ===\n") == ""


def test_a_recheck_may_cost_two_seconds_or_a_fifth_of_the_run() -> None:
    assert red_runs.may_add(3.0) == 2.0
    assert red_runs.may_add(20.0) == 4.0
    assert red_runs.may_add(3.0, patience=4.0) == 6.0


def test_wrong_options_are_refused() -> None:
    with pytest.raises(SystemExit) as end:
        red_runs.parsed(["--nothing"])
    assert end.value.code == 2


@pytest.mark.parametrize("name", sorted(red_runs.SUITES))
def test_every_suite_can_be_compiled(name: str) -> None:
    compile(red_runs.source(red_runs.SUITES[name]), "test_red.py", "exec")
