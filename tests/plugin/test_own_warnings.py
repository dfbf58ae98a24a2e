"""What a test records or reports that is no plain value: what can be shown is, and the rest is told."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from tests.conftest import Suite

pytestmark = pytest.mark.pytest_dependent

RECORDING = """
    import collections, decimal, enum, pathlib, pytest

    class Thing:
        def __repr__(self): return "<thing & co>"
        def __str__(self): return "a thing"

    class Colour(enum.IntEnum):
        RED = 1

    class Word(str, enum.Enum):
        YES = "yes"

    Point = collections.namedtuple("Point", "x y")

    def test(record_property, record_testsuite_property):
        values = [Thing(), [Thing()], {Thing(): Thing()}, Colour.RED, Word.YES, Point(1, Thing()), {1, 2},
                  len, decimal.Decimal(2), pathlib.Path("a"), collections.OrderedDict(a=1), 1.5, None, b"x"]
        for number, value in enumerate(values):
            record_property(f"property {number}", value)
        record_property("grows", values)
        record_testsuite_property("suite", str(Thing()))
        values.append(Thing())

    @pytest.mark.parametrize("i", range(3))
    def test_pass(i): pass
"""


def without_times(path: Any) -> str:
    """A junit xml file, without what no two runs have in common."""
    text = path.read_text()
    ElementTree.fromstring(text)
    text = re.sub(r'( time| timestamp| hostname)="[^"]*"', "", text)
    return re.sub("0x[0-9a-f]+", "0x", text)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_whatever_is_recorded_is_in_junit_as_in_a_plain_run_and_costs_no_warning(
    suite: Suite, method: str
) -> None:
    suite.tests(RECORDING)
    # The recorder cannot write down such properties where they are what they are.
    options = ["-p", "no:recorder", "-o", "junit_family=xunit1", "-W", "error"]
    suite.run(*options, "--junitxml=plain.xml", "-n0").assert_summary(passed=4)
    finished = suite.run(*options, "--junitxml=ours.xml", "-n1", f"--start-method={method}")
    finished.assert_summary(passed=4)
    assert without_times(suite.path / "ours.xml") == without_times(suite.path / "plain.xml")


REPORTING = """
    import pytest

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(item, call):
        report = yield
        if call.when == "call" and "odd" in item.name:
            report.odd = [object()]
        return report
"""
ODD = """
    import pytest

    def test_odd(): pass
    @pytest.mark.filterwarnings("ignore::pytest.PytestWarning")
    def test_oddly_ignored(): pass
    def test_even(): pass
"""


@pytest.mark.parametrize(
    ("args", "counts"),
    [
        ((), {"passed": 3, "warnings": 1}),
        (("-W", "ignore"), {"passed": 3}),
        (("-W", "error"), {"passed": 3, "errors": 1}),
        (("-o", "filterwarnings=error"), {"passed": 3, "errors": 1}),
        (("-W", "error", "-W", "ignore::pytest.PytestWarning"), {"passed": 3}),
        (("-p", "no:warnings"), {"passed": 3}),
    ],
    ids=" ".join,
)
def test_what_cannot_be_carried_is_told_by_the_rules_for_warnings(
    suite: Suite, args: tuple[str, ...], counts: dict[str, int]
) -> None:
    suite.conftest(REPORTING)
    suite.tests(ODD)
    finished = suite.run("-n1", *args)
    finished.assert_summary(**counts)
    assert finished.ret == (1 if "errors" in counts else 0)
    said = "a value of type object ('odd') in what test_it.py::test_odd reports cannot be carried"
    assert (said in finished.out) == (len(counts) > 1)


def test_what_a_worker_leaves_for_the_end_is_told_too(suite: Suite) -> None:
    suite.conftest("""
        def pytest_sessionfinish(session):
            if hasattr(session.config, "workeroutput"):
                session.config.workeroutput["odd"] = [object()]
    """)
    suite.trivial(1)
    for args, counts in [((), {"passed": 1, "warnings": 1}), (("-W", "error"), {"passed": 1, "errors": 1})]:
        finished = suite.run("-n1", *args)
        finished.assert_summary(**counts)
        assert "a value of type object ('odd') in config.workeroutput cannot be carried" in finished.out
