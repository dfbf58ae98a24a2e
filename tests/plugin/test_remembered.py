"""The start method that a project's cache remembers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_procpar.core.model import StartMethod
from pytest_procpar.start_method.remembered import remember, remembered
from tests.conftest import Suite
from tests.plugin.test_start_methods import is_unusual, said_method

ENTRY = ".pytest_cache/v/procpar/start-method"


@pytest.fixture(autouse=True)
def _no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def test_the_next_run_takes_it_and_says_why(suite: Suite) -> None:
    suite.trivial(3)
    suite.file(
        ENTRY, json.dumps({"method": "spawn", "reason": "test_x.py::test_y hung", "day": "2026-11-29"})
    )
    finished = suite.run("-n2")
    finished.assert_summary(passed=3)
    is_unusual(finished, "spawn", "test_x.py::test_y hung on 2026-11-29", "--cache-clear forgets it")
    assert said_method(suite.run("-n2", "--start-method=fork")) is None
    assert said_method(suite.run("-n2", "--cache-clear")) is None
    assert said_method(suite.run("-n2")) is None


def test_what_is_remembered_is_known_to_the_next_run(pytester: pytest.Pytester) -> None:
    assert remembered(pytester.parseconfig()) is None
    config = pytester.parseconfigure()
    assert remember(config, StartMethod.SPAWN, "test_x.py::test_y failed only in forked workers")
    known = remembered(pytester.parseconfig())
    assert known is not None
    assert known.method is StartMethod.SPAWN
    assert str(known).startswith("test_x.py::test_y failed only in forked workers on ")
    assert str(known).endswith(" (pytest --cache-clear forgets it)")


def test_the_last_one_counts(pytester: pytest.Pytester) -> None:
    config = pytester.parseconfigure()
    remember(config, StartMethod.SPAWN, "one thing")
    remember(config, StartMethod.FORK_EARLY, "another")
    known = remembered(pytester.parseconfig())
    assert known is not None
    assert (known.method, known.reason) == (StartMethod.FORK_EARLY, "another")


def test_it_is_where_the_cache_is(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ncache_dir = elsewhere/cache")
    assert remember(pytester.parseconfigure(), StartMethod.SPAWN, "it hung")
    assert remembered(pytester.parseconfig()) is not None
    assert not Path(".pytest_cache").exists()


def test_clearing_the_cache_forgets_it(pytester: pytest.Pytester) -> None:
    remember(pytester.parseconfigure(), StartMethod.SPAWN, "it hung")
    assert remembered(pytester.parseconfig("--cache-clear")) is None
    pytester.parseconfigure("--cache-clear")
    assert remembered(pytester.parseconfig()) is None


def test_without_a_cache_nothing_is_remembered(pytester: pytest.Pytester) -> None:
    remember(pytester.parseconfigure(), StartMethod.SPAWN, "it hung")
    assert remembered(pytester.parseconfig("-p", "no:cacheprovider")) is None
    assert not remember(pytester.parseconfigure("-p", "no:cacheprovider"), StartMethod.SPAWN, "it hung")


def test_a_cache_that_cannot_be_written_is_no_error(pytester: pytest.Pytester) -> None:
    Path(".pytest_cache").write_text("a file")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONWARNINGS", "error")
        assert not remember(pytester.parseconfigure("-Werror"), StartMethod.SPAWN, "it hung")
    assert remembered(pytester.parseconfig()) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[" * 100_000,
        b"3",
        b"null",
        json.dumps({"method": "spawn"}).encode(),
        json.dumps({"method": "fork-late", "reason": "so", "day": "today"}).encode(),
        json.dumps({"method": [], "reason": "so", "day": "today"}).encode(),
        json.dumps({"method": "spawn", "reason": "", "day": "today"}).encode(),
        json.dumps({"method": "spawn", "reason": "so", "day": 3}).encode(),
    ],
)
def test_what_is_damaged_is_set_aside_with_a_warning(pytester: pytest.Pytester, content: bytes) -> None:
    remember(pytester.parseconfigure(), StartMethod.SPAWN, "it hung")
    Path(ENTRY).write_bytes(content)
    config = pytester.parseconfig()
    with pytest.MonkeyPatch.context() as patch:
        told: list[str] = []
        patch.setattr(
            config, "issue_config_time_warning", lambda warning, stacklevel: told.append(str(warning))
        )
        assert remembered(config) is None
        assert remembered(config) is None
    (text,) = told
    assert str(Path(f"{ENTRY}.damaged").absolute()) in text
    assert Path(f"{ENTRY}.damaged").read_bytes() == content


def test_a_warning_that_is_an_error_names_the_file_once(pytester: pytest.Pytester) -> None:
    remember(pytester.parseconfigure(), StartMethod.SPAWN, "it hung")
    Path(ENTRY).write_text("?")
    with pytest.raises(pytest.UsageError, match=r"start-method\.damaged"):
        remembered(pytester.parseconfig("-W", "error"))
    assert remembered(pytester.parseconfig("-W", "error")) is None


def test_a_reason_stays_one_line(pytester: pytest.Pytester) -> None:
    remember(pytester.parseconfigure(), StartMethod.SPAWN, "a\nb" * 1000)
    known = remembered(pytester.parseconfig())
    assert known is not None
    assert "\n" not in str(known)
    assert len(str(known)) < 600
