"""What is shown of errors in all phases and scopes is what plain pytest shows, without frames of ours."""

from __future__ import annotations

import re

import pytest

from tests.conftest import Finished, Suite

pytestmark = pytest.mark.python_dependent

ERRORS = """
    import unittest
    import pytest

    def boom(where):
        raise RuntimeError(where)

    def make(scope, phase):
        @pytest.fixture(scope=scope, name=f"{scope}_{phase}")
        def fixture():
            if phase == "setup":
                boom(f"{scope} setup")
            yield
            boom(f"{scope} teardown")
        return fixture

    for scope in ("function", "class", "module", "package", "session"):
        for phase in ("setup", "teardown"):
            globals()[f"the_{scope}_{phase}"] = make(scope, phase)

    class TestFixtures:
        def test_setup(self, class_setup): pass
        def test_teardown(self, class_teardown): pass

    class TestSetupClass:
        @classmethod
        def setup_class(cls): boom("setup_class")
        def test(self): pass

    class TestTeardownClass:
        @classmethod
        def teardown_class(cls): boom("teardown_class")
        def test(self): pass

    class TestMethods:
        def setup_method(self): boom("setup_method")
        def test(self): pass

    class TestFinalizers:
        def test_one(self, request): request.addfinalizer(lambda: boom("finalizer"))
        def test_of_class(self, request): request.node.parent.addfinalizer(lambda: boom("class's finalizer"))

    class TestUnit(unittest.TestCase):
        def tearDown(self): boom("tearDown")
        def test_and_its_teardown(self): boom("test")
        @classmethod
        def tearDownClass(cls): boom("tearDownClass")

    def test_function_setup(function_setup): pass
    def test_function_teardown(function_teardown): pass
    def test_module(module_setup): pass
    def test_module_teardown(module_teardown): pass
    def test_package(package_setup): pass
    def test_package_teardown(package_teardown): pass
    def test_session(session_setup): pass
    def test_session_teardown(session_teardown): pass

    def test_call(): boom("call")
    def test_assert(): assert [1] == [2]
    def test_cause():
        try:
            boom("first")
        except RuntimeError as error:
            raise ValueError("second") from error
    class Odd(Exception):
        exceptions = 7
        def __setattr__(self, name, value): raise AttributeError(name)
    def test_odd(request):
        def fail(): raise Odd("odd")
        request.addfinalizer(fail)
    def test_fixture_that_is_asked_for(request): request.getfixturevalue("function_setup")
    def test_no_fixture(nothing): pass
    def test_hook_setup(): pass
    def test_hook_call(): pass
    @pytest.mark.skipif("sys.version_info < (3, 11)", reason="no groups")
    def test_group(): raise ExceptionGroup("group", [ValueError(1), TypeError(2)])
    def test_group_of_teardowns(request):
        request.addfinalizer(lambda: boom("one"))
        request.addfinalizer(lambda: boom("other"))
    def test_hook_teardown(): pass
"""
HOOKS = """
    import pytest
    def pytest_runtest_setup(item):
        if item.name == "test_hook_setup": raise RuntimeError("hook setup")
    def pytest_runtest_call(item):
        if item.name == "test_hook_call": raise RuntimeError("hook call")
    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(item):
        if item.name == "test_hook_teardown": raise RuntimeError("hook teardown")
"""


def shown(finished: Finished) -> list[str]:
    """The lines on errors and failures, without addresses and what names a worker.

    And without how pluggy goes through its wrappers: there may be one more.
    """
    text = re.sub("0x[0-9a-f]+", "0x", finished.out)
    text = re.sub(r'(?m)^.* File "\S+pluggy/_execution.py".*\n.*\n([ |]*[~^]+\n)?', "", text)
    (errors,) = re.findall(r"(?s)=+ ERRORS =+\n(.*)\n=+ short test summary", text)
    return [line for line in errors.splitlines() if line and not line.startswith(("[gw", "methods = "))]


#: With which options each style is looked at.
STYLES = {
    "short": [["-n1"]],
    "long": [["-n1", "--leaks"]],
    # Python's own style leaves nothing out.
    "native": [["-n1"], ["-n1", "--leaks"], ["-n0", "--leaks"]],
}


@pytest.mark.parametrize("style", STYLES)
def test_errors_look_as_in_a_plain_run(suite: Suite, style: str) -> None:
    suite.conftest(HOOKS)
    suite.tests(ERRORS)
    plain = shown(suite.run("-n0", f"--tb={style}"))
    assert len(plain) > 100
    for ours in STYLES[style]:
        assert shown(suite.run(f"--tb={style}", *ours)) == plain


def test_the_full_trace_has_our_frames_and_processes_of_their_own_have_none(suite: Suite) -> None:
    suite.conftest(HOOKS)
    suite.tests(ERRORS)
    ours = re.compile(r"pytest_procpar\S+items\.py")
    assert ours.search("\n".join(shown(suite.run("-n1", "--tb=native", "--full-trace"))))
    # Fixtures of wide scope are torn down with each test there, so it is not what a plain run shows.
    assert not ours.search("\n".join(shown(suite.run("-n1", "--tb=native", "--isolate"))))
