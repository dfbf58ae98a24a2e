"""What the user reads: as with plain pytest, and with pytest-xdist where workers show."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter

import pytest

from tests.conftest import Finished, Suite

pytestmark = pytest.mark.pytest_dependent

MIXED = """
    import logging
    import sys
    import warnings
    import pytest

    def test_passes():
        pass

    def test_fails():
        print("to stdout")
        print("to stderr", file=sys.stderr)
        logging.getLogger("some").warning("to the log")
        x = 3
        assert x == 4, "not four"

    @pytest.mark.skip(reason="no need")
    def test_skipped():
        pass

    def test_skips_itself():
        pytest.skip("not today")

    @pytest.mark.xfail(reason="known")
    def test_xfails():
        assert 0

    @pytest.mark.xfail(reason="thought so")
    def test_xpasses():
        pass

    @pytest.mark.xfail(strict=True, reason="surely")
    def test_xpasses_strictly():
        pass

    @pytest.fixture
    def broken_setup():
        print("before it broke")
        raise ValueError("in setup")

    def test_errors(broken_setup):
        pass

    @pytest.fixture
    def broken_teardown():
        yield
        raise ValueError("in teardown")

    def test_passes_then_errors(broken_teardown):
        pass

    def test_fails_and_errors(broken_teardown):
        assert 0, "and the teardown too"

    def test_warns():
        warnings.warn("a warning of a test")

    @pytest.mark.parametrize("i", range(3))
    def test_warns_thrice(i):
        warnings.warn("the same again")
"""


def section(finished: Finished, title: str) -> list[str]:
    """The lines between the separator with that title and the next section's."""
    lines = finished.stdout.lines
    start = next(i for i, line in enumerate(lines) if re.fullmatch(rf"=+ {title} =+", line))
    end = next(i for i in range(start + 1, len(lines)) if lines[i].startswith("===="))
    return lines[start + 1 : end]


def blocks(finished: Finished, title: str) -> dict[str, str]:
    """The blocks of the failures or errors section by heading, without the line that names the worker."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in section(finished, title):
        heading = re.fullmatch(r"_{3,} (.+) _{3,}", line)
        if heading:
            current = found.setdefault(heading[1], [])
        elif not re.match(r"\[gw\d+\] ", line):
            current.append(line)
    return {name: "\n".join(lines) for name, lines in found.items()}


# --- while it runs --------------------------------------------------------------------------------


def test_the_header_counts_workers_and_tests(suite: Suite) -> None:
    suite.trivial(10)
    finished = suite.run("-n2")
    finished.stdout.fnmatch_lines(
        ["rootdir: *", "created: 2/2 workers", "2 workers [[]10 items[]]", "", "..........*[[]100%[]]"],
        consecutive=False,
    )


def test_verbose_lines_name_the_worker_and_the_progress(suite: Suite) -> None:
    suite.tests("def test_a(): pass\ndef test_b(): assert 0\n")
    finished = suite.run("-n2", "-v")
    finished.stdout.fnmatch_lines(["scheduling tests via LoadScheduling"])
    lines = [line.strip() for line in finished.stdout.lines if line.startswith("[gw") and "%]" in line]
    assert sorted(re.sub(r"\d+%", "N%", line) for line in lines) == [
        "[gw0] [N%] PASSED test_it.py::test_a",
        "[gw1] [N%] FAILED test_it.py::test_b",
    ] or sorted(re.sub(r" *\d+%", "N%", line) for line in lines) == [
        "[gw0] [N%] PASSED test_it.py::test_a",
        "[gw1] [N%] FAILED test_it.py::test_b",
    ]
    assert {"test_it.py::test_a", "test_it.py::test_b"} <= {line.strip() for line in finished.stdout.lines}
    assert "[100%]" in lines[-1]


def test_quiet_is_quiet(suite: Suite) -> None:
    suite.trivial(4)
    finished = suite.run("-n2", "-q")
    assert "created" not in finished.out
    finished.stdout.fnmatch_lines(["bringing up nodes...", "....*[[]100%[]]", "4 passed in *"])
    suite.run("-n2", "-qq").stdout.no_fnmatch_line("bringing up nodes...")


def test_progress_ends_at_100_percent(suite: Suite) -> None:
    suite.trivial(250)
    lines = [line for line in suite.run("-n2").stdout.lines if line.startswith(".")]
    assert sum(line.count(".") for line in lines) == 250
    assert lines[-1].endswith("[100%]")


def test_progress_can_be_a_count(suite: Suite) -> None:
    suite.trivial(12)
    suite.run("-n2", "-o", "console_output_style=count").stdout.fnmatch_lines(["*[[]12/12[]]"])


def test_colours_are_as_with_plain_pytest(suite: Suite) -> None:
    suite.tests("def test_a(): pass\ndef test_b(): assert 0\n")
    last = suite.run("-n2", "--color=yes").stdout.lines[-1]
    assert "\x1b[31m" in last
    assert "\x1b[1m1 failed\x1b[0m" in last


# --- at the end -----------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["auto", "long", "short", "line", "no"])
def test_failures_read_as_with_plain_pytest(suite: Suite, style: str) -> None:
    suite.tests(MIXED)
    args = ["-rA", f"--tb={style}"]
    finished, plain = suite.run("-n2", *args), suite.run(*args)
    assert finished.ret == plain.ret
    finished.assert_summary(**plain.summary)
    if style == "no":
        assert "FAILURES" not in finished.out
    elif style == "line":
        ours = [line for line in section(finished, "FAILURES") if not re.match(r"\[gw\d+\] ", line)]
        assert sorted(ours) == sorted(section(plain, "FAILURES"))
    else:
        assert blocks(finished, "FAILURES") == blocks(plain, "FAILURES")
        assert blocks(finished, "ERRORS") == blocks(plain, "ERRORS")
    assert sorted(section(finished, "short test summary info")) == sorted(
        section(plain, "short test summary info")
    )


def test_a_failure_begins_with_worker_and_platform(suite: Suite) -> None:
    suite.tests("def test_a(): assert 0")
    suite.run("-n2").stdout.fnmatch_lines(
        ["*_ test_a _*", "[[]gw0[]] linux -- Python 3.*", "*def test_a(): assert 0"]
    )


def test_captured_sections_are_shown(suite: Suite) -> None:
    suite.tests(MIXED)
    finished = suite.run("-n2", "-k", "test_fails or test_errors")
    finished.stdout.fnmatch_lines(["*Captured stdout call*", "to stdout"])
    finished.stdout.fnmatch_lines(["*Captured stderr call*", "to stderr"])
    finished.stdout.fnmatch_lines(["*Captured log call*", "WARNING  some:test_it.py:*to the log"])
    finished.stdout.fnmatch_lines(["*Captured stdout setup*", "before it broke"])


def test_the_warnings_summary_is_as_with_plain_pytest(suite: Suite) -> None:
    suite.tests(MIXED)
    finished, plain = suite.run("-n2"), suite.run()
    assert finished.summary["warnings"] == plain.summary["warnings"] == 4
    assert sorted(section(finished, "warnings summary")) == sorted(section(plain, "warnings summary"))


def test_output_of_neighbours_does_not_mix(suite: Suite) -> None:
    suite.tests("""
        import os
        import pytest

        @pytest.mark.parametrize("i", range(60))
        def test(i):
            print(f"out {i}")
            os.write(2, f"err {i}\\n".encode())
            assert 0
    """)
    finished = suite.run("-n3")
    finished.assert_summary(failed=60)
    for report in finished.notes("report"):
        if report["when"] == "call":
            number = report["nodeid"].split("[")[1][:-1]
            assert report["sections"] == [
                ["Captured stdout call", f"out {number}\n"],
                ["Captured stderr call", f"err {number}\n"],
            ]


def test_without_capture_what_tests_print_is_live(suite: Suite) -> None:
    suite.tests("""
        import pytest

        @pytest.mark.parametrize("i", range(4))
        def test(i):
            print(f"seen {i}")
    """)
    finished = suite.run("-n2", "-s")
    finished.assert_summary(passed=4)
    assert [f"seen {i}" in finished.out for i in range(4)] == [True] * 4


def test_a_buffer_of_the_real_stdout_is_not_what_a_later_test_captures(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    suite.tests("""
        import sys

        import pytest

        @pytest.fixture
        def loud():
            sys.__stdout__.write("set up ")
            yield
            sys.__stdout__.write("torn down ")

        def test_writes_past_capture(loud):
            sys.__stdout__.write("called ")

        def test_captures_nothing_of_another(capfd):
            sys.__stdout__.flush()
            assert capfd.readouterr().out == ""
    """)
    suite.run("-n1").assert_summary(passed=2)


def test_durations_are_shown(suite: Suite) -> None:
    suite.trivial(5)
    finished = suite.run("-n2", "--durations=3", "-vv")
    finished.stdout.fnmatch_lines(["*= slowest 3 durations =*", "*s * test_it.py::test*"])
    assert len([line for line in section(finished, "slowest 3 durations") if "test_it.py::" in line]) == 3


def test_junit_xml_is_as_with_plain_pytest(suite: Suite) -> None:
    suite.tests(MIXED)
    suite.file(
        "test_properties.py",
        """
        def test_with_property(record_property):
            record_property("colour", "blue")
        """,
    )

    def cases(*args: str) -> tuple[dict[str, str], Counter[tuple[str, ...]]]:
        suite.run("--junitxml=out.xml", *args)
        (root,) = ET.parse(suite.path / "out.xml").getroot().iter("testsuite")
        numbers = {key: root.attrib[key] for key in ("errors", "failures", "skipped", "tests")}
        found: Counter[tuple[str, ...]] = Counter()
        for case in root.iter("testcase"):
            parts = [f"{part.tag} {part.attrib.get('message', '')}" for part in case]
            parts += [str(part.attrib) for part in case.iter("property")]
            found[(case.attrib["classname"], case.attrib["name"], *sorted(parts))] += 1
        return numbers, found

    assert cases("-n2") == cases()


@pytest.mark.parametrize("pattern", ["unittest", "fixture"])
def test_subtests_are_as_with_plain_pytest(suite: Suite, pattern: str) -> None:
    if pattern == "fixture" and pytest.version_tuple < (9, 0):
        pytest.skip("pytest has subtests since 9.0")
    suite.tests(
        """
        import unittest

        class TestSub(unittest.TestCase):
            def test_it(self):
                for i in range(5):
                    with self.subTest("named", i=i):
                        self.assertNotEqual(i % 2, 1)

            def test_good(self):
                with self.subTest("good"):
                    pass
        """
        if pattern == "unittest"
        else """
        def test_it(subtests):
            for i in range(5):
                with subtests.test("named", i=i):
                    assert i % 2 != 1

        def test_good(subtests):
            with subtests.test("good"):
                pass
        """
    )
    finished, plain = suite.run("-n2", "-rA"), suite.run("-rA")
    finished.assert_summary(**plain.summary)
    assert finished.ret == plain.ret
    assert finished.outcomes == plain.outcomes
    by_name = [sorted(run.facts("report", "context")) for run in (finished, plain)]
    assert by_name[0] == by_name[1]
    assert sorted(section(finished, "short test summary info")) == sorted(
        section(plain, "short test summary info")
    )


# --- runs that remember ---------------------------------------------------------------------------

FEW_FAIL = """
    import pytest
    from recorder import note

    @pytest.mark.parametrize("i", range(10))
    def test(i):
        note("ran", test=i)
        assert i not in (3, 7)
"""


def test_native_tracebacks_end_where_the_test_failed(suite: Suite) -> None:
    suite.tests("def test_a():\n    assert 0\n")
    suite.run("-n2", "--tb=native").stdout.fnmatch_lines(
        ["Traceback (most recent call last):", '  File "*test_it.py", line 2, in test_a', "AssertionError*"]
    )


def test_last_failed_runs_what_failed(suite: Suite) -> None:
    suite.tests(FEW_FAIL)
    suite.run("-n2").assert_summary(passed=8, failed=2)
    finished, plain = suite.run("-n2", "--lf"), suite.run("--lf")
    finished.assert_summary(**plain.summary)
    assert set(finished.ran) == {3, 7}
    finished.stdout.fnmatch_lines(["run-last-failure: rerun previous 2 failures"])


def test_failed_first_runs_what_failed_first(suite: Suite) -> None:
    suite.tests(FEW_FAIL)
    suite.run("-n2")
    finished = suite.run("-n1", "--ff")
    finished.assert_summary(passed=8, failed=2)
    assert finished.facts("ran", "test")[:2] == [3, 7]


@pytest.mark.parametrize("how", [["-n2"], []], ids=["parallel", "plain"])
def test_last_failed_forgets_what_passes(suite: Suite, how: list[str]) -> None:
    suite.tests(FEW_FAIL)
    suite.run(*how)
    suite.tests(FEW_FAIL.replace("(3, 7)", "(3,)"))
    suite.run(*how, "--lf").assert_summary(passed=1, failed=1)
    finished = suite.run(*how, "--lf")
    assert set(finished.ran) == {3}


@pytest.mark.parametrize("how", [["-n2"], []], ids=["parallel", "plain"])
def test_last_failed_knows_a_module_that_could_not_be_imported(suite: Suite, how: list[str]) -> None:
    suite.trivial(3)
    suite.file("test_broken.py", "1 / 0\n")
    suite.run(*how, "--continue-on-collection-errors").assert_summary(passed=3, errors=1)
    suite.file("test_broken.py", "def test(): pass\n")
    suite.run(*how, "--lf").assert_summary(passed=1, deselected=3)
    suite.run(*how, "--lf").assert_summary(passed=4)


def test_new_first_runs_new_tests_first(suite: Suite) -> None:
    suite.trivial(3)
    suite.run("-n2", "--nf")
    suite.file("test_new.py", "from recorder import note\ndef test(): note('ran', test='new')\n")
    assert suite.run("-n1", "--nf").facts("ran", "test")[0] == "new"


def test_stepwise_stops_and_goes_on_where_it_stopped(suite: Suite) -> None:
    suite.tests(FEW_FAIL)
    finished = suite.run("-n1", "--sw")
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    finished.assert_summary(passed=3, failed=1)
    again = suite.run("-n1", "--sw")
    assert again.facts("ran", "test")[0] == 3
    again.assert_summary(failed=1, deselected=3)
    skipping = suite.run("-n1", "--sw", "--sw-skip")
    skipping.assert_summary(passed=3, failed=2, deselected=3)
