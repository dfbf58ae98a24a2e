"""Collection: it happens once, in one process, and what comes of it is shown once."""

from __future__ import annotations

import pytest

from tests.conftest import Suite

pytestmark = pytest.mark.pytest_dependent


def test_the_suite_is_imported_and_collected_once(suite: Suite) -> None:
    suite.tests("""
        import pytest
        from recorder import note

        note("imported")

        @pytest.mark.parametrize("i", range(10))
        def test(i):
            pass
    """)
    finished = suite.run("-n3")
    finished.assert_summary(passed=10)
    assert len(finished.notes("imported")) == 1
    assert len(finished.notes("configure")) == 2  # the controller and the fork server


def test_ids_that_are_random_are_no_trouble(suite: Suite) -> None:
    suite.tests("""
        import uuid
        import pytest

        @pytest.mark.parametrize("i", [str(uuid.uuid4()) for _ in range(10)])
        def test(i):
            pass
    """)
    suite.run("-n3").assert_summary(passed=10)


def test_parameters_from_a_set_are_no_trouble(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.tests("""
        import pytest

        @pytest.mark.parametrize("i", set("abcdefghij"))
        def test(i):
            pass
    """)
    monkeypatch.setenv("PYTHONHASHSEED", "random")
    suite.run("-n3").assert_summary(passed=10)


def test_warnings_of_the_collection_are_shown_once(suite: Suite) -> None:
    suite.tests("""
        import warnings
        import pytest

        warnings.warn("of the module")

        class TestWithInit:
            def __init__(self): ...

        @pytest.mark.parametrize("i", range(6))
        def test(i):
            pass
    """)
    finished = suite.run("-n3")
    finished.assert_summary(passed=6, warnings=2)
    assert finished.out.count("UserWarning: of the module") == 1
    assert finished.out.count("cannot collect test class 'TestWithInit'") == 1


# --- errors ---------------------------------------------------------------------------------------


def broken(suite: Suite) -> None:
    suite.trivial(3)
    suite.file("test_broken.py", "import there_is_no_such_module\n")


def test_a_collection_error_ends_the_run(suite: Suite) -> None:
    broken(suite)
    finished = suite.run("-n2")
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    finished.assert_summary(errors=1)
    assert not finished.notes("ran")
    assert finished.out.count("No module named 'there_is_no_such_module'") == 1
    finished.stdout.fnmatch_lines(
        [
            "*ERROR collecting test_broken.py*",
            "ERROR test_broken.py",
            "*Interrupted: 1 error during collection*",
        ]
    )


def test_collection_errors_read_as_with_plain_pytest(suite: Suite) -> None:
    broken(suite)
    suite.file("test_broken_too.py", "1 / 0\n")

    def body(*args: str) -> list[str]:
        lines = suite.run(*args).stdout.lines
        return lines[next(i for i, line in enumerate(lines) if " ERRORS " in line) : -1]

    assert body("-n2") == body()


def test_collection_errors_can_be_ignored(suite: Suite) -> None:
    broken(suite)
    finished = suite.run("-n2", "--continue-on-collection-errors")
    finished.assert_summary(passed=3, errors=1)
    assert finished.ret == pytest.ExitCode.TESTS_FAILED


def test_maxfail_counts_collection_errors(suite: Suite) -> None:
    broken(suite)
    finished, plain = suite.run("-n2", "-x"), suite.run("-x")
    assert finished.ret == plain.ret
    finished.assert_summary(**plain.summary)
    assert not finished.notes("ran")


def test_a_module_skipped_as_a_whole_is_counted(suite: Suite) -> None:
    suite.trivial(3)
    suite.file("test_skipped.py", 'import pytest\npytest.skip("not here", allow_module_level=True)\n')
    finished = suite.run("-n2", "-rs")
    finished.assert_summary(passed=3, skipped=1)
    finished.stdout.fnmatch_lines(["SKIPPED [[]1[]] test_skipped.py:2: not here"])


# --- two tests with one name ----------------------------------------------------------------------


def test_a_file_given_twice_runs_twice_on_demand(suite: Suite) -> None:
    suite.trivial(3)
    finished = suite.run("-n2", "--keep-duplicates", "test_it.py", "test_it.py")
    finished.assert_summary(passed=6)
    assert set(finished.ran.values()) == {2}


def test_modules_of_one_name_in_two_folders_both_run(suite: Suite) -> None:
    for folder in ("a", "b"):
        suite.file(f"{folder}/test_same.py", "def test_one(): pass\ndef test_two(): pass\n")
    finished = suite.run("-n2", "--import-mode=importlib")
    finished.assert_summary(passed=4)


def test_packages_given_by_name_are_found(suite: Suite) -> None:
    for package in ("one", "two"):
        suite.file(f"lib/{package}/__init__.py", "")
        suite.file(f"lib/{package}/test_same.py", "def test_it(): pass\n")
    finished = suite.run("-n2", "-o", "pythonpath=lib", "--pyargs", "one", "two")
    finished.assert_summary(passed=2)


# --- what is selected -----------------------------------------------------------------------------


def test_a_missing_file_is_a_usage_error(suite: Suite) -> None:
    suite.trivial(2)
    finished, plain = suite.run("-n2", "test_missing.py"), suite.run("test_missing.py")
    assert finished.ret == plain.ret == pytest.ExitCode.USAGE_ERROR
    assert finished.err == plain.err
    assert "file or directory not found: test_missing.py" in finished.err


def test_a_missing_test_is_a_usage_error(suite: Suite) -> None:
    suite.trivial(2)
    finished, plain = suite.run("-n2", "test_it.py::test_not"), suite.run("test_it.py::test_not")
    assert finished.ret == plain.ret == pytest.ExitCode.USAGE_ERROR
    assert finished.err == plain.err


def test_no_tests_at_all_is_status_5(suite: Suite) -> None:
    suite.file("test_empty.py", "")
    finished = suite.run("-n2")
    assert finished.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    finished.stdout.fnmatch_lines(["*no tests ran in*"])


def test_all_deselected_is_status_5(suite: Suite) -> None:
    suite.trivial(4)
    finished = suite.run("-n2", "-k", "nothing")
    assert finished.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    finished.assert_summary(deselected=4)


def test_deselected_tests_are_counted(suite: Suite) -> None:
    suite.trivial(10)
    finished = suite.run("-n2", "-k", "1 or 2 or 3")
    finished.assert_summary(passed=3, deselected=7)
    assert set(finished.ran) == {1, 2, 3}


def test_stand_ins_without_a_nodeid_are_counted_when_deselected(suite: Suite) -> None:
    suite.trivial(1)
    suite.conftest("""
        class StandIn:  # pytest-testmon's, for tests that it does not even collect
            def __init__(self, config):
                self.config = config

        def pytest_collection_modifyitems(config):
            config.hook.pytest_deselected(items=[StandIn(config)] * 3)
    """)
    suite.run("-n", "1").assert_summary(passed=1, deselected=3)


def test_single_tests_can_be_named(suite: Suite) -> None:
    suite.trivial(10)
    finished = suite.run("-n2", "test_it.py::test[3]", "test_it.py::test[7]")
    finished.assert_summary(passed=2)
    assert set(finished.ran) == {3, 7}


# --- who ends the run while collecting ------------------------------------------------------------


@pytest.mark.parametrize("code", ["", ", returncode=7"])
def test_exit_at_import_ends_the_run_as_with_plain_pytest(suite: Suite, code: str) -> None:
    suite.trivial(3)
    suite.file("test_exits.py", f'import pytest\npytest.exit("enough of this"{code})\n')
    finished, plain = suite.run("-n2"), suite.run()
    assert finished.ret == plain.ret != 0
    finished.stdout.fnmatch_lines(["*Exit: enough of this*"])
    assert not finished.notes("ran")


def test_interrupt_at_import_ends_the_run(suite: Suite) -> None:
    suite.trivial(3)
    suite.file("test_interrupts.py", "raise KeyboardInterrupt\n")
    finished, plain = suite.run("-n2"), suite.run()
    assert finished.ret == plain.ret == pytest.ExitCode.INTERRUPTED
    # Older versions of pytest count it as a collection error.
    finished.stdout.re_match_lines([r".*test_interrupts\.py:1: (KeyboardInterrupt|in <module>)"])
    assert not finished.notes("ran")


def test_a_usage_error_of_a_plugin_is_one_here(suite: Suite) -> None:
    suite.trivial(3)
    suite.conftest("""
        import pytest

        def pytest_collection_modifyitems(config):
            raise pytest.UsageError("--colour: no such colour")
    """)
    finished = suite.run("-n2")
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --colour: no such colour" in finished.err
    assert "Traceback" not in finished.out + finished.err


def test_shouldstop_while_collecting_stops(suite: Suite) -> None:
    suite.trivial(30)
    suite.conftest("""
        def pytest_itemcollected(item):
            item.session.shouldstop = "seen enough"
    """)
    finished, plain = suite.run("-n2"), suite.run()
    assert finished.ret == plain.ret == pytest.ExitCode.INTERRUPTED
    finished.stdout.fnmatch_lines(["*Interrupted: seen enough*"])
    assert len(plain.notes("ran")) == 1
    assert len(finished.notes("ran")) <= 2  # one a worker


def test_conftests_see_one_collection_in_the_order_of_items(suite: Suite) -> None:
    suite.trivial(10)
    suite.conftest("""
        def pytest_collection_modifyitems(items):
            items.reverse()
            del items[5:]
    """)
    finished = suite.run("-n1")
    finished.assert_summary(passed=5)
    assert finished.facts("ran", "test") == [9, 8, 7, 6, 5]
