"""Which of several reasons ends a run, and as what pytest is told of it."""

from __future__ import annotations

import traceback
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_procpar.controller.run_end import Ending, bug
from pytest_procpar.core.protocol.common import Halted


def session(**more: Any) -> Any:
    made = SimpleNamespace(shouldfail=False, shouldstop=False, testsfailed=0, _shouldfail=False)
    made.Failed, made.Interrupted = pytest.Session.Failed, pytest.Session.Interrupted
    vars(made).update(more)
    return made


def told(ending: Ending, of: Any = None) -> BaseException | None:
    """What pytest gets."""
    try:
        ending.tell(session() if of is None else of)
    except BaseException as error:
        return error
    return None


def halted(*halts: Halted) -> Ending:
    ending = Ending()
    for halt in halts:
        ending.halt(halt)
    return ending


EXIT, KEYBOARD = Halted("exit", "enough", 5), Halted("keyboard", "KeyboardInterrupt")
USAGE = Halted("usage", "no such option")
FAIL, STOP = Halted("shouldfail", "stopping after 1 failures"), Halted("shouldstop", "because")


def test_a_run_that_nothing_has_ended_goes_on() -> None:
    ending = Ending()
    assert told(ending) is None
    assert (ending.halted, ending.at_once, ending.broken) == (False, False, False)


@pytest.mark.parametrize(
    ("halt", "kind", "text", "at_once"),
    [
        (EXIT, pytest.exit.Exception, "enough", True),
        (KEYBOARD, KeyboardInterrupt, "", True),
        (USAGE, pytest.UsageError, "no such option", True),
        (FAIL, pytest.Session.Failed, "stopping after 1 failures", False),
        (STOP, pytest.Session.Interrupted, "because", False),
    ],
)
def test_what_ended_a_process_ends_the_run_as_plain_pytest_ends(
    halt: Halted, kind: type[BaseException], text: str, at_once: bool
) -> None:
    ending = halted(halt)
    error = told(ending)
    assert (type(error), str(error)) == (kind, text)
    assert (ending.halted, ending.at_once, ending.broken) == (True, at_once, False)


def test_an_exit_keeps_its_status() -> None:
    error = told(halted(EXIT))
    assert isinstance(error, pytest.exit.Exception)
    assert error.returncode == 5


def test_the_first_reason_counts() -> None:
    assert isinstance(told(halted(STOP, EXIT)), pytest.Session.Interrupted)
    assert isinstance(told(halted(EXIT, STOP)), pytest.exit.Exception)


def test_an_interrupt_that_met_a_test_says_more_than_the_users() -> None:
    placed = Halted("keyboard", "KeyboardInterrupt", place=("/suite/test_it.py", 3))
    other = Halted("keyboard", "KeyboardInterrupt", place=("/suite/test_other.py", 4))
    for halts in ((KEYBOARD, placed, other), (placed, KEYBOARD)):
        error = told(halted(*halts))
        assert isinstance(error, KeyboardInterrupt)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        assert (frame.filename, frame.lineno) == ("/suite/test_it.py", 3)
    assert isinstance(told(halted(EXIT, placed)), pytest.exit.Exception)


def test_a_breakdown_counts_most_and_the_first_of_several() -> None:
    ending = halted(KEYBOARD)
    assert [ending.broken_by("one"), ending.broken_by("other")] == ["one", "one"]
    error = told(ending)
    assert isinstance(error, pytest.exit.Exception)
    assert (error.msg, error.returncode) == ("one", pytest.ExitCode.INTERNAL_ERROR)
    assert (ending.at_once, ending.broken) == (True, True)


def test_what_the_controllers_own_session_says_comes_before_a_workers() -> None:
    assert str(told(halted(FAIL), session(shouldfail="mine"))) == "mine"
    assert str(told(halted(STOP), session(shouldstop="mine"))) == "mine"
    assert str(told(Ending(), session(shouldstop="mine"))) == "mine"


@pytest.mark.parametrize(("errors", "text"), [(1, "1 error"), (3, "3 errors")])
def test_a_suite_that_could_not_be_collected_interrupts_the_session(errors: int, text: str) -> None:
    ending = Ending()
    ending.collection_failed = True
    error = told(ending, session(testsfailed=errors))
    assert isinstance(error, pytest.Session.Interrupted)
    assert str(error) == f"{text} during collection"


def test_failures_that_are_none_end_nothing_and_other_reasons_stay() -> None:
    ending, one = halted(FAIL), session(_shouldfail="x")
    ending.forgive(one)
    assert (told(ending), ending.halted, one._shouldfail) == (None, False, False)
    ending = halted(STOP)
    ending.forgive(session())
    assert isinstance(told(ending), pytest.Session.Interrupted)


def test_a_bug_of_ours_says_so_and_ends_with_status_3() -> None:
    error = bug("a test was lost")
    assert isinstance(error, pytest.exit.Exception)
    assert error.msg == "a test was lost: this is a bug of pytest-procpar, please report it"
    assert error.returncode == 3
