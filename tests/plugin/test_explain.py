"""Which state makes a test fail after another: named, and called proven only if putting it back helped."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.conftest import Finished, Suite
from tests.plugin.rechecking import name, rechecked, section, told

LIB = """
    import logging
    VALUE = 1
    OTHER = 1
    LIST = []
    NESTED = {"list": []}
    SEEN = {"a"}
    logger = logging.getLogger("lib")
    class Class:
        attr = 1
        def greet(self): return "hello"
    class Registry:
        def __init__(self): self.entries = 0
    registry = Registry()
"""

#: What a polluter does, what its victim wants, and the slot that is to blame.
SINGLE = {
    "an environment variable": (
        "os.environ['SHOP'] = 'open'",
        "'SHOP' not in os.environ",
        "os.environ['SHOP']",
    ),
    "the working directory": ("os.chdir('..')", "Path('test_it.py').exists()", "os.getcwd()"),
    "a global": ("lib.VALUE = 2", "lib.VALUE == 1", "lib.VALUE"),
    "a class attribute": ("lib.Class.attr = 2", "lib.Class.attr == 1", "lib.Class.attr"),
    "a list": ("lib.LIST.append(3)", "not lib.LIST", "lib.LIST"),
    "a list in a dictionary": (
        "lib.NESTED['list'].append(3)",
        "not lib.NESTED['list']",
        "lib.NESTED['list']",
    ),
    "a set": ("lib.SEEN.add('b')", "lib.SEEN == {'a'}", "lib.SEEN"),
    "an attribute of a singleton": (
        "lib.registry.entries = 1",
        "not lib.registry.entries",
        "lib.registry.entries",
    ),
    "a mock left on a class": (
        "mock.patch.object(lib.Class, 'greet').start()",
        "lib.Class().greet() == 'hello'",
        "lib.Class.greet",
    ),
    "a logger's level": (
        "lib.logger.setLevel(logging.ERROR)",
        "lib.logger.isEnabledFor(logging.WARNING)",
        "logging.getLogger('lib').level",
    ),
    "an imported module": (
        "importlib.import_module('colorsys')",
        "'colorsys' not in sys.modules",
        "sys.modules['colorsys']",
    ),
}


#: What is proven is also made into a patch, which is tried in two more interpreters: not here, but in
#: `test_suggestions`.
NO_PATCHES = """
    import os

    def pytest_runtest_logreport(report):
        if report.failed and "PYTEST_XDIST_WORKER" not in os.environ and "PROCPAR_RERUN" not in os.environ:
            from pytest_procpar.recheck.fresh_steps import FreshSteps

            assert FreshSteps.suggest
            FreshSteps.suggest = lambda self, has_budget: None
"""


@pytest.fixture(autouse=True)
def no_patches(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.file("no_patches.py", NO_PATCHES)
    monkeypatch.setenv("PYTEST_PLUGINS", f"{os.environ['PYTEST_PLUGINS']},no_patches")


def polluted(suite: Suite, pollute: str, fine: str) -> None:
    """A suite whose polluter also changes what nobody minds."""
    suite.file("lib.py", LIB)
    suite.tests(f"""
        import importlib, lib, logging, os, sys
        from pathlib import Path
        from unittest import mock
        def test_polluter():
            lib.OTHER = 2
            {pollute}
        def test_between(): pass
        def test_victim(): assert {fine}
    """)


def proven(findings: list[dict[str, Any]]) -> set[str]:
    """The slots of the only finding that are called proven."""
    (finding,) = findings
    return {change["slot"] for change in finding["state"] if change["proven"]}


def said(finished: Finished) -> set[str]:
    """The slots that the summary calls proven."""
    start = "    proven: "
    return {
        line.removeprefix(start).split(" is ", 1)[0] for line in section(finished) if line.startswith(start)
    }


NOTHING = "    no state was found that makes it pass when it is put back"


@pytest.mark.parametrize(("pollute", "fine", "slot"), SINGLE.values(), ids=SINGLE.keys())
def test_the_state_that_is_to_blame_is_proven_and_no_other(
    suite: Suite, pollute: str, fine: str, slot: str
) -> None:
    polluted(suite, pollute, fine)
    finished, findings = rechecked(suite, "-n1", "--recheck-explain")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    assert proven(findings) == said(finished) == {slot}


def test_a_filter_of_warnings_is_proven(suite: Suite) -> None:
    # Without pytest's own plugin, which puts filters back after each test.
    suite.tests("""
        import warnings
        def test_polluter(): warnings.simplefilter("error")
        def test_victim(): warnings.warn("careful")
    """)
    finished, findings = rechecked(suite, "-n1", "--recheck-explain", "-p", "no:warnings")
    assert proven(findings) == said(finished) == {"warnings.filters"}


def test_what_is_proven_is_shown_as_it_was_before_and_is_after(suite: Suite) -> None:
    polluted(suite, "lib.VALUE = 2", "lib.VALUE == 1")
    finished, findings = rechecked(suite, "-n1", "--recheck-explain")
    (change,) = [change for change in findings[0]["state"] if change["proven"]]
    assert change == {"slot": "lib.VALUE", "before": "1", "after": "2", "proven": True}
    assert "    proven: lib.VALUE is 1 before and 2 after" in section(finished)


def test_what_nobody_minds_is_listed_and_not_proven(suite: Suite) -> None:
    polluted(suite, "lib.VALUE = 2", "lib.VALUE == 1")
    _, findings = rechecked(suite, "-n1", "--recheck-explain")
    assert {"slot": "lib.OTHER", "before": "1", "after": "2", "proven": False} in findings[0]["state"]


def test_slots_that_only_help_together_are_all_proven(suite: Suite) -> None:
    polluted(suite, "lib.VALUE = 2; lib.LIST.append(3)", "lib.VALUE == 1 and not lib.LIST")
    finished, findings = rechecked(suite, "-n1", "--recheck-explain")
    assert proven(findings) == said(finished) == {"lib.VALUE", "lib.LIST"}


def test_slots_that_two_polluters_change_are_proven(suite: Suite) -> None:
    suite.file("lib.py", LIB)
    suite.tests("""
        import lib
        def test_one(): lib.VALUE = 2
        def test_two(): lib.LIST.append(3)
        def test_victim(): assert lib.VALUE == 1 or not lib.LIST
    """)
    finished, findings = rechecked(suite, "-n1", "--recheck-explain")
    assert told(findings) == {"test_victim": ("victim", ["test_one", "test_two"])}
    assert len(proven(findings)) == 1  # either one, put back, is enough
    assert said(finished) == proven(findings) < {"lib.VALUE", "lib.LIST"}


def test_what_a_lazy_module_has_resolved_is_proven_with_the_import(suite: Suite) -> None:
    suite.file(
        "lib.py",
        """
        import importlib, types
        class Lazy(types.ModuleType):
            def __getattr__(self, name):
                found = self.__dict__[name] = importlib.import_module(name)
                return found
        lazy = Lazy("lib.lazy")
        """,
    )
    suite.tests("""
        import lib, sys
        def test_polluter(): lib.lazy.colorsys
        def test_victim():
            assert "colorsys" not in sys.modules
            assert lib.lazy.colorsys is sys.modules["colorsys"]
    """)
    finished, findings = rechecked(suite, "-n1", "--recheck-explain")
    assert proven(findings) == said(finished) == {"lib.lazy.colorsys", "sys.modules['colorsys']"}


# --- what is not proven -----------------------------------------------------------------------------


def test_nothing_is_proven_of_a_polluter_that_acts_through_a_file(suite: Suite) -> None:
    # Only who comes of the polluter's process has the file open; that is no slot.
    polluted(
        suite,
        "os.dup2(os.open('state', os.O_CREAT | os.O_RDWR), 200)",
        "'200' not in os.listdir('/dev/fd')",
    )
    finished, findings = rechecked(suite, "-n1", "--recheck-explain")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    assert proven(findings) == said(finished) == set()
    assert NOTHING in section(finished)


def test_nothing_is_proven_of_a_file_that_outlives_its_process(suite: Suite) -> None:
    polluted(suite, "Path('state').touch()", "not Path('state').exists()")
    finished, findings = rechecked(suite, "-n1", "--recheck-explain")
    assert told(findings) == {}  # it fails in every process, now that the file is there
    assert said(finished) == set()
    assert not any(change["proven"] for finding in findings for change in finding.get("state", []))


def test_nothing_is_proven_of_what_a_generator_hides(suite: Suite) -> None:
    # A generator's variables are no slot: nobody can put them back.
    suite.file(
        "lib.py",
        """
        OTHER = 1
        def counting():
            number = 0
            while True:
                number += (yield number) or 0
        counter = counting()
        next(counter)
        """,
    )
    suite.tests("""
        import lib
        def test_polluter():
            lib.OTHER = 2
            lib.counter.send(5)
        def test_victim(): assert lib.counter.send(0) == 0
    """)
    finished, findings = rechecked(suite, "-n1", "--recheck-explain")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    assert proven(findings) == said(finished) == set()
    assert NOTHING in section(finished)
    assert "lib.OTHER" in {change["slot"] for change in findings[0]["state"]}


def test_nothing_is_proven_if_the_victim_passes_with_nothing_put_back(suite: Suite) -> None:
    polluted(suite, "lib.VALUE = os.getpid()", "lib.VALUE != os.getpid()")
    finished, findings = rechecked(suite, "-n1", "--recheck-explain")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    assert proven(findings) == said(finished) == set()
    assert NOTHING in section(finished)


# --- what is asked for ------------------------------------------------------------------------------


def test_a_report_has_the_state_without_being_asked_when_that_is_cheap(suite: Suite) -> None:
    polluted(suite, "lib.VALUE = 2", "lib.VALUE == 1")
    _, findings = rechecked(suite, "-n1")
    assert proven(findings) == {"lib.VALUE"}


def test_without_a_report_the_state_is_looked_for_only_on_request(suite: Suite) -> None:
    polluted(suite, "lib.VALUE = 2", "lib.VALUE == 1")
    finished = suite.run("-n1", "--recheck=failed")
    assert "VICTIM test_it.py::test_victim" in section(finished)
    assert said(finished) == set()
    assert NOTHING not in section(finished)


CLEANED = """
    STATE = []
    def test_polluter(): STATE.append(1)
    def test_victim(): assert not STATE
    def test_cleaner(): {clean}
    def test_more(): pass
"""


def test_a_cleaner_is_named(suite: Suite) -> None:
    suite.tests(CLEANED.format(clean="STATE.clear()"))
    finished, findings = rechecked(suite, "-n1", "--recheck-cleaners")
    assert [name(cleaner) for cleaner in findings[0]["cleaners"]] == ["test_cleaner"]
    assert "    cleaner: test_it.py::test_cleaner" in section(finished)


def test_that_there_is_no_cleaner_is_said(suite: Suite) -> None:
    suite.tests(CLEANED.format(clean="pass"))
    finished, findings = rechecked(suite, "-n1", "--recheck-cleaners")
    assert findings[0]["cleaners"] == []
    assert "    no cleaner was found" in section(finished)


def test_cleaners_are_looked_for_only_on_request(suite: Suite) -> None:
    suite.tests(CLEANED.format(clean="STATE.clear()"))
    finished, findings = rechecked(suite, "-n1")
    assert "cleaners" not in findings[0]
    assert not any("cleaner" in line for line in section(finished) if line.startswith("    "))


# --- what a brittle test needs -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pollute", "fine", "slot"),
    [case for what, case in SINGLE.items() if what != "the working directory"],
    ids=[what for what in SINGLE if what != "the working directory"],
)
def test_the_state_that_a_brittle_test_needs_is_proven_and_no_other(
    suite: Suite, pollute: str, fine: str, slot: str
) -> None:
    polluted(suite, pollute, f"not ({fine})")
    finished, findings = rechecked(suite, "-n1", "--recheck=all", "--recheck-explain")
    assert told(findings) == {"test_victim": ("brittle", ["test_polluter"])}
    assert proven(findings) == said(finished) == {slot}


def test_all_that_a_brittle_test_needs_is_proven(suite: Suite) -> None:
    polluted(suite, "lib.VALUE = 2; lib.Class.attr = 3", "lib.VALUE == 2 and lib.Class.attr == 3")
    finished, findings = rechecked(suite, "-n1", "--recheck=all", "--recheck-explain")
    assert told(findings) == {"test_victim": ("brittle", ["test_polluter"])}
    assert proven(findings) == said(finished) == {"lib.VALUE", "lib.Class.attr"}


def test_what_nobody_can_put_back_is_not_called_proven(suite: Suite) -> None:
    suite.tests("""
        import threading
        STATE = []
        def test_setter():
            STATE.append(1)
            threading.stack_size(1 << 20)
        def test_brittle(): assert threading.stack_size() == 1 << 20
    """)
    finished, findings = rechecked(suite, "-n1", "--recheck=all", "--recheck-explain")
    assert told(findings) == {"test_brittle": ("brittle", ["test_setter"])}
    assert proven(findings) == said(finished) == set()
    assert "    no state was found that makes it pass even if all else is put back" in section(finished)


def test_a_test_that_pollutes_one_and_sets_the_state_of_another_is_explained_for_each(suite: Suite) -> None:
    suite.tests("""
        BAD, GOOD = [], []
        def test_both():
            BAD.append(1)
            GOOD.append(1)
        def test_victim(): assert not BAD
        def test_brittle(): assert GOOD
    """)
    _, findings = rechecked(suite, "-n1", "--recheck=all", "--recheck-explain")
    found = {
        name(finding["test"]): [change["slot"] for change in finding["state"] if change["proven"]]
        for finding in findings
    }
    assert found == {"test_victim": ["test_it.BAD"], "test_brittle": ["test_it.GOOD"]}


def test_a_value_of_parametrize_that_a_test_changes_is_proven(suite: Suite) -> None:
    suite.tests("""
        import pytest
        @pytest.mark.parametrize("entries", [[], [1]])
        def test_fills(entries):
            entries.append(1)
            assert len(entries) < 3
    """)
    _, findings = rechecked(suite, "-n1", "--recheck=all", "--recheck-explain", "--recheck-budget=300")
    assert [(finding["kind"], name(finding["test"])) for finding in findings] == [
        ("nio", "test_fills[entries1]")
    ]
    assert proven(findings) == {"test_it.test_fills.pytestmark[0].args[1][1]"}
