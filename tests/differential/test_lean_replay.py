"""A phase of a lean test that is handed over to pytest is reported as if pytest alone had run it."""

from __future__ import annotations

import pytest

from tests.conftest import Suite
from tests.differential.test_lean import CONFTEST, LEAN, PLAIN, WHOLE, reports

pytestmark = [pytest.mark.python_dependent, pytest.mark.pytest_dependent]

MARKS = """
    import pytest

    def late(request, **more): request.applymarker(pytest.mark.xfail(reason="late", **more))

    @pytest.fixture
    def xfail_and_failure(request): late(request); raise ValueError
    @pytest.fixture
    def no_run_and_failure(request): late(request, run=False); raise ValueError
    @pytest.fixture
    def skip_and_failure(request): request.applymarker(pytest.mark.skip); raise ValueError
    @pytest.fixture
    def bad_mark(request): request.applymarker(pytest.mark.xfail(True))
    @pytest.fixture
    def other_mark(request):
        request.node.own_markers.clear()
        late(request)
    @pytest.fixture
    def late_failure(request):
        yield
        late(request)
        raise ValueError

    def test_xfail_is_added_by_a_setup_that_fails(xfail_and_failure): pass
    def test_no_run_is_added_by_a_setup_that_fails(no_run_and_failure): pass
    def test_skip_is_added_by_a_setup_that_fails(skip_and_failure): pass
    def test_no_run_is_added(request): late(request, run=False)
    def test_no_run_is_added_and_fails(request): late(request, run=False); assert 0
    def test_other_is_raised(request): late(request, raises=KeyError); assert 0
    def test_strict(request): late(request, strict=True)
    @pytest.mark.usefixtures("other_mark")
    def test_another_mark_in_its_place(): assert 0
    @pytest.mark.usefixtures()
    def test_another_mark_in_its_place_in_the_call(request):
        request.node.own_markers.clear()
        late(request)
        assert 0
    @pytest.mark.usefixtures()
    def test_another_mark_in_its_place_and_passes(request):
        request.node.own_markers.clear()
        late(request)
    def test_bad_in_setup(bad_mark): pass
    def test_bad(request): request.applymarker(pytest.mark.xfail(True))
    def test_bad_and_fails(request): request.applymarker(pytest.mark.xfail(True)); assert 0
    def test_undefined(request): request.applymarker(pytest.mark.xfail("undefined", reason="why"))
    def test_xfail_is_added_by_a_teardown_that_fails(late_failure): pass
    def test_last(): pass
"""


@pytest.mark.parametrize("options", [[], ["--tb=native"], ["--runxfail"]], ids=" ".join)
def test_marks_that_a_phase_adds_count_when_it_has_run(suite: Suite, options: list[str]) -> None:
    suite.conftest(CONFTEST)
    suite.tests(MARKS)
    plain, lean = (suite.run("-p", "no:cacheprovider", *way, *options) for way in (PLAIN, LEAN))
    assert len(plain.notes("full")) > 30
    assert reports(lean) == reports(plain)
    assert lean.summary == plain.summary


PLUGINS = """
    import pytest
    from recorder import note

    class Late:
        def __init__(self, name): self.name = name
        def pytest_runtest_setup(self, item): note("heard", by=self.name, hook="setup", test=item.name)
        def pytest_runtest_call(self, item): note("heard", by=self.name, hook="call", test=item.name)
        def pytest_runtest_teardown(self, item): note("heard", by=self.name, hook="teardown", test=item.name)
        def pytest_runtest_makereport(self, item, call):
            note("heard", by=self.name, hook="makereport", test=item.name, when=call.when)

    def register(request, name): request.config.pluginmanager.register(Late(name), name)
    def unregister(request, name): request.config.pluginmanager.unregister(name=name)

    @pytest.fixture
    def setup_registers(request): register(request, "setup"); raise ValueError
    @pytest.fixture
    def teardown_registers(request):
        yield
        register(request, "teardown")
        raise ValueError

    def test_call(request): register(request, "call"); assert 0
    def test_after_call(request): unregister(request, "call"); assert 0
    def test_setup(setup_registers): pass
    def test_after_setup(request): unregister(request, "setup")
    def test_teardown(teardown_registers): pass
    def test_after_teardown(request): unregister(request, "teardown")
    def test_last(): pass
"""


def test_a_plugin_hears_nothing_of_the_phase_that_registers_it_and_fails(suite: Suite) -> None:
    suite.tests(PLUGINS)
    ways = ("by", "hook", "test", "when")
    heard = [
        [{key: note.get(key) for key in ways} for note in suite.run(*way).notes("heard")]
        for way in (PLAIN, LEAN, WHOLE)
    ]
    assert len(heard[0]) > 10
    assert heard[1] == heard[2] == heard[0]


REPEATS = """
    import pytest

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(item, nextitem):
        if hasattr(item, "runs"):
            return None
        item.runs = 2
        item.ihook.pytest_runtest_protocol(item=item, nextitem=item)
        return item.ihook.pytest_runtest_protocol(item=item, nextitem=nextitem)
"""


def test_a_plugin_may_run_the_whole_protocol_twice(suite: Suite) -> None:
    suite.conftest(CONFTEST)
    suite.file("repeats.py", REPEATS)
    suite.tests("""
        RUNS = []
        def test_passes(): pass
        def test_prints(): print("out")
        def test_fails_first(): RUNS.append(1); assert len(RUNS) == 2
        def test_fails_then(): RUNS.append(1); assert len(RUNS) == 3
        def test_last(): pass
    """)
    plain, lean, whole = (suite.run("-p", "repeats", "--recheck=none", *way) for way in (PLAIN, LEAN, WHOLE))
    assert len(plain.notes("full")) == 30
    assert reports(lean) == reports(whole) == reports(plain)


RECORDERS = """
    import pytest
    from recorder import note

    def before(hook, impls, arguments):
        # Reports are also counted by who shows them.
        if hook != "pytest_report_teststatus":
            note("heard", hook=hook, test=getattr(arguments.get("item"), "name", None))

    @pytest.fixture
    def manager(request): return request.config.pluginmanager
    @pytest.fixture
    def begun(manager):
        manager.undo = manager.add_hookcall_monitoring(before, lambda *args: None)
        raise ValueError

    def test_begins(manager): manager.undo = manager.add_hookcall_monitoring(before, lambda *args: None)
    def test_between(): pass
    def test_ends(manager): manager.undo()
    def test_begins_and_fails(manager):
        manager.undo = manager.add_hookcall_monitoring(before, lambda *args: None)
        assert 0
    def test_ends_and_fails(manager): manager.undo(); assert 0
    def test_setup_begins_and_fails(begun): pass
    def test_ends_again(manager): manager.undo()
    def test_last(): pass
"""


def test_who_begins_to_record_hooks_hears_everything(suite: Suite) -> None:
    suite.tests(RECORDERS)
    lean, whole = (
        [(note["hook"], note["test"]) for note in suite.run("--recheck=none", *way).notes("heard")]
        for way in (LEAN, WHOLE)
    )
    # What a phase that has failed is handed over with is registered once.
    assert [one for one in lean if one[0] != "pytest_plugin_registered"] == whole
    assert len(whole) > 30


@pytest.mark.parametrize("plugin", ["unraisableexception", "threadexception", "skipping", "capture"])
def test_a_plugin_of_pytest_may_be_blocked(suite: Suite, plugin: str) -> None:
    suite.conftest(CONFTEST)
    suite.tests("""
        def test(): print("out")
        def test_fails(): print("out"); assert 0
    """)
    plain, lean = (suite.run("-p", f"no:{plugin}", *way) for way in (PLAIN, LEAN))
    assert len(plain.notes("full")) == 6
    assert reports(lean) == reports(plain)
