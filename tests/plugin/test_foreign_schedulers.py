"""Schedulers that plugins and conftests return from `pytest_xdist_make_scheduler`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.conftest import Finished, Suite

pytest_plugins = ["tests.xdist_env"]

#: A scheduler that deals tests to its nodes in turn, one at a time, and knows nothing of pytest-xdist.
SCHEDULER = """
    import pytest
    from recorder import note

    class InTurn:
        def __init__(self, config, log):
            self.config = config
            self.numnodes = len(config.option.tx)
            self.collections = {}
            self.sent = {}
            self.queue = None

        @property
        def nodes(self):
            return list(self.sent)

        @property
        def collection_is_completed(self):
            return len(self.collections) >= self.numnodes

        @property
        def has_pending(self):
            return bool(self.queue) or any(self.sent.values())

        @property
        def tests_finished(self):
            return self.collection_is_completed and not self.has_pending

        def add_node(self, node):
            self.sent[node] = []

        def add_node_collection(self, node, collection):
            self.collection = self.collections[node] = collection

        def schedule(self):
            if self.queue is None:
                self.queue = list(range(len(self.collection)))
            for node in self.nodes:
                self.send(node)

        def send(self, node):
            if self.queue and not self.sent[node] and not node.shutting_down:
                test = self.queue.pop(0)
                self.sent[node].append(test)
                node.send_runtest_some([test])

        def mark_test_complete(self, node, item_index, duration=0):
            self.sent[node].remove(item_index)
            self.send(node)

        def mark_test_pending(self, item):
            self.queue.insert(0, self.collection.index(item))
            for node in self.nodes:
                self.send(node)

        def remove_pending_tests_from_node(self, node, indices):
            raise NotImplementedError

        def remove_node(self, node):
            sent = self.sent.pop(node)
            self.queue = sent[1:] + self.queue
            return self.collection[sent[0]] if sent else None
"""

MAKE = """
    def pytest_xdist_make_scheduler(config, log):
        return Mine(config, log)
"""


def write(suite: Suite, mine: str = "class Mine(InTurn): pass", more: str = "") -> None:
    """A conftest with a scheduler: `mine` defines it."""
    lines = mine.strip("\n").splitlines()
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    indented = "\n".join(f"    {line[margin:]}" for line in lines)
    suite.conftest(f"{SCHEDULER}\n{indented}\n{MAKE}\n{more}")


def trivial(suite: Suite, count: int = 8) -> None:
    suite.trivial(count)


def ids(count: int) -> list[str]:
    return [f"test_it.py::test[{i}]" for i in range(count)]


def finals(finished: Finished) -> Counter[str]:
    """How often every test came to its end: was called, or crashed, hung or was not run."""
    notes = [n for n in finished.notes("report") if n["when"] in ("call", "???")]
    return Counter(n["nodeid"] for n in notes)


# --- what it is given, and what it may do ---------------------------------------------------------


def test_a_scheduler_of_ones_own_decides_who_runs_what(suite: Suite) -> None:
    trivial(suite)
    write(
        suite,
        """
        class Mine(InTurn):
            def schedule(self):
                assert [node.gateway.id for node in self.nodes] == ["gw0", "gw1"]
                for node in self.nodes:
                    assert node.config is self.config
                    assert node.workerinput["workerid"] == node.gateway.id
                    assert not node.shutting_down
                assert self.collection == [f"test_it.py::test[{i}]" for i in range(8)]
                first, second = self.nodes
                self.sent[first], self.sent[second] = [7, 5, 3, 1], [0, 2, 4, 6]
                first.send_runtest_some((7, 5))
                second.send_runtest_some([0, 2, 4, 6])
                first.send_runtest_some([3, 1])
                self.queue = []

            def send(self, node):
                pass

            def mark_test_complete(self, node, item_index, duration=0):
                assert duration >= 0
                note("complete", node=node.gateway.id, test=item_index)
                super().mark_test_complete(node, item_index, duration)
    """,
    )
    finished = suite.run("-n2", "-v")
    finished.assert_summary(passed=8)
    finished.stdout.fnmatch_lines(["scheduling tests via Mine"])
    ran = [(note["worker"], note["test"]) for note in finished.notes("ran")]
    assert [test for worker, test in ran if worker == "gw0"] == [7, 5, 3, 1]
    assert [test for worker, test in ran if worker == "gw1"] == [0, 2, 4, 6]
    complete = [(note["node"], note["test"]) for note in finished.notes("complete")]
    assert sorted(complete) == sorted(ran)
    assert finals(finished) == Counter(ids(8))


def test_it_gets_as_many_workers_as_it_was_promised(suite: Suite) -> None:
    trivial(suite, 1)
    write(suite)
    suite.run("-n3").assert_summary(passed=1)


def test_it_gets_workers_that_are_all_up_when_the_tests_are_known(suite: Suite) -> None:
    trivial(suite)
    write(suite)
    finished = suite.run("-n3", "--start-method=fork-early")
    finished.assert_summary(passed=8)
    assert finals(finished) == Counter(ids(8))


def test_an_empty_suite_needs_no_scheduler(suite: Suite) -> None:
    suite.tests("")
    write(suite)
    assert suite.run("-n2").ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_fixtures_live_until_the_scheduler_has_nothing_more(suite: Suite) -> None:
    suite.tests("""
        import pytest
        from recorder import note

        @pytest.fixture(scope="module")
        def shared():
            note("up")
            yield
            note("down")

        @pytest.mark.parametrize("i", range(6))
        def test(i, shared):
            note("ran", test=i)
    """)
    write(
        suite,
        """
        class Mine(InTurn):
            def schedule(self):
                (node,) = self.nodes
                self.queue, self.sent[node] = [], list(range(6))
                node.send_runtest_some(range(6))
    """,
    )
    finished = suite.run("-n1")
    finished.assert_summary(passed=6)
    assert [len(finished.notes(kind)) for kind in ("up", "down", "ran")] == [1, 1, 6]


def test_tests_that_have_not_begun_can_be_stolen_all_or_none(suite: Suite) -> None:
    suite.tests("""
        import os
        import pytest
        from recorder import note

        @pytest.mark.parametrize("i", range(4))
        def test(i):
            note("ran", test=i)
            if i == 0:
                open("gate").close()
            if i == 3:
                open("gate", "w").close()
    """)
    write(
        suite,
        """
        import os

        class Mine(InTurn):
            def schedule(self):
                if self.queue is None:
                    os.mkfifo("gate")
                    self.queue = []
                    first, second = self.nodes
                    self.sent[first] = [0, 1, 2, 3]
                    first.send_runtest_some([0, 1, 2, 3])
                    first.send_steal([2, 3])

            def remove_pending_tests_from_node(self, node, indices):
                note("given", tests=list(indices))
                if indices:
                    first, second = self.nodes
                    for test in indices:
                        self.sent[first].remove(test)
                    self.sent[second] += indices
                    second.send_runtest_some(indices)

            def mark_test_complete(self, node, item_index, duration=0):
                super().mark_test_complete(node, item_index, duration)
                if item_index == 3:  # gw0 has one left to run
                    node.send_steal([2, 3])
    """,
    )
    finished = suite.run("-n2")
    finished.assert_summary(passed=4)
    workers = {note["test"]: note["worker"] for note in finished.notes("ran")}
    assert workers == {0: "gw0", 1: "gw0", 2: "gw1", 3: "gw1"}
    given = finished.facts("given", "tests")
    assert given[0] == [2, 3]
    assert given[1:] in ([], [[]])  # the run may be over before the second answer


def test_a_test_that_is_sent_twice_runs_twice(suite: Suite) -> None:
    trivial(suite, 3)
    write(
        suite,
        """
        class Mine(InTurn):
            def schedule(self):
                self.queue = []
                for node in self.nodes:
                    self.sent[node] = [0, 1, 2]
                    node.send_runtest_all()
                    node.shutdown()
                    assert node.shutting_down
    """,
    )
    finished = suite.run("-n2")
    finished.assert_summary(passed=6)
    ran = Counter((note["worker"], note["test"]) for note in finished.notes("ran"))
    assert ran == Counter((worker, test) for worker in ("gw0", "gw1") for test in range(3))
    indices = {note["nodeid"]: note["index"] for note in finished.notes("report")}
    assert indices == {nodeid: index for index, nodeid in enumerate(ids(3))}


def test_plugins_get_to_see_the_scheduler(suite: Suite) -> None:
    trivial(suite)
    write(
        suite,
        more="""
    def pytest_runtest_logreport(report):
        if hasattr(report, "node"):
            sched = report.node.config.pluginmanager.getplugin("dsession").sched
            note("seen", name=type(sched).__name__)
    """,
    )
    finished = suite.run("-n2")
    assert set(finished.facts("seen", "name")) == {"Mine"}


def test_without_a_scheduler_of_ones_own_a_node_takes_no_orders(suite: Suite) -> None:
    trivial(suite)
    suite.conftest("""
        import pytest

        def pytest_testnodeready(node):
            for order in (node.shutdown, node.send_runtest_all):
                with pytest.raises(RuntimeError, match="pytest_xdist_make_scheduler"):
                    order()
    """)
    suite.run("-n2").assert_summary(passed=8)


def test_under_loadgroup_it_finds_the_groups_in_the_names(suite: Suite) -> None:
    suite.tests("""
        import pytest

        @pytest.mark.xdist_group("red")
        def test_a(): pass

        def test_b(): pass
    """)
    write(
        suite,
        """
        class Mine(InTurn):
            def schedule(self):
                note("names", names=self.collection)
                super().schedule()
    """,
    )
    finished = suite.run("-n1", "--dist=loadgroup")
    finished.assert_summary(passed=2)
    assert finished.facts("names", "names")[0] == ["test_it.py::test_a@red", "test_it.py::test_b"]
    assert set(finished.outcomes) == {"test_it.py::test_a", "test_it.py::test_b"}


# --- pytest-xdist's own ---------------------------------------------------------------------------

CRASHING = """
    import os
    import pytest

    @pytest.mark.parametrize("i", range(12))
    def test(i):
        if i == 5:
            os._exit(1)

    class TestMore:
        @pytest.mark.parametrize("i", range(4))
        def test(self, i):
            pass
"""


@pytest.mark.parametrize("name", ["Load", "LoadScope", "LoadFile", "LoadGroup", "WorkStealing"])
def test_schedulers_of_xdist_outlive_a_crash(
    suite: Suite, install_xdist: Callable[..., None], name: str
) -> None:
    install_xdist()
    suite.tests(CRASHING)
    suite.conftest(f"""
        from xdist.scheduler import {name}Scheduling

        def pytest_xdist_make_scheduler(config, log):
            return {name}Scheduling(config, log)
    """)
    finished = suite.run("-p", "procpar", "-p", "xdist", "-n2", "-v")
    finished.assert_summary(passed=15, failed=1)
    assert finished.ret == 1
    assert len(finals(finished)) == 16
    assert set(finals(finished).values()) == {1}
    finished.stdout.fnmatch_lines(
        [f"scheduling tests via {name}Scheduling", "CRASHED test_it.py::test[[]5] *"]
    )


def test_each_scheduler_of_xdist_runs_everything_everywhere(
    suite: Suite, install_xdist: Callable[..., None]
) -> None:
    install_xdist()
    suite.tests(CRASHING)
    suite.conftest("""
        from xdist.scheduler import EachScheduling

        def pytest_xdist_make_scheduler(config, log):
            return EachScheduling(config, log)
    """)
    suite.run("-p", "procpar", "-p", "xdist", "-n2").assert_summary(passed=30, failed=2)


def test_a_subclass_that_groups_by_its_own_rule(suite: Suite, install_xdist: Callable[..., None]) -> None:
    install_xdist()
    suite.tests("""
        import pytest
        from recorder import note

        @pytest.mark.parametrize("i", range(4))
        @pytest.mark.parametrize("colour", ["red", "green", "blue"])
        def test(i, colour):
            note("ran", test=colour)
    """)
    suite.conftest("""
        from xdist.scheduler import LoadScopeScheduling

        class ByColour(LoadScopeScheduling):
            def _split_scope(self, nodeid):
                return nodeid.split("[")[1].split("-")[0]

        def pytest_xdist_make_scheduler(config, log):
            return ByColour(config, log)
    """)
    finished = suite.run("-p", "xdist", "-p", "procpar", "-n3", "--dist=loadscope")
    finished.assert_summary(passed=12)
    workers = {(note["test"], note["worker"]) for note in finished.notes("ran")}
    assert len(workers) == 3
    assert len({worker for _, worker in workers}) == 3


# --- when something goes wrong --------------------------------------------------------------------


def test_a_crash_costs_the_test_that_crashed(suite: Suite) -> None:
    suite.tests(CRASHING)
    write(
        suite,
        more="""
    def pytest_handlecrashitem(crashitem, report, sched):
        note("crash", item=crashitem, sched=type(sched).__name__, config=sched.config is not None)
    """,
    )
    finished = suite.run("-n2")
    finished.assert_summary(passed=15, failed=1)
    (crash,) = finished.notes("crash")
    assert (crash["item"], crash["sched"]) == ("test_it.py::test[5]", "Mine")
    assert set(finals(finished).values()) == {1}


@pytest.mark.parametrize("slots", [False, True], ids=["", "slots"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_plugin_may_have_a_crashed_test_run_again(suite: Suite, workers: int, slots: bool) -> None:
    suite.tests("""
        import os
        import pytest

        @pytest.mark.parametrize("i", range(6))
        def test(i):
            if i == 5 and not os.path.exists("died"):
                open("died", "w").close()
                os._exit(1)
    """)
    mine = "class Mine(InTurn): pass"
    if slots:
        mine = """
            class Mine:
                __slots__ = ("_inner",)

                def __init__(self, *args):
                    self._inner = InTurn(*args)

                def mark_test_pending(self, item):
                    self._inner.mark_test_pending(item)

                def __getattr__(self, name):
                    return getattr(self._inner, name)
        """
    write(
        suite,
        mine,
        more="""
    def pytest_handlecrashitem(crashitem, report, sched):
        sched.mark_test_pending(crashitem)
        report.outcome = "rerun"
    """,
    )
    finished = suite.run(f"-n{workers}")
    assert finished.ret == 0
    assert finished.outcomes["test_it.py::test[5]"] == [
        "??? rerun", "setup passed", "call passed", "teardown passed",
    ]  # fmt: skip
    assert finished.summary["passed"] == 6


@pytest.mark.parametrize("requeues", [True, False])
def test_a_death_between_tests_costs_none(suite: Suite, requeues: bool) -> None:
    trivial(suite, 6)
    write(
        suite,
        f"""
        class Mine(InTurn):
            def schedule(self):
                first = self.queue is None
                super().schedule()
                if first:
                    self.queue = []
                    for node in self.nodes:
                        self.sent[node] = [0, 1, 2, 3, 4, 5]
                        node.send_runtest_some([1, 2, 3, 4, 5])

            def mark_test_pending(self, item):
                if not {requeues}:
                    raise NotImplementedError
                super().mark_test_pending(item)
        """,
        more="""
    import os

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(nodeid, location):
        if "PYTEST_XDIST_WORKER" in os.environ and nodeid.endswith("[2]") and not os.path.exists("died"):
            open("died", "w").close()
            os._exit(1)
    """,
    )
    finished = suite.run("-n1")
    assert finished.summary == {"passed": 6, "errors": 1} or finished.summary == {"passed": 6, "error": 1}
    assert finals(finished) == Counter(ids(6))
    assert finished.ret == 1


def test_a_crashed_test_that_is_sent_again_is_not_run_again(suite: Suite) -> None:
    suite.tests(CRASHING)
    write(
        suite,
        """
        class Mine(InTurn):
            def remove_node(self, node):
                item = super().remove_node(node)
                if item is not None:
                    self.queue.insert(0, self.collection.index(item))
                return item
    """,
    )
    finished = suite.run("-n2")
    finished.assert_summary(passed=15, failed=1)
    assert set(finals(finished).values()) == {1}


@pytest.mark.parametrize("workers", [1, 3])
def test_tests_that_it_loses_are_not_run_and_say_why(suite: Suite, workers: int) -> None:
    trivial(suite)
    write(
        suite,
        """
        class Mine(InTurn):
            def schedule(self):
                if self.queue is None:
                    self.queue = [0, 1, 2, 4, 5, 7]
                super().schedule()
    """,
    )
    finished = suite.run(f"-n{workers}")
    finished.assert_summary(passed=6, failed=2)
    assert finished.ret == 1
    reason = "the scheduler Mine has given these tests to no worker"
    finished.stdout.fnmatch_lines(
        [
            f"NOT RUN test_it.py::test[[]3] - {reason}",
            f"NOT RUN test_it.py::test[[]6] - {reason}",
        ]
    )
    assert finals(finished) == Counter(ids(8))


def test_what_it_loses_in_a_crash_is_run(suite: Suite) -> None:
    suite.tests(CRASHING)
    write(
        suite,
        """
        class Mine(InTurn):
            def schedule(self):
                if self.queue is None:
                    self.queue = []
                    first, second = self.nodes
                    first.send_runtest_some(range(8))
                    second.send_runtest_some(range(8, 16))
                    self.sent[first], self.sent[second] = list(range(8)), list(range(8, 16))

            def remove_node(self, node):
                return self.collection[self.sent.pop(node)[0]] if self.sent[node] else None
    """,
    )
    finished = suite.run("-n2")
    finished.assert_summary(passed=15, failed=1)
    assert set(finals(finished).values()) == {1}


def test_workers_that_are_not_replaced_leave_their_tests_to_the_others(suite: Suite) -> None:
    suite.tests(CRASHING)
    write(suite)
    suite.run("-n2", "--max-worker-restart=0").assert_summary(passed=15, failed=1)
    finished = suite.run("-n1", "--max-worker-restart=0")
    finished.assert_summary(passed=5, failed=11)
    assert set(finals(finished).values()) == {1}


def test_a_hanging_test_is_ended(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        import pytest
        from recorder import block

        @pytest.mark.parametrize("i", range(6))
        def test(i):
            if i == 1:
                block()
    """)
    write(suite)
    finished = suite.run("-n2", "--hang-timeout=0.5")
    finished.assert_summary(passed=5, failed=1)
    finished.stdout.fnmatch_lines(["HUNG test_it.py::test[[]1] *"])


def test_no_test_begins_after_the_first_failure(suite: Suite) -> None:
    suite.tests("""
        import pytest
        from recorder import note

        @pytest.mark.parametrize("i", range(50))
        def test(i):
            note("ran", test=i)
            assert i != 2
    """)
    write(suite)
    finished = suite.run("-n1", "-x")
    assert finished.summary == {"passed": 2, "failed": 1}
    assert sorted(finished.ran) == [0, 1, 2]


@pytest.mark.parametrize(
    ("mine", "words"),
    [
        ("def __init__(self, config, log): raise ValueError('at once')", "ValueError: at once"),
        ("def schedule(self): raise ValueError('in schedule')", "ValueError: in schedule"),
        ("def mark_test_complete(self, node, item_index, duration=0): 1 / 0", "ZeroDivisionError*"),
        (
            "def schedule(self): self.nodes[0].send_runtest_some([8])",
            "IndexError: Mine sends test 8 to gw0: there are 8, from 0 up",
        ),
        ("def schedule(self): self.nodes[0].send_runtest_some(['test'])", "TypeError: *"),
    ],
    ids=["init", "schedule", "complete", "index", "type"],
)
def test_its_exception_ends_the_run(suite: Suite, mine: str, words: str) -> None:
    trivial(suite)
    write(suite, f"class Mine(InTurn):\n    {mine}")
    finished = suite.run("-n2")
    assert finished.ret == pytest.ExitCode.INTERNAL_ERROR
    finished.stdout.fnmatch_lines([f"INTERNALERROR> {words}"])
    assert not suite.await_gone()
