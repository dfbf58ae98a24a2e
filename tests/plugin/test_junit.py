"""Reports in files: a run under workers writes what a plain run writes, but for the order and times."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from typing import Any

import pytest

from tests.conftest import Finished, Suite

pytestmark = pytest.mark.pytest_dependent

CONFTEST = """
    import pytest

    @pytest.fixture(scope="session", autouse=True)
    def arch(record_testsuite_property):
        record_testsuite_property("ARCH", "PPC")
        yield
        record_testsuite_property("STORAGE", "CEPH")

    @pytest.fixture(scope="module", autouse=True)
    def of_module(request, record_testsuite_property):
        record_testsuite_property("module", request.module.__name__)
        record_testsuite_property("module", "any")
"""
SUITE = """
    import logging, sys, time, unittest
    import pytest

    log = logging.getLogger("some")

    @pytest.fixture
    def talkative():
        print("out of setup"); print("err of setup", file=sys.stderr); log.warning("log of setup")
        yield
        print("out of teardown"); print("err of teardown", file=sys.stderr); log.warning("log of teardown")

    @pytest.mark.parametrize("i", range(4))
    def test_passes(i, talkative, record_property):
        record_property("number", i)
        record_property("twice", "a"); record_property("twice", "b")
        print("out", i); print("err", i, file=sys.stderr); log.warning("log %d", i)

    def test_silent():
        pass

    def test_fails(talkative, record_property):
        record_property("before", "<the failure> \\x00")
        print("out of the call \\x1b[31m")
        assert [1, 2] == [1, 3], "not equal"

    def test_attributes(record_xml_attribute):
        record_xml_attribute("assertions", "REQ-1234")
        record_xml_attribute("classname", "custom_classname")

    def test_attributes_then_fails(record_xml_attribute, record_testsuite_property):
        record_xml_attribute("assertions", 7)
        record_testsuite_property("of a test", "that fails")
        assert 0

    @pytest.mark.parametrize("i", range(3))
    def test_suite_property(record_testsuite_property, i):
        record_testsuite_property("of a test", "the same")
        record_testsuite_property("number", str(i))

    def test_suite_property_that_is_no_string(record_testsuite_property):
        record_testsuite_property("a list", [1, (2,), object])
        with pytest.raises(TypeError):
            record_testsuite_property(3, "a number for a name")

    @pytest.mark.skip(reason="no need")
    def test_skipped():
        pass

    def test_skips_itself(record_property):
        record_property("why", "dunno")
        print("before it skipped")
        pytest.skip("not today")

    @pytest.mark.xfail(reason="known")
    def test_xfails():
        print("as was known")
        assert 0

    @pytest.mark.xfail(reason="thought so")
    def test_xpasses(record_property):
        record_property("x", "p")

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
    def broken_teardown(record_xml_attribute):
        record_xml_attribute("fixture", "that breaks")
        yield
        print("as it broke")
        raise ValueError("in teardown")

    def test_passes_then_errors(broken_teardown, record_property):
        record_property("p", 1)

    def test_fails_and_errors(broken_teardown, record_property):
        record_property("p", 2)
        assert 0, "and the teardown too"

    class TestClass:
        @classmethod
        def setup_class(cls):
            print("class setup")

        def test_method(self): pass

    class TestUnittest(unittest.TestCase):
        def test_passes(self): print("unit")
        def test_fails(self): self.assertEqual(1, 2)
        @unittest.expectedFailure
        def test_expected(self): assert 0

    def test_takes_time():
        time.sleep(0.02)
"""
OTHER = """
    import pytest

    def test_other(record_property):
        record_property("module", __name__)

    @pytest.mark.parametrize("name", ["a::b", "x[y]", "\\x07", "ü"])
    def test_names(name):
        pass
"""
SUBTESTS = """
    import pytest

    def test_subtests(subtests, record_property):
        record_property("has", "subtests")
        for i in range(4):
            with subtests.test("message", i=i):
                print("in subtest", i)
                assert i != 2
                if i == 3:
                    pytest.skip("three")

    def test_all_subtests_pass(subtests):
        with subtests.test(i=1):
            pass
"""


@pytest.fixture
def reports(suite: Suite) -> Suite:
    """A suite with everything that reports tell apart."""
    suite.conftest(CONFTEST)
    suite.file("test_it.py", SUITE)
    suite.file("test_other.py", OTHER)
    suite.file("folder/test_deep.py", "def test_deep(): pass")
    if pytest.version_tuple >= (9, 0):
        suite.file("test_sub.py", SUBTESTS)
    return suite


# --- junit xml --------------------------------------------------------------------------------------


def junit(suite: Suite, *args: str) -> tuple[Finished, ET.Element]:
    """Run, and parse the file; the first element is its test suite."""
    path = suite.path / "junit.xml"
    path.unlink(missing_ok=True)
    finished = suite.run(f"--junitxml={path}", *args)
    (testsuite,) = ET.parse(path).getroot()
    return finished, testsuite


def text_of(text: str | None) -> str:
    """What does not differ between two runs of the same: no addresses, no times, no workers."""
    text = re.sub(r"\[gw\d+\] linux -- Python .*\n?", "", text or "")
    return re.sub(r"<(bound method|function) \S+[^>]*>>?|0x[0-9a-f]+|\d+\.\d+s", "N", text).strip()


def case_of(case: ET.Element) -> tuple[Any, ...]:
    """All that a test case says, but its time."""
    attributes = tuple(sorted((k, v) for k, v in case.attrib.items() if k != "time"))
    below = tuple(
        (node.tag, tuple(sorted(node.attrib.items())), text_of(node.text), case_of(node)) for node in case
    )
    return (attributes, below)


def properties_of(testsuite: ET.Element) -> list[ET.Element]:
    """The properties of the whole suite."""
    return testsuite.findall("properties/property")


def content(testsuite: ET.Element) -> dict[str, Any]:
    """All that does not depend on the order of the tests or the clock."""
    return {
        "cases": Counter(case_of(case) for case in testsuite.iter("testcase")),
        "counts": {n: testsuite.get(n) for n in ("name", "errors", "failures", "skipped", "tests")},
        "properties": Counter((p.get("name"), p.get("value")) for p in properties_of(testsuite)),
    }


def assert_same_junit(suite: Suite, *args: str, workers: tuple[str, ...] = ("-n2",)) -> ET.Element:
    """Compare a plain run with one under workers; the latter's test suite."""
    plain, expected = junit(suite, *args)
    finished, found = junit(suite, *args, *workers)
    ours, theirs = content(found), content(expected)
    for name in ours:
        assert ours[name] == theirs[name]
    assert finished.ret == plain.ret
    return found


@pytest.mark.parametrize(
    ("family", "logging", "log_passing"),
    [
        ("xunit1", "no", True),
        ("xunit2", "log", True),
        ("legacy", "system-out", True),
        ("xunit1", "system-err", True),
        ("xunit2", "out-err", True),
        ("xunit1", "all", True),
        ("xunit1", "all", False),
        ("xunit2", "log", False),
        ("legacy", "out-err", False),
    ],
)
def test_junit_xml_is_that_of_a_plain_run(
    reports: Suite, family: str, logging: str, log_passing: bool
) -> None:
    options = {"junit_family": family, "junit_logging": logging, "junit_log_passing_tests": log_passing}
    found = assert_same_junit(reports, *[f"-o{name}={value}" for name, value in options.items()])
    properties = Counter((p.get("name"), p.get("value")) for p in properties_of(found))
    assert properties["ARCH", "PPC"] == 1
    assert properties["of a test", "the same"] == 3
    attributes = [case.get("assertions") for case in found.iter("testcase")]
    assert attributes.count("REQ-1234") == (family != "xunit2")


@pytest.mark.parametrize(
    "way", [["-n2", "--isolate"], ["-n1"], ["-n2", "--max-tests-per-worker=3"], ["-n3", "--dist=loadfile"]]
)
def test_junit_xml_whatever_runs_the_tests(reports: Suite, way: list[str]) -> None:
    assert_same_junit(reports, "-ojunit_family=xunit1", "-ojunit_logging=all", workers=(*way,))


def test_junit_xml_of_marked_tests_in_a_plain_run(reports: Suite) -> None:
    args = ("-ojunit_family=xunit1", "-ojunit_logging=all")
    _, expected = junit(reports, *args)
    reports.conftest(
        CONFTEST
        + """
    def pytest_collection_modifyitems(items):
        for item in items:
            item.add_marker("isolated")
    """
    )
    _, found = junit(reports, *args)
    assert content(found) == content(expected)


@pytest.mark.skipif(pytest.version_tuple < (9, 0), reason="subtests came with pytest 9")
def test_unittest_subtests(suite: Suite) -> None:
    suite.tests("""
        import unittest

        class TestSubtests(unittest.TestCase):
            def test_method(self):
                for i in range(3):
                    with self.subTest(i=i):
                        self.assertNotEqual(i, 1)
    """)
    assert_same_junit(suite)


def test_prefix_and_suite_name(reports: Suite) -> None:
    assert_same_junit(reports, "--junitprefix=pre", "-ojunit_suite_name=mine", "-ojunit_family=xunit1")


@pytest.mark.parametrize("what", ["total", "call"])
def test_time_of_a_test_is_that_of_its_phases(suite: Suite, what: str) -> None:
    suite.tests("""
        import time
        import pytest

        @pytest.fixture
        def slow():
            time.sleep(0.2)
            yield
            time.sleep(0.2)

        def test_slow(slow): time.sleep(0.1)
        def test_quick(): pass
    """)
    for workers in ([], ["-n2"], ["-n2", "--isolate"]):
        _, found = junit(suite, f"-ojunit_duration_report={what}", *workers)
        times = {case.get("name"): float(case.get("time", "-1")) for case in found.iter("testcase")}
        least, most = (0.5, 0.5 + 0.4) if what == "total" else (0.1, 0.1 + 0.3)
        assert least <= times["test_slow"] < most
        assert 0 <= times["test_quick"] < times["test_slow"]


def test_collection_error_and_skipped_module(suite: Suite) -> None:
    suite.file("test_a.py", "import nonsense_that_is_not_there")
    suite.file("test_b.py", "import pytest; pytest.skip('whole', allow_module_level=True)")
    suite.file("test_c.py", "def test(): pass")
    assert_same_junit(suite, "--continue-on-collection-errors")


def test_crashed_test_has_a_case_with_what_it_had_recorded(suite: Suite) -> None:
    suite.tests("""
        import os, signal
        import pytest

        def test_before(record_property): record_property("x", 1)

        def test_crashes(record_xml_attribute, record_testsuite_property):
            record_xml_attribute("assertions", "3")
            record_testsuite_property("before", "the crash")
            print("last words", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

        def test_after(record_testsuite_property):
            record_testsuite_property("after", "the crash")
    """)
    for way in (["-n2"], ["-n1"], ["-n2", "--isolate"]):
        _, found = junit(suite, "-ojunit_family=xunit1", "-ojunit_logging=all", *way)
        assert [found.get(n) for n in ("tests", "failures", "errors")] in (["3", "1", "0"], ["3", "0", "1"])
        cases = {case.get("name"): case for case in found.iter("testcase")}
        assert set(cases) == {"test_before", "test_crashes", "test_after"}
        assert [node.tag for node in cases["test_before"]] == ["properties", "system-out", "system-err"]
        assert cases["test_crashes"].get("assertions") == "3"
        (failure,) = [node for node in cases["test_crashes"] if node.tag in ("failure", "error")]
        assert "SIGKILL" in f"{failure.get('message')} {failure.text}"
        assert Counter(p.get("name") for p in properties_of(found)) == {"before": 1, "after": 1}


def test_hooks_that_are_called_in_the_controller_too_add_to_the_file_once(suite: Suite) -> None:
    suite.conftest("""
        import pytest
        from _pytest.junitxml import xml_key

        def add(config, name):
            xml = config.stash.get(xml_key, None)
            if xml:
                xml.add_global_property(name, "once")

        def pytest_sessionstart(session): add(session.config, "start")
        @pytest.hookimpl(tryfirst=True)
        def pytest_sessionfinish(session): add(session.config, "finish")
        def pytest_runtest_setup(item): add(item.config, item.name)
    """)
    suite.trivial(4)
    found = assert_same_junit(suite)
    assert len(properties_of(found)) == 6


def test_without_a_file_the_fixtures_do_nothing(suite: Suite) -> None:
    suite.tests("""
        from _pytest.junitxml import xml_key

        def test(request, record_testsuite_property, record_property):
            record_testsuite_property("a", "b")
            assert request.config.stash.get(xml_key, None) is None
    """)
    suite.run("-n1").assert_summary(passed=1)


def test_a_child_that_a_test_forks_adds_nothing(suite: Suite) -> None:
    suite.tests("""
        import os

        def test(record_testsuite_property):
            pid = os.fork()
            if pid == 0:
                record_testsuite_property("of", "a child")
                os._exit(0)
            os.waitpid(pid, 0)
            record_testsuite_property("of", "the test")
    """)
    found = assert_same_junit(suite)
    assert len(properties_of(found)) == 1


# --- pytest-reportlog -------------------------------------------------------------------------------

#: What differs between two runs of the same, log records included.
_CLOCK = {"start", "stop", "duration", "created", "msecs", "relativeCreated", "thread", "process"}
#: What says where a test ran; pytest-xdist adds the same.
_PLACE = {"node", "worker_id", "testrun_uid", "item_index", "$report_type"}


def stable(value: Any) -> Any:
    """A value without what may differ, in a form that can be counted."""
    if isinstance(value, dict):
        value = {k: stable(v) for k, v in value.items()}
        return tuple(sorted((k, v) for k, v in value.items() if k not in _CLOCK | _PLACE and v != ""))
    if isinstance(value, list):
        return tuple(map(stable, value))
    return text_of(value) if isinstance(value, str) else value


def log_lines(suite: Suite, *args: str) -> Counter[Any]:
    path = suite.path / "log.jsonl"
    path.unlink(missing_ok=True)
    suite.run("-ppytest_reportlog.plugin", f"--report-log={path}", *args)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    wanted = [line for line in lines if line.get("$report_type") != "CollectReport"]
    return Counter((line.get("$report_type"), stable(line)) for line in wanted)


@pytest.mark.parametrize("way", [["-n2"], ["-n2", "--isolate"]])
def test_report_log_has_the_lines_of_a_plain_run(reports: Suite, way: list[str]) -> None:
    assert log_lines(reports, *way) == log_lines(reports)


# --- pytest-json-report -----------------------------------------------------------------------------


def json_report(suite: Suite, *args: str) -> dict[str, Any]:
    path = suite.path / "report.json"
    path.unlink(missing_ok=True)
    plugins = ("-ppytest_metadata.plugin", "-ppytest_jsonreport.plugin", "--json-report")
    suite.run(*plugins, f"--json-report-file={path}", "--json-report-omit=collectors", *args)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.mark.parametrize("way", [["-n2"], ["-n2", "--isolate"]])
def test_json_report_is_that_of_a_plain_run(reports: Suite, way: list[str]) -> None:
    plain, ours = json_report(reports), json_report(reports, *way)
    assert Counter(map(stable, ours["tests"])) == Counter(map(stable, plain["tests"]))
    assert ours["summary"] == plain["summary"]
    assert ours["exitcode"] == plain["exitcode"]
    assert Counter(map(stable, ours.get("warnings", ()))) == Counter(map(stable, plain.get("warnings", ())))


def test_json_report_has_its_metadata(suite: Suite) -> None:
    suite.tests("""
        def test(json_metadata):
            json_metadata["some"] = {"deep": [1, 2]}
    """)
    for way in ([], ["-n1"]):
        (test,) = json_report(suite, *way)["tests"]
        assert test["metadata"] == {"some": {"deep": [1, 2]}}
