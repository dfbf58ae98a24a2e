"""Findings outlive their run: later ones recall them, try them again, and forget what no longer holds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.conftest import Finished, Suite
from tests.plugin.rechecking import POLLUTED, name, rechecked, told
from tests.plugin.test_trial import FEW_TRIES, HANDLE, RISK

ENTRY = ".pytest_cache/v/procpar/findings"
VICTIM, POLLUTER = "test_it.py::test_victim", "test_it.py::test_polluter"
COMMAND = f"pytest {POLLUTER} {VICTIM}"


def known(suite: Suite) -> list[dict[str, Any]]:
    """What the cache knows; nothing if it has no such entry."""
    path = suite.path / ENTRY
    return list(json.loads(path.read_text())["findings"]) if path.exists() else []


def know(suite: Suite, *findings: dict[str, Any]) -> None:
    """Let earlier runs have found this."""
    common = {"causes": [], "command": "", "first": "2026-11-01", "last": "2026-11-02", "runs": 2, "quiet": 0}
    suite.file(ENTRY, json.dumps({"version": 1, "findings": [{**common, **finding} for finding in findings]}))


def know_the_victim(suite: Suite) -> None:
    know(suite, {"test": VICTIM, "kind": "victim", "causes": [POLLUTER], "command": COMMAND})


def recalled(finished: Finished) -> list[str]:
    """The lines of the section."""
    lines = finished.out.splitlines()
    start = next(
        (at for at, line in enumerate(lines) if "procpar: known of earlier runs" in line), len(lines)
    )
    end = next((at for at in range(start + 1, len(lines)) if lines[at].startswith("===")), len(lines))
    return lines[start + 1 : end]


@pytest.fixture
def polluted(suite: Suite) -> Suite:
    suite.tests(POLLUTED)
    return suite


def test_a_finding_is_known_to_the_next_run_which_says_since_when(polluted: Suite) -> None:
    finished, findings = rechecked(polluted, "-n1")
    assert recalled(finished) == []
    (entry,) = known(polluted)
    assert (entry["test"], entry["kind"], entry["causes"]) == (VICTIM, "victim", [POLLUTER])
    assert (entry["command"], entry["runs"]) == (COMMAND, 1)
    assert findings[0]["runs"] == 1
    know_the_victim(polluted)
    finished, findings = rechecked(polluted, "-n1")
    again = f"{VICTIM} is again a victim of {POLLUTER} (seen in 3 runs, first seen on 2026-11-01)"
    assert recalled(finished) == [again]
    assert (findings[0]["since"], findings[0]["runs"]) == ("2026-11-01", 3)
    assert known(polluted)[0]["runs"] == 3


@pytest.mark.parametrize("args", [("-n1",), ()], ids=["workers", "plain"])
def test_the_last_failure_that_passes_alone_is_recalled(polluted: Suite, args: tuple[str, ...]) -> None:
    polluted.run("-n1")
    know_the_victim(polluted)
    finished = polluted.run("--lf", *args)
    finished.assert_summary(passed=1)
    assert recalled(finished) == [
        f"{VICTIM} passed; it is a victim of {POLLUTER} (seen in 2 runs, first seen on 2026-11-01): {COMMAND}"
    ]
    assert recalled(polluted.run(VICTIM, *args)) == []
    assert [entry["runs"] for entry in known(polluted)] == [2]


@pytest.mark.parametrize("args", [("-n1", "--recheck=none"), ("-n0",)], ids=["workers", "plain"])
def test_a_failure_that_is_not_looked_into_is_recalled(polluted: Suite, args: tuple[str, ...]) -> None:
    know_the_victim(polluted)
    (line,) = recalled(polluted.run(*args))
    assert line.startswith(f"{VICTIM} failed; it is known as a victim of {POLLUTER} (seen in 2 runs")


@pytest.mark.parametrize("args", [("-n1",), ("-n0",)], ids=["workers", "plain"])
def test_what_passes_after_its_polluter_is_forgotten(suite: Suite, args: tuple[str, ...]) -> None:
    suite.tests(POLLUTED.replace("STATE.append(1)", "pass"))
    know_the_victim(suite)
    assert recalled(suite.run(*args)) == []
    assert not (suite.path / ENTRY).exists()


@pytest.mark.parametrize(
    "change",
    [
        ("def test_polluter(): STATE.append(1)", "def test_other(): pass"),
        ("    def test_polluter", "    import pytest\n    @pytest.mark.isolated\n    def test_polluter"),
        ("STATE.append(1)", "__import__('pytest').skip()"),
    ],
    ids=["gone", "isolated", "skipped"],
)
@pytest.mark.parametrize("args", [("-n1",), ("-n0",)], ids=["workers", "plain"])
def test_what_did_not_run_after_its_polluter_is_not_refuted(
    suite: Suite, change: tuple[str, str], args: tuple[str, ...]
) -> None:
    suite.tests(POLLUTED.replace(*change))
    know_the_victim(suite)
    suite.run(*args, "test_it.py")
    assert [entry["quiet"] for entry in known(suite)] == [1]


def test_what_is_no_part_of_the_suite_any_more_is_forgotten(suite: Suite) -> None:
    suite.tests("def test_one(): pass")
    suite.file("test_two.py", "def test_two(): pass")
    flaky = {"kind": "flaky"}
    know(
        suite,
        {"test": "test_it.py::test_one", **flaky},
        {"test": "test_it.py::test_gone", **flaky},
        {"test": "test_gone.py::test_gone", **flaky},
    )
    for args in (("test_it.py",), ("-k", "test_one"), ("--ignore=test_two.py",)):
        suite.run("-n1", *args)
        assert [entry["test"][-13:] for entry in known(suite)] == ["it.py::test_one"[-13:], "py::test_gone"]
    suite.run("-n1")
    assert [entry["test"] for entry in known(suite)] == ["test_it.py::test_one"]


def test_only_what_is_known_is_tried_again_though_nothing_failed(suite: Suite) -> None:
    suite.tests("""
        STATE = []
        def test_victim(): assert not STATE
        def test_cured(): pass
        def test_polluter(): STATE.append(1)
        def test_second():
            STATE.append(2)
            assert STATE.count(2) < 2
    """)
    cured = {"test": "test_it.py::test_cured", "kind": "brittle", "causes": [POLLUTER]}
    second = {"test": "test_it.py::test_second", "kind": "nio"}
    know(suite, {"test": VICTIM, "kind": "victim", "causes": [POLLUTER]}, cured, second)
    finished, findings = rechecked(suite, "-n1", "--recheck=known")
    assert finished.ret == 0
    finished.stdout.fnmatch_lines(["re-checking 3 known findings*"])
    assert told(findings) == {
        "test_victim": ("victim", ["test_polluter"]),
        "test_second": ("nio", ["test_second"]),
    }
    lines = recalled(finished)
    assert lines[0].startswith(f"{VICTIM} is still a victim of {POLLUTER} (failures: alone 0 of 3, after")
    assert lines[1].startswith(
        "test_it.py::test_cured is no longer brittle: it needs test_it.py::test_pollut"
    )
    assert lines[2].startswith("test_it.py::test_second is still an NIO")
    assert {name({"nodeid": entry["test"]}): entry["runs"] for entry in known(suite)} == {
        "test_victim": 3,
        "test_second": 3,
    }


def test_what_fails_and_is_not_known_is_not_tried(polluted: Suite) -> None:
    finished, findings = rechecked(polluted, "-n1", "--recheck=known")
    assert findings == []
    assert recalled(finished) == ["nothing is known of earlier runs: there was nothing to try again"]
    finished.stdout.no_fnmatch_line("re-checking*")


def test_whether_the_fork_is_to_blame_is_tried_of_what_is_not_known_too(
    polluted: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    polluted.file("few_tries.py", FEW_TRIES.format(risk=RISK))
    monkeypatch.setenv("PYTEST_PLUGINS", f"{os.environ['PYTEST_PLUGINS']},few_tries")
    polluted.file("test_fork.py", dedent(HANDLE) + "def test_handle(): HANDLE.use()\n")
    know_the_victim(polluted)
    finished, findings = rechecked(polluted, "-n1", "--recheck=known")
    finished.assert_summary(passed=4, failed=1, rerun=1)
    assert {test: kind for test, (kind, _) in told(findings).items()} == {
        "test_victim": "victim",
        "test_handle": "fork-dependent",
    }


def test_a_finding_that_still_holds_is_a_failure_under_strict(suite: Suite) -> None:
    suite.tests("""
        STATE = []
        def test_victim(): assert not STATE
        def test_polluter(): STATE.append(1)
    """)
    know_the_victim(suite)
    assert suite.run("-n1", "--recheck=known").ret == 0
    assert suite.run("-n1", "--recheck=known", "--recheck-strict").ret == 1


def test_without_a_cache_there_is_nothing(polluted: Suite) -> None:
    finished, findings = rechecked(polluted, "-n1", "-p", "no:cacheprovider")
    assert told(findings)
    assert "since" not in findings[0]
    assert recalled(finished) == []
    assert not (polluted.path / ".pytest_cache").exists()
    finished = polluted.run("-n1", "--recheck=known", "-p", "no:cacheprovider")
    assert finished.ret == 4
    assert "--recheck=known: what is known of tests is kept in pytest's cache" in finished.err


def test_clearing_the_cache_forgets_and_what_is_found_then_is_kept(polluted: Suite) -> None:
    know_the_victim(polluted)
    finished, _ = rechecked(polluted, "-n1", "--cache-clear")
    assert recalled(finished) == []
    assert [entry["runs"] for entry in known(polluted)] == [1]


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[" * 100_000, b"3", b'{"version": 2, "findings": []}']
)
def test_what_is_damaged_is_set_aside_with_a_warning(suite: Suite, content: bytes) -> None:
    suite.trivial(1)
    know_the_victim(suite)
    (suite.path / ENTRY).write_bytes(content)
    finished = suite.run("-n1")
    assert finished.ret == 0
    assert "what was known of this project's tests cannot be read: see" in finished.out
    assert (suite.path / f"{ENTRY}.damaged").read_bytes() == content
    assert "cannot be read" not in suite.run("-n1").out


def test_a_link_is_replaced_and_not_followed(polluted: Suite) -> None:
    know_the_victim(polluted)
    elsewhere = polluted.path / "elsewhere"
    os.replace(polluted.path / ENTRY, elsewhere)
    before = elsewhere.read_bytes()
    os.symlink(elsewhere, polluted.path / ENTRY)
    rechecked(polluted, "-n1")
    assert elsewhere.read_bytes() == before
    assert [entry["runs"] for entry in known(polluted)] == [3]
    assert not Path(polluted.path / ENTRY).is_symlink()


def test_a_cache_that_cannot_be_written_is_said(polluted: Suite) -> None:
    polluted.file(".pytest_cache/v/procpar", "a file")
    finished, findings = rechecked(polluted, "-n1")
    assert told(findings)
    (line,) = recalled(finished)
    assert line.startswith("what was found could not be kept for later runs: ")


def test_a_run_of_which_nothing_is_known_has_none_of_it(suite: Suite) -> None:
    suite.conftest("""
        import sys
        def pytest_unconfigure(config):
            from recorder import note
            note("has", memory="pytest_procpar.report.findings_cache" in sys.modules)
    """)
    suite.trivial(2)
    for args in (("-n2", "--recheck=failed"), ()):
        assert set(suite.run(*args).facts("has", "memory")) == {False}
