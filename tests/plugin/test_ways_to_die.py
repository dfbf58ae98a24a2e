"""Whatever a test does to its process: it is blamed and no other, the rest is reported, nothing is left."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from tests.conftest import Finished, Suite
from tests.plugin.ways import HEAD, LOADFILE, WAYS, Way

pytestmark = pytest.mark.python_dependent

#: How many good tests stand before the bad one, after it, and in the other module.
EACH = 6
#: Seconds that a run may take, on a busy machine.
ENOUGH = 60.0

PASSED = ["setup passed", "call passed", "teardown passed"]
#: What is reported of a test that comes to an ordinary end.
ORDINARY = {
    "passed": PASSED,
    "failed": ["setup passed", "call failed", "teardown passed"],
    "error": ["setup failed", "teardown passed"],
    "interrupted": ["setup passed"],
    "": [],
}

#: A plugin that counts the runs of tests in memory which all processes share, whatever becomes of their
#: descriptors. In workers nobody listens but pytest: what a test does to its process would break others.
TALLY = """
    import ctypes
    import mmap
    from pathlib import Path

    import pytest

    C = ctypes.CDLL(None)
    C.mmap.restype = ctypes.c_void_p
    C.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]

    with open(Path(__file__).with_name("tally"), "r+b") as file:
        PROTECTION = mmap.PROT_READ | mmap.PROT_WRITE
        ADDRESS = C.mmap(None, mmap.PAGESIZE, PROTECTION, mmap.MAP_SHARED, file.fileno(), 0)
    COUNTS = (ctypes.c_ubyte * mmap.PAGESIZE).from_address(ADDRESS)

    def ran(number):
        COUNTS[number] += 1

    @pytest.hookimpl(optionalhook=True)
    def pytest_procpar_worker_forked(config):
        config.pluginmanager.unregister(name="recorder-of-ends")
"""

GOOD = """
@pytest.mark.parametrize("i", range({start}, {stop}))
def test_{name}(i):
    ran(i)

"""

NODEIDS = [
    f"{module}::{test}[{start + i}]"
    for start, (module, test) in zip(
        range(0, 3 * EACH, EACH),
        [("test_one.py", "test_before"), ("test_one.py", "test_after"), ("test_two.py", "test_elsewhere")],
        strict=True,
    )
    for i in range(EACH)
]


def run(suite: Suite, way: Way) -> tuple[Finished, Counter[str]]:
    """Run the bad test among good ones; how it went, and how often each good one ran."""
    counts = suite.path / "tally"
    counts.write_bytes(bytes(len(NODEIDS)))
    suite.file("tally.py", TALLY)
    before, after, elsewhere = (
        GOOD.format(start=start, stop=start + EACH, name=name)
        for start, name in zip(range(0, 3 * EACH, EACH), ["before", "after", "elsewhere"], strict=True)
    )
    parts = [before, after, way.code] if way.last else [before, way.code, after]
    suite.file("test_one.py", "".join([HEAD, *parts]))
    suite.file("test_two.py", HEAD + elsewhere)
    if way.conftest:
        suite.conftest(way.conftest)
    finished = suite.run("-p", "tally", *way.args, timeout=ENOUGH)
    return finished, +Counter(dict(zip(NODEIDS, counts.read_bytes(), strict=True)))


def is_bad(nodeid: str) -> bool:
    return nodeid.endswith("::test_bad")


@pytest.mark.parametrize("way", [pytest.param(way, id=name.replace(" ", "-")) for name, way in WAYS.items()])
def test_nothing_else_is_lost_when(suite: Suite, way: Way) -> None:
    finished, ran = run(suite, way)
    outcomes = finished.outcomes
    assert way.reason or set(ran) == set(NODEIDS)
    assert way.may_cost_worker or not ran or set(ran.values()) == {1}
    good = {nodeid: words for nodeid, words in outcomes.items() if not is_bad(nodeid)}
    assert good == dict.fromkeys(ran, PASSED)
    (ended,) = [words for nodeid, words in outcomes.items() if is_bad(nodeid)] or [[]]
    reports = [report for report in finished.notes("report") if is_bad(report["nodeid"])]
    if ended[-1:] == ["??? failed"]:
        assert_blamed(way, finished, reports)
    else:
        assert_ordinary(way, finished, ended, reports)
    assert_ended(way, finished)


def assert_blamed(way: Way, finished: Finished, reports: list[dict[str, Any]]) -> None:
    """The process of the bad test died, which is said of it in every detail."""
    *before, report = reports
    facts = dict(report["properties"])
    outcome = facts["procpar_outcome"]
    assert outcome in way.ends.split()
    assert tuple(f"{r['when']} {r['outcome']}" for r in before) == way.before
    line, _, rest = report["longrepr"].partition("\n")
    how = (
        rf"crashed while running '{re.escape(report['nodeid'])}': ({way.words})"
        if outcome == "crashed"
        else rf"hung while running '{re.escape(report['nodeid'])}': longer than {way.limit:g} s"
    )
    if way.may_cost_worker:  # it may have run on unheard: nobody knows in which phase it broke off
        assert re.match(rf"worker 'gw\d' {how}", line)
        return
    assert re.fullmatch(rf"worker 'gw\d' {how} in (?:its|the) ({way.phase})", line)
    assert re.fullmatch(way.words, facts["procpar_cause"])
    assert re.fullmatch(way.phase, facts["procpar_phase"])
    assert facts.get("procpar_limit") == (way.limit if outcome == "hung" else None)
    for pattern in way.stacks:
        assert re.search(pattern, rest)
    sections = dict(report["sections"])
    for title, pattern in way.sections:
        assert re.search(pattern, sections.get(title, ""), re.DOTALL), f"{title}: {sections}"
    word = outcome.upper()
    assert re.search(
        rf"^{word} {re.escape(report['nodeid'])} - .*, ({way.phase}) \(gw\d\)$", finished.out, re.M
    )
    assert re.search(rf"^    alone: pytest -n 1 .*{re.escape(report['nodeid'])}$", finished.out, re.M)


def assert_ordinary(way: Way, finished: Finished, ended: list[str], reports: list[dict[str, Any]]) -> None:
    """The bad test came to an end that plain pytest knows."""
    assert ended in [ORDINARY.get(end) for end in way.ends.split() or [""]]
    failure = "".join(report["longrepr"] for report in reports)
    assert way.may_cost_worker or re.search(way.words, failure)
    if way.args[: len(LOADFILE)] == LOADFILE and not way.may_cost_worker:
        own = {r["by"] for r in finished.notes("report") if r["nodeid"].startswith("test_one.py")}
        assert len(own) == 1, "its worker was lost"


def assert_ended(way: Way, finished: Finished) -> None:
    """The run says what went wrong, and what it says adds up."""
    lost_workers = finished.notes("collectreport")
    said = re.sub(r"\s+", " ", finished.out)
    if way.may_cost_worker:
        assert finished.ret in (0, 1)
        assert not lost_workers or re.search(way.error, said)
    else:
        assert finished.ret == way.status
        assert len(lost_workers) == bool(way.error)
        assert re.search(way.error, said)
    assert re.search(way.reason, said)
    words = Counter(word for reports in finished.outcomes.values() for word in reports)
    counts = {
        "passed": words["call passed"],
        "failed": words["call failed"] + words["??? failed"],
        "errors": words["setup failed"] + len(lost_workers),
    }
    assert {name: n for name, n in finished.summary.items() if not name.startswith("warning")} == {
        name: n for name, n in counts.items() if n
    }
