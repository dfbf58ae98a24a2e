"""Every process of a run knows what it is, from before plugins act on it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_procpar.role import Role, role_of, take_role
from tests.conftest import Suite
from tests.plugin.rechecking import rechecked, told

CONFTEST = """
    import pytest
    from pytest_procpar.role import role_of
    from recorder import note

    @pytest.hookimpl(trylast=True)  # the controller takes its role in pytest_cmdline_main
    def pytest_configure(config): note("configured", role=role_of(config).value)
    def pytest_procpar_worker_forked(config): note("forked", role=role_of(config).value)
    def pytest_runtest_setup(item): note("ran", role=role_of(item.config).value)
"""


def config(**attributes: object) -> Any:
    return SimpleNamespace(stash=pytest.Stash(), **attributes)


def test_a_process_that_was_told_nothing_is_plain_or_a_worker_of_xdist() -> None:
    assert role_of(config()) is Role.PLAIN
    assert role_of(config(workerinput={})) is Role.XDIST_WORKER


def test_what_was_said_last_counts_whatever_plugins_see() -> None:
    process = config(workerinput={})
    for role in Role:
        take_role(process, role)
        assert role_of(process) is role


def test_only_what_the_user_has_started_is_main_and_only_the_rechecks_processes_are_thrown_away() -> None:
    assert {role for role in Role if role.is_main} == {Role.PLAIN, Role.CONTROLLER}
    assert {role for role in Role if role.is_throw_away} == {Role.PROBE, Role.FRESH_PROBE}


@pytest.mark.parametrize(
    ("method", "configured"),
    [
        ("fork", {"controller", "fork server", "fresh probe"}),
        ("spawn", {"controller", "worker", "probe", "fresh probe"}),
    ],
)
def test_a_run_with_workers_and_its_recheck(suite: Suite, method: str, configured: set[str]) -> None:
    suite.conftest(CONFTEST)
    suite.tests("""
        STATE = []
        def test_polluter(): STATE.append(1)
        def test_victim(): assert not STATE
    """)
    finished, findings = rechecked(suite, "-n1", f"--start-method={method}", "--recheck-budget=200")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    assert set(finished.facts("configured", "role")) == configured
    assert set(finished.facts("forked", "role")) == {"worker", "probe", "fresh probe"}
    assert set(finished.facts("ran", "role")) == {"worker", "probe", "fresh probe"}


@pytest.mark.parametrize(
    ("args", "configured", "forked", "ran"),
    [
        ([], {"plain"}, set(), {"plain", "test process"}),
        (
            ["-n1", "--start-method=fork"],
            {"controller", "fork server"},
            {"isolating runner", "test process"},
            {"test process"},
        ),
    ],
    ids=["plain", "workers"],
)
def test_a_run_with_an_isolated_test(
    suite: Suite, args: list[str], configured: set[str], forked: set[str], ran: set[str]
) -> None:
    suite.conftest(CONFTEST)
    suite.tests("""
        import pytest
        @pytest.mark.isolated
        def test_isolated(): pass
        def test_other(): pass
    """)
    finished = suite.run(*args)
    finished.assert_summary(passed=2)
    assert set(finished.facts("configured", "role")) == configured
    assert set(finished.facts("forked", "role")) == forked
    assert set(finished.facts("ran", "role")) == ran
