"""Tests that share a fixture of module or class scope go to one worker as long as there is work for all."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.conftest import Suite

#: Waits until the test outside has seen all set-ups that it waits for.
BARRIER = """
    import os
    from pathlib import Path
    from recorder import note, reached

    def meet(word):
        note("set up", what=word)
        reached(word)
        fd = os.open(Path(__file__).with_name("go.fifo"), os.O_RDONLY)
        os.read(fd, 1)
        os.close(fd)
"""

#: Ways to set up something for 20 tests; NAME is the name of the module or class.
WAYS = {
    "module fixture": """
        import pytest, barrier

        @pytest.fixture(scope="module")
        def shared():
            barrier.meet("NAME")

        @pytest.mark.parametrize("i", range(20))
        def test(shared, i): pass
    """,
    "autouse": """
        import pytest, barrier

        @pytest.fixture(scope="module", autouse=True)
        def shared():
            barrier.meet("NAME")

        @pytest.mark.parametrize("i", range(20))
        def test(i): pass
    """,
    "behind a function fixture": """
        import pytest, barrier

        @pytest.fixture(scope="module")
        def shared():
            barrier.meet("NAME")

        @pytest.fixture
        def value(shared): return 1

        @pytest.mark.parametrize("i", range(20))
        def test(value, i): pass
    """,
    "setup_module": """
        import pytest, barrier

        def setup_module():
            barrier.meet("NAME")

        @pytest.mark.parametrize("i", range(20))
        def test(i): pass
    """,
    "class fixture": """
        import pytest, barrier

        @pytest.fixture(scope="class")
        def shared():
            barrier.meet("NAME")

        class TestIt:
            @pytest.mark.parametrize("i", range(20))
            def test(self, shared, i): pass
    """,
    "setup_class": """
        import pytest, barrier

        class TestIt:
            @classmethod
            def setup_class(cls):
                barrier.meet("NAME")

            @pytest.mark.parametrize("i", range(20))
            def test(self, i): pass
    """,
    "setUpClass": """
        import unittest, barrier

        class TestIt(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                barrier.meet("NAME")

        for i in range(20):
            setattr(TestIt, f"test_{i}", lambda self: None)
    """,
}


class Meeting:
    """Lets set-ups go on once all of them have come."""

    def __init__(self, suite: Suite) -> None:
        suite.make_barrier()
        suite.file("barrier.py", BARRIER)
        os.mkfifo(suite.path / "go.fifo")
        self._suite = suite
        self._go = os.open(suite.path / "go.fifo", os.O_RDWR)

    def await_all(self, count: int) -> list[str]:
        """The names of those that have come; they, and those that come later, go on."""
        words = [line.split()[1] for line in self._suite.await_reached(count)]
        os.write(self._go, b"x" * 1000)
        return sorted(words)

    def close(self) -> None:
        os.close(self._go)


@pytest.fixture
def meeting(suite: Suite) -> Iterator[Meeting]:
    made = Meeting(suite)
    yield made
    made.close()


def write(suite: Suite, way: str, count: int) -> list[str]:
    """Modules that set something up that way, and their names."""
    names = [f"m{number}" for number in range(count)]
    for name in names:
        suite.file(f"test_{name}.py", WAYS[way].replace("NAME", name))
    return names


@pytest.mark.parametrize("way", WAYS)
def test_each_worker_begins_with_a_module_of_its_own(suite: Suite, meeting: Meeting, way: str) -> None:
    names = write(suite, way, 2)
    running = suite.start("-n2")
    assert meeting.await_all(2) == names
    running.finish().assert_summary(passed=40)


@pytest.mark.parametrize("dist", ["load", "worksteal"])
def test_six_modules_are_set_up_one_after_another_in_four_workers(
    suite: Suite, meeting: Meeting, dist: str
) -> None:
    names = write(suite, "module fixture", 6)
    running = suite.start("-n4", f"--dist={dist}")
    assert meeting.await_all(4) == names[:4]
    result = running.finish()
    result.assert_summary(passed=120)
    assert set(result.facts("set up", "what")) == {*names}


@pytest.mark.parametrize("method", ["fork-early", "spawn"])
def test_workers_that_collect_for_themselves_share_in_the_same_way(
    suite: Suite, meeting: Meeting, method: str
) -> None:
    names = write(suite, "module fixture", 2)
    running = suite.start("-n2", f"--start-method={method}")
    assert meeting.await_all(2) == names
    running.finish().assert_summary(passed=40)


def test_one_module_is_shared_by_all_workers_from_the_start(suite: Suite, meeting: Meeting) -> None:
    write(suite, "module fixture", 1)
    running = suite.start("-n3")
    assert meeting.await_all(3) == ["m0"] * 3
    running.finish().assert_summary(passed=20)


def test_the_parameters_of_a_module_fixture_are_set_up_in_different_workers(
    suite: Suite, meeting: Meeting
) -> None:
    suite.tests("""
        import pytest, barrier

        @pytest.fixture(scope="module", params=["first", "second"])
        def shared(request):
            barrier.meet(request.param)

        @pytest.mark.parametrize("i", range(20))
        def test(shared, i): pass
    """)
    running = suite.start("-n2")
    assert meeting.await_all(2) == ["first", "second"]
    running.finish().assert_summary(passed=40)


def test_a_class_that_sets_up_nothing_is_no_unit(suite: Suite, meeting: Meeting) -> None:
    suite.tests("""
        import unittest, barrier

        class TestIt(unittest.TestCase):
            def test_first(self): barrier.meet("first")
            def test_second(self): barrier.meet("second")
    """)
    running = suite.start("-n2")
    assert meeting.await_all(2) == ["first", "second"]
    running.finish().assert_summary(passed=2)


def test_the_classes_of_a_module_fixture_that_skips_or_fails_are_all_reported(suite: Suite) -> None:
    suite.tests("""
        import pytest

        @pytest.fixture(scope="module")
        def skips(): pytest.skip("not here")

        @pytest.fixture(scope="module")
        def fails(): raise OSError

        @pytest.mark.parametrize("i", range(10))
        def test_skipped(skips, i): pass

        @pytest.mark.parametrize("i", range(10))
        def test_failed(fails, i): pass

        @pytest.mark.parametrize("i", range(10))
        @pytest.mark.skip
        def test_marked(fails, i): pass
    """)
    suite.run("-n2").assert_summary(skipped=20, errors=10)
