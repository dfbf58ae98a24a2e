"""Suites that look for objects, though workers begin with a frozen heap."""

from __future__ import annotations

import pytest

from tests.conftest import Suite

pytestmark = pytest.mark.python_dependent

each_method = pytest.mark.parametrize("method", ["fork", "fork-early", "spawn"])


@each_method
@pytest.mark.parametrize(
    ("keep", "look"),
    [
        ("pass", "gc.get_objects()"),
        ("from gc import get_objects as objects", "objects()"),
        ("class Helper: objects = gc.get_objects", "Helper.objects()"),
        ("pass", "gc.get_referrers(Leak)"),
    ],
)
def test_a_check_for_leaks_at_the_end_of_a_session_sees_them(
    suite: Suite, method: str, keep: str, look: str
) -> None:
    suite.conftest(f"""
        import gc
        from recorder import note

        {keep}

        class Leak:
            pass

        def pytest_sessionfinish(session):
            from test_it import KEPT
            found = [each for each in {look} if type(each) is Leak]
            if hasattr(session.config, "workerinput"):
                note("leaks", count=len(found))
                if found:
                    session.shouldfail = "leaks"
    """)
    suite.tests("""
        import pytest
        from conftest import Leak

        KEPT = [Leak() for _ in range(3)]
        for each in KEPT:
            each.itself = each

        @pytest.mark.parametrize("i", range(4))
        def test(i):
            pass
    """)
    suite.run("-n2", f"--start-method={method}").assert_summary(passed=4)
    assert suite.records()
    assert [note["count"] for note in suite.records() if note["kind"] == "leaks"] == [3, 3]


def test_objects_made_at_import_are_collected_when_a_test_asks_for_it(suite: Suite) -> None:
    suite.tests("""
        import gc
        import weakref

        class Thing:
            pass

        THINGS = [Thing(), Thing()]
        for each in THINGS:
            each.itself = each
        REFS = [weakref.ref(each) for each in THINGS]
        del each

        def test_collects():
            assert [ref() for ref in REFS] == THINGS
            THINGS.clear()
            gc.collect()
            assert [ref() for ref in REFS] == [None, None]

        def test_own_objects():
            thing = Thing()
            thing.itself = thing
            ref = weakref.ref(thing)
            del thing
            gc.collect()
            assert ref() is None
    """)
    suite.run("-n1").assert_summary(passed=2)
    suite.run("-n1", "--isolate").assert_summary(passed=2)


HYPOTHESIS = """
import hypothesis
from hypothesis import given, settings, strategies as st

@settings(max_examples=5, database=None)
@given(st.integers())
def test_integers(i):
    pass
"""


@pytest.mark.parametrize("where", ["import", "test"])
def test_hypothesis_finds_who_holds_a_random_generator_that_is_registered(suite: Suite, where: str) -> None:
    """As trio's entry point does it, for a generator of a module that was imported long before."""
    suite.file("library.py", "import random\nRANDOM = random.Random(0)")
    suite.conftest("import library")
    register = "hypothesis.register_random(library.RANDOM)"
    early = register if where == "import" else ""
    suite.tests(f"import library\n{HYPOTHESIS}\n{early}\ndef test_registers():\n    {register}\n")
    finished = suite.run("-n1", "-W", "error")
    finished.assert_summary(passed=2)


def test_a_suite_in_which_nobody_looks_stays_frozen(suite: Suite) -> None:
    """Hypothesis and pytest collect garbage, and look at nothing."""
    suite.conftest("""
        from recorder import note

        def pytest_unconfigure(config):
            from pytest_procpar.system.frozen_heap import is_frozen
            if hasattr(config, "workerinput"):
                note("frozen", it=is_frozen())
    """)
    suite.tests(f"{HYPOTHESIS}\ndef test_other(): pass")
    finished = suite.run("-n2")
    finished.assert_summary(passed=2)
    assert set(finished.facts("frozen", "it")) == {True}
    assert "procpar_freeze_heap" not in finished.out
    unfrozen = suite.run("-n2", "-o", "procpar_freeze_heap=false")
    assert set(unfrozen.facts("frozen", "it")) == {False}


def test_a_project_that_freezes_the_heap_itself_finds_it_as_it_has_left_it(suite: Suite) -> None:
    suite.tests("""
        import gc
        import pytest

        gc.freeze()
        COUNT = gc.get_freeze_count()

        @pytest.mark.parametrize("i", range(2))
        def test(i):
            assert 0.9 * COUNT < gc.get_freeze_count() <= COUNT
    """)
    suite.run("-n2").assert_summary(passed=2)


def test_a_log_that_is_open_before_the_fork_leaves_the_heap_frozen(suite: Suite) -> None:
    suite.conftest("""
        LOG = open("log", "w")
        LOG.write("begun ")
    """)
    suite.tests("""
        import gc

        def test():
            assert gc.get_objects.__self__ is not gc  # it is ours, which thaws
    """)
    suite.run("-n1", "--start-method=fork").assert_summary(passed=1)
    assert (suite.path / "log").read_text() == "begun "
