"""Warnings as data and back, and our own among the others, whatever filters say."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from pytest_procpar.compat.pytest_private.warnings import tell_warning, warning_from_data, warning_to_data


class Picky(UserWarning):
    """Its constructor wants something else than a text."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")


class Loud(UserWarning):
    def __str__(self) -> str:
        return f"{super().__str__()}!"


class Outer:
    class Inner(DeprecationWarning):
        pass


def carried(warning: Warning, **changed: Any) -> Any:
    message = warnings.WarningMessage(warning, type(warning), "f.py", 7, line="x = 1")
    data: Any = warning_to_data(message, "runtest", "t.py::test_a", ("f.py", 7, "f")) | changed
    found = warning_from_data(data)
    assert {name: found[name] for name in ("when", "nodeid", "location")} == {
        "when": "runtest", "nodeid": "t.py::test_a", "location": ("f.py", 7, "f"),
    }  # fmt: skip
    told = found["warning_message"]
    assert (told.filename, told.lineno, told.line) == ("f.py", 7, "x = 1")
    return told


@pytest.mark.parametrize("warning", [UserWarning("w"), Outer.Inner("w"), pytest.PytestWarning("w")])
def test_a_warning_arrives_as_the_same_of_its_class(warning: Warning) -> None:
    told = carried(warning)
    assert (type(told.message), str(told.message), told.category) == (type(warning), "w", type(warning))


@pytest.mark.parametrize("warning", [Picky(1, 2), Loud("w")])
def test_a_warning_that_cannot_be_made_of_its_text_arrives_as_its_text(warning: Warning) -> None:
    told = carried(warning)
    assert (told.message, told.category) == (str(warning), type(warning))


@pytest.mark.parametrize(
    ("module", "category"),
    [
        ("not.loaded", "Outer.Odd"),
        ("builtins", "print"),
        ("builtins", "ValueError"),
        (__name__, "Outer"),
        (__name__, "Outer.Missing"),
    ],
)
def test_a_category_that_is_not_here_is_named_and_never_imported(module: str, category: str) -> None:
    told = carried(UserWarning("w"), module=module, category=category)
    kind = told.category
    assert issubclass(kind, UserWarning)
    assert (kind.__module__, kind.__qualname__) == (module, category)
    assert kind.__name__ == category.rpartition(".")[2]
    assert str(told.message) == "w"


def config(*filters: str, options: tuple[str, ...] = (), blocked: bool = False) -> Any:
    made = MagicMock()
    made.pluginmanager.is_blocked.return_value = blocked
    made.getini.side_effect = {"filterwarnings": list(filters)}.get
    made.known_args_namespace = SimpleNamespace(pythonwarnings=list(options))
    return made


def told(made: Any, item: Any = None, **more: Any) -> tuple[list[str], list[str]]:
    """The warnings that are shown, and the errors that are reported."""
    tell_warning(made, "of ours", "conftest.py", item, **more)
    shown = made.hook.pytest_warning_recorded.call_historic.call_args_list
    reported = made.hook.pytest_collectreport.call_args_list
    return (
        [str(call.kwargs["kwargs"]["warning_message"].message) for call in shown],
        [call.kwargs["report"].longrepr for call in reported],
    )


def item(*filters: str) -> Any:
    marks = [pytest.mark.filterwarnings(each).mark for each in filters]
    return SimpleNamespace(nodeid="t.py::test_a", iter_markers=lambda name: iter(marks))


def test_a_warning_of_ours_is_shown_among_the_others_with_the_test_that_it_is_about() -> None:
    made = config()
    assert told(made, item()) == (["of ours"], [])
    (call,) = made.hook.pytest_warning_recorded.call_historic.call_args_list
    values = call.kwargs["kwargs"]
    assert (values["when"], values["nodeid"], values["location"]) == ("runtest", "t.py::test_a", None)
    assert values["warning_message"].filename == "conftest.py"
    made = config()
    told(made, when="config")
    assert made.hook.pytest_warning_recorded.call_historic.call_args.kwargs["kwargs"]["nodeid"] == ""


@pytest.mark.parametrize(
    "made",
    [config("ignore::pytest.PytestWarning"), config(options=("ignore:of ours",)), config(blocked=True)],
    ids=["ini", "option", "no plugin"],
)
def test_a_warning_of_ours_can_be_switched_off(made: Any) -> None:
    assert told(made) == ([], [])


def test_a_warning_of_ours_that_is_an_error_is_reported_and_not_raised() -> None:
    made = config("error")
    assert told(made, item()) == ([], ["PytestWarning: of ours"])
    report = made.hook.pytest_collectreport.call_args.kwargs["report"]
    assert (report.nodeid, report.when, report.outcome) == ("t.py::test_a", "run", "failed")
    assert told(config("error"))[1] == ["PytestWarning: of ours"]


def test_marks_of_the_test_count_before_the_options_and_the_closest_most() -> None:
    assert told(config("error"), item("default"))[0] == ["of ours"]
    assert told(config(), item("ignore", "error")) == ([], [])
    assert told(config(), item("error", "ignore"))[1] == ["PytestWarning: of ours"]


def test_telling_a_warning_leaves_the_filters_of_the_process_as_they_were() -> None:
    before = list(warnings.filters)
    told(config("error"))
    assert list(warnings.filters) == before
