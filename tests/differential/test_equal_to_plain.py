"""The same suite under plain pytest and under workers: equal test by test, fixtures set up and torn down."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from tests.conftest import Finished, Suite
from tests.differential.generator import PARAMETRIZED, make_suite

pytestmark = pytest.mark.python_dependent

SEEDS = range(8)
#: The ways to run a suite, each with the scopes that are entered once a worker: a worker that goes on with
#: tests it took from another one may come back to a module, or under loadfile to a package.
WAYS = [
    (["-n2"], {"session"}),
    (["-n3", "--dist=worksteal"], {"session"}),
    (["-n2", "--dist=loadfile"], {"session", "module", "class"}),
    (["-n3", "--dist=loadscope"], {"session", "class"}),
]


def verdict(finished: Finished) -> dict[str, list[tuple[Any, ...]]]:
    """Every report of every test, but for where and how long it ran.

    A teardown that fails counts against the test after which its scope is left: under workers that may be
    another one, so those are compared by `teardown_errors`.
    """
    found: dict[str, list[tuple[Any, ...]]] = {}
    for report in finished.notes("report"):
        entry = (report["when"], report["outcome"], report["wasxfail"])
        if report["when"] != "teardown":
            found.setdefault(report["nodeid"], []).append(entry)
    return found


def teardown_errors(finished: Finished) -> set[str]:
    """What went wrong while tearing down, wherever that was."""
    return {
        error
        for report in finished.notes("report")
        if report["when"] == "teardown"
        for error in re.findall(r"ValueError: teardown of \w+", report["longrepr"])
    }


def instances(finished: Finished, kind: str) -> Counter[tuple[Any, ...]]:
    """Set-ups or teardowns: process, fixture, and its number there."""
    return Counter((n["pid"], n["module"], n["name"], n["number"]) for n in finished.notes(kind))


def setups(finished: Finished, *, scopes: set[str]) -> Counter[tuple[str, str, str]]:
    """How often fixtures of those scopes were set up, by worker, module and name."""
    return Counter(
        (n["worker"], n["module"], n["name"])
        for n in finished.notes("setup")
        if n["scope"] in scopes and not n["name"].endswith(PARAMETRIZED)
    )


def assert_equal(finished: Finished, plain: Finished, once: set[str]) -> None:
    assert verdict(finished) == verdict(plain)
    assert teardown_errors(finished) == teardown_errors(plain)
    assert finished.ran == plain.ran
    assert finished.ret == plain.ret
    for word in ("passed", "skipped", "xpassed", "failed"):
        assert finished.summary.get(word) == plain.summary.get(word)

    assert instances(finished, "setup") == instances(finished, "teardown")
    assert "main" not in finished.facts("setup", "worker")
    in_plain = setups(plain, scopes=once)
    for (_, module, name), count in setups(finished, scopes=once).items():
        assert count <= in_plain["main", module, name], name
    ours, theirs = (
        Counter((n["module"], n["name"]) for n in run.notes("setup") if n["scope"] == "function")
        for run in (finished, plain)
    )
    assert ours == theirs


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_suite_ends_as_with_plain_pytest(suite: Suite, seed: int) -> None:
    for name, text in make_suite(seed).items():
        suite.file(name, text)
    plain = suite.run("-p", "no:cacheprovider")
    assert plain.ret in (0, 1), "the generator makes suites that run"
    for way, once in WAYS:
        assert_equal(suite.run("-p", "no:cacheprovider", *way), plain, once)


def shown(finished: Finished) -> list[str]:
    """What ``-rA`` lists: outcome, test and reason; except ends of fixtures, which another test may meet."""
    lines = [line for line in finished.out.splitlines() if "at teardown of" not in line]
    return sorted(
        line for line in lines if line.startswith(("PASSED", "FAILED", "SKIPPED", "XFAIL", "XPASS"))
    )


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_a_random_suite_shows_the_same_with_and_without_each_shortcut(suite: Suite, seed: int) -> None:
    """Without the recorder, since some are taken only if no plugin listens.

    One worker runs all tests, in the order of a plain run. Where a fixture with parameters ends depends on
    what runs next, and a test may pass that has an error if the fixture's end fails before it.
    """
    for name, text in make_suite(seed).items():
        suite.file(name, text)
    options = ["-p", "no:cacheprovider", "-p", "no:recorder", "-rA", "--tb=no"]
    plain = suite.run(*options)
    assert len(shown(plain)) > 10
    for shortcut in ("", "procpar_compact_reports", "procpar_freeze_heap", "procpar_lean_tests"):
        finished = suite.run("-n1", *options, *(["-o", f"{shortcut}=false"] if shortcut else []))
        assert shown(finished) == shown(plain), shortcut
        assert finished.ret == plain.ret


def test_session_fixtures_are_set_up_once_in_every_worker_that_needs_them(suite: Suite) -> None:
    suite.conftest("""
        import pytest
        from recorder import note

        @pytest.fixture(scope="session")
        def costly():
            note("setup", name="costly")
            yield
            note("teardown", name="costly")
    """)
    for name in "abc":
        suite.file(
            f"test_{name}.py",
            """
            import pytest
            from recorder import note

            @pytest.mark.parametrize("i", range(30))
            def test(i, costly):
                note("ran", test=__name__)

            @pytest.mark.parametrize("i", range(30))
            def test_without(i):
                pass
            """,
        )
    for mode in ("load", "worksteal", "loadfile", "loadscope"):
        finished = suite.run("-n3", f"--dist={mode}")
        finished.assert_summary(passed=180)
        users = set(finished.facts("ran", "worker"))
        assert Counter(finished.facts("setup", "worker")) == dict.fromkeys(users, 1)
        assert Counter(finished.facts("teardown", "worker")) == dict.fromkeys(users, 1)
