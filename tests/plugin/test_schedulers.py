"""Who runs which test, in which order."""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.conftest import Finished, Suite

MODULE = """
    import pytest
    from recorder import note

    @pytest.fixture(autouse=True)
    def noted(request):
        note("ran", test=request.node.nodeid)

    @pytest.mark.parametrize("i", range(4))
    def test_function(i):
        pass

    class TestOne:
        def test_a(self): pass
        def test_b(self): pass

        class TestInner:
            def test_c(self): pass
            def test_d(self): pass

    class TestTwo:
        @pytest.mark.parametrize("i", ["a::b", "c::d", "e::f"])
        def test_e(self, i): pass
"""
FILES = ("test_m0.py", "test_m1.py", "sub/test_m2.py")


def by_worker(finished: Finished) -> dict[str, list[str]]:
    """The tests each worker ran, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    for ran in finished.notes("ran"):
        found[ran["worker"]].append(ran["test"])
    return found


def workers_of(finished: Finished, prefix: str) -> set[str]:
    """The workers that ran tests whose nodeid begins so."""
    return {ran["worker"] for ran in finished.notes("ran") if ran["test"].startswith(prefix)}


def write(suite: Suite) -> None:
    for file in FILES:
        suite.file(file, MODULE)


def test_a_worker_runs_the_tests_of_a_file_in_collected_order(suite: Suite) -> None:
    write(suite)
    collected = [line for line in suite.run("--collect-only", "-q").stdout.lines if "::" in line]
    finished = suite.run("-n2", "--dist=loadfile")
    finished.assert_summary(passed=len(collected))
    for tests in by_worker(finished).values():
        for file in FILES:
            ours = [test for test in tests if test.startswith(file)]
            assert ours == [test for test in collected if test in ours]


def test_loadscope_keeps_classes_and_module_functions_together(suite: Suite) -> None:
    write(suite)
    finished = suite.run("-n3", "--dist=loadscope")
    finished.assert_summary(passed=33)
    for file in FILES:
        for scope in ("test_function", "TestOne::test", "TestOne::TestInner", "TestTwo"):
            assert len(workers_of(finished, f"{file}::{scope}")) == 1
    assert len(by_worker(finished)) == 3


def test_loadfile_keeps_files_together(suite: Suite) -> None:
    write(suite)
    finished = suite.run("-n3", "--dist=loadfile")
    finished.assert_summary(passed=33)
    for file in FILES:
        assert len(workers_of(finished, file)) == 1


def test_loadgroup_keeps_groups_together_and_leaves_names_alone(suite: Suite) -> None:
    suite.tests("""
        import pytest
        from recorder import note

        @pytest.mark.parametrize("i", [
            pytest.param(i, marks=pytest.mark.xdist_group(name="xyz"[i % 3])) for i in range(30)
        ])
        def test_grouped(i):
            note("ran", test="xyz"[i % 3])

        @pytest.mark.xdist_group("x")
        class TestX:
            def test_also(self):
                note("ran", test="x")

        @pytest.mark.xdist_group
        def test_default(request):
            assert request.node.nodeid == "test_it.py::test_default"

        def test_alone(request):
            assert request.node.nodeid == "test_it.py::test_alone"
    """)
    finished, plain = suite.run("-n2", "--dist=loadgroup"), suite.run()
    finished.assert_summary(passed=33)
    for group in "xyz":
        assert len(workers_of(finished, group)) == 1
    assert set(finished.outcomes) == set(plain.outcomes)


def test_groups_do_not_matter_in_other_modes(suite: Suite) -> None:
    suite.tests("""
        import pytest

        pytestmark = pytest.mark.xdist_group("all")

        @pytest.mark.parametrize("i", range(2))
        def test(i, worker_id):
            assert worker_id == f"gw{i}"
    """)
    suite.run("-n2", "--dist=load", "--strict-markers").assert_summary(passed=2)


def test_the_first_tests_go_to_the_workers_in_order(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        import pytest
        from recorder import note

        @pytest.mark.parametrize("i", range(3))
        def test(i, worker_id):
            assert worker_id == f"gw{i}"
    """)
    suite.run("-n3").assert_summary(passed=3)


def test_the_largest_scope_goes_to_the_first_worker(suite: Suite) -> None:
    suite.file("test_a.py", "def test_1(worker_id): assert worker_id == 'gw1'\n")
    suite.file(
        "test_b.py",
        "import pytest\n"
        "@pytest.mark.parametrize('i', range(5))\n"
        "def test(i, worker_id): assert worker_id == 'gw0'\n",
    )
    suite.run("-n2", "--dist=loadscope").assert_summary(passed=6)


def test_the_first_scope_goes_to_the_first_worker_if_nothing_is_reordered(suite: Suite) -> None:
    suite.file("test_a.py", "def test_1(worker_id): assert worker_id == 'gw0'\n")
    suite.file(
        "test_b.py",
        "import pytest\n"
        "@pytest.mark.parametrize('i', range(5))\n"
        "def test(i, worker_id): assert worker_id == 'gw1'\n",
    )
    suite.run("-n2", "--dist=loadscope", "--no-loadscope-reorder").assert_summary(passed=6)


NOTED = """
    import os
    import pytest
    from recorder import note

    @pytest.fixture(autouse=True)
    def noted(request):
        note("ran", test=request.node.nodeid)
"""


def test_stable_keeps_marked_tests_together_and_other_files_whole(suite: Suite) -> None:
    for i in range(6):
        suite.file(
            f"test_{i}.py",
            f"{NOTED}"
            """
    @pytest.mark.parametrize("i", range(4))
    def test(i): pass

    class TestOne:
        def test_a(self): pass
        def test_b(self): pass

    @pytest.mark.xdist_group("port")
    def test_port(): pass
            """,
        )
    collected = [line for line in suite.run("--collect-only", "-q").stdout.lines if "::" in line]
    finished = suite.run("-n3", "--dist=stable", "-v")
    finished.assert_summary(passed=42)
    finished.stdout.fnmatch_lines(["scheduling tests via StableScheduling"])
    workers = by_worker(finished)
    assert len(workers) > 1
    for tests in workers.values():
        assert tests == sorted(tests, key=collected.index)
    for i in range(6):
        assert len(workers_of(finished, f"test_{i}.py::test[")) == 1
        assert workers_of(finished, f"test_{i}.py::Test") == workers_of(finished, f"test_{i}.py::test[")
    assert len({ran["worker"] for ran in finished.notes("ran") if "port" in ran["test"]}) == 1


def test_stable_leaves_every_test_its_company_if_tests_are_added(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(8):
        body = "\n    @pytest.mark.parametrize('i', range(20))\n    def test(i): pass\n"
        suite.file(f"test_{i}.py", NOTED + body)
    before = by_worker(suite.run("-n4", "--dist=stable"))
    added = "\n    @pytest.mark.parametrize('i', range(11))\n    def test_added(i): assert True\n"
    suite.file("test_3.py", NOTED + body + added)
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    finished = suite.run("-n4", "--dist=stable")
    finished.assert_summary(passed=171)
    after = by_worker(finished)
    assert sum(map(len, before.values())) == 160
    assert {
        worker: [test for test in tests if "added" not in test] for worker, tests in after.items()
    } == before


def test_stable_starts_no_worker_without_a_file(suite: Suite) -> None:
    suite.file("test_a.py", f"{NOTED}\n    def test(): pass\n    def test_too(): pass\n")
    finished = suite.run("-n4", "--dist=stable")
    finished.assert_summary(passed=2)
    assert len(finished.notes("configure")) == 2


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_under_stable_a_replacement_goes_on_where_a_worker_died_and_nobody_else_moves(
    suite: Suite, method: str
) -> None:
    for i in range(6):
        suite.file(
            f"test_{i}.py",
            f"{NOTED}"
            """
    @pytest.mark.parametrize("i", range(5))
    def test(i):
        if os.path.exists("deadly") and i == 2 and "test_1.py" in __file__:
            os._exit(3)
            """,
        )
    args = ("-n3", "--dist=stable", f"--start-method={method}", "--recheck=none")
    before = by_worker(suite.run(*args))
    suite.file("deadly", "")
    finished = suite.run(*args)
    finished.assert_summary(passed=29, failed=1)
    after = by_worker(finished)
    (dead,) = [worker for worker, tests in after.items() if tests[-1] == "test_1.py::test[2]"]
    assert before[dead] == after.pop(dead) + after.pop("gw3")
    assert after == {worker: tests for worker, tests in before.items() if worker != dead}


@pytest.mark.parametrize("mode", ["load", "worksteal"])
def test_an_idle_worker_takes_what_waits_behind_a_long_test(suite: Suite, mode: str) -> None:
    # The first test goes on until all others have run, half of which were dealt to its own worker.
    suite.make_barrier()
    suite.tests("""
        import os
        import pytest
        from recorder import note

        @pytest.mark.parametrize("i", range(40))
        def test(i, worker_id):
            if i == 0:
                with open("reached.fifo", "rb", buffering=0) as fifo:
                    for _ in range(39):
                        assert fifo.read(1)
            else:
                note("ran", test=i)
                fd = os.open("reached.fifo", os.O_WRONLY)
                os.write(fd, b"x")
                os.close(fd)
    """)
    finished = suite.run("-n2", f"--dist={mode}")
    finished.assert_summary(passed=40)
    assert set(finished.facts("ran", "worker")) == {"gw1"}


def test_fixtures_of_a_module_are_set_up_once_in_the_worker_that_has_the_module(suite: Suite) -> None:
    for name in "abcd":
        suite.file(
            f"test_{name}.py",
            """
            import pytest
            from recorder import note

            @pytest.fixture(scope="module")
            def costly():
                note("setup", module=__name__)
                yield
                note("teardown", module=__name__)

            @pytest.mark.parametrize("i", range(10))
            def test(i, costly):
                pass
            """,
        )
    finished = suite.run("-n2", "--dist=loadfile")
    finished.assert_summary(passed=40)
    modules = [f"test_{name}" for name in "abcd"]
    assert sorted(finished.facts("setup", "module")) == modules
    assert sorted(finished.facts("teardown", "module")) == modules
