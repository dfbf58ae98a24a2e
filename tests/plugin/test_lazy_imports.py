"""Lazy imports of Python 3.15: what test modules import so is imported once, before the workers are forked.

pytest sees to that: it looks at each name of a module for fixtures, when it collects it.
"""

from __future__ import annotations

import sys

import pytest

from tests.conftest import Suite

pytestmark = [
    pytest.mark.python_dependent,
    pytest.mark.skipif(sys.version_info < (3, 15), reason="Python has lazy imports since 3.15"),
]

#: Says in which process it is imported.
LIBRARY = """
    from recorder import note

    note("imported")
    VALUE = 7
"""


def write(suite: Suite) -> None:
    suite.file("library.py", LIBRARY)
    suite.file("other.py", LIBRARY.replace("imported", "imported other"))
    suite.conftest("""
        lazy from other import VALUE
        import pytest

        @pytest.fixture
        def value():
            return VALUE
    """)
    suite.tests("""
        lazy import library
        import pytest

        @pytest.mark.parametrize("i", range(4))
        def test(i, value):
            assert library.VALUE == value == 7
    """)


def test_what_tests_use_is_imported_once(suite: Suite) -> None:
    write(suite)
    finished = suite.run("-n2", "--start-method=fork")
    finished.assert_summary(passed=4)
    assert len(finished.notes("imported")) == 1
    assert (
        len(finished.notes("imported other")) == 2
    )  # in the controller, too, where pytest looks for fixtures


@pytest.mark.parametrize("method", ["fork-early", "spawn"])
def test_workers_that_import_for_themselves_import_what_they_use(suite: Suite, method: str) -> None:
    write(suite)
    finished = suite.run("-n2", f"--start-method={method}")
    finished.assert_summary(passed=4)
    assert len(finished.notes("imported")) == 2


def test_what_cannot_be_imported_fails_the_tests_that_use_it(suite: Suite) -> None:
    suite.file("broken.py", "raise ValueError('is broken')")
    suite.file("skips.py", "import pytest; pytest.skip('not here', allow_module_level=True)")
    suite.tests("""
        lazy import nowhere
        lazy import broken
        lazy import skips

        def test_does_not_use_them(): pass
        def test_nowhere(): nowhere.x
        def test_broken(): broken.x
        def test_skips(): skips.x
    """)
    plain = suite.run("-p", "no:procpar")
    finished = suite.run("-n2", "--start-method=fork")
    assert finished.outcomes == plain.outcomes
    finished.assert_summary(passed=1, failed=2, skipped=1)


def test_what_a_lazy_import_starts_is_seen_before_the_fork(suite: Suite) -> None:
    suite.file(
        "library.py",
        """
        import threading
        STOP = threading.Event()
        threading.Thread(target=STOP.wait, daemon=True, name="of-library").start()
    """,
    )
    suite.tests("""
        lazy import library
        import pytest

        @pytest.mark.parametrize("i", range(2))
        def test(i):
            assert library.STOP is not None
    """)
    finished = suite.run("-n2")
    finished.assert_summary(passed=2)
    assert "start method fork-early, since thread 'of-library' is running" in finished.out
