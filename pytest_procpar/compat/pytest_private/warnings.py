"""Turns recorded warnings into data, and back without importing the modules that raised them."""

from __future__ import annotations

import builtins
import sys
import warnings
from typing import TYPE_CHECKING, TypedDict

import pytest
from _pytest.config import apply_warning_filters, parse_warning_filter

from pytest_procpar.compat.foreign_options import warning_filters

if TYPE_CHECKING:
    from pytest_procpar.core.protocol.common import WarningData

    class _Recorded(TypedDict):
        warning_message: warnings.WarningMessage
        when: str
        nodeid: str
        location: tuple[str, int, str] | None


__all__ = ["tell_warning", "warning_from_data", "warning_to_data"]


def tell_warning(
    config: pytest.Config,
    text: str,
    filename: str,
    item: pytest.Item | None = None,
    category: type[Warning] = pytest.PytestWarning,
    when: str = "runtest",
) -> None:
    """Show a warning of ours among the others, subject to ``-W`` and ``filterwarnings``.

    If these turn it into an error, it is reported as an error of the run. It is not raised, since the code
    that runs now did not cause it.

    :param filename: the file that the warning names.
    :param item: the test that the warning is about; its ``filterwarnings`` marks count, too.
    """
    if config.pluginmanager.is_blocked("warnings"):
        return
    nodeid = "" if item is None else item.nodeid
    try:
        with warnings.catch_warnings(record=True) as shown:
            _apply_filters(config, item, category)
            warnings.warn_explicit(text, category, filename, 0, "pytest_procpar", registry={})
    except category:
        report = pytest.CollectReport(nodeid or "procpar", "failed", f"{category.__name__}: {text}", [])
        report.when = "run"  # otherwise pytest says that something could not be collected
        config.hook.pytest_collectreport(report=report)
        return
    for message in shown:
        config.hook.pytest_warning_recorded.call_historic(
            kwargs={"warning_message": message, "when": when, "nodeid": nodeid, "location": None}
        )


def _apply_filters(config: pytest.Config, item: pytest.Item | None, category: type[Warning]) -> None:
    if not sys.warnoptions:
        warnings.simplefilter("always", category)
    apply_warning_filters(*warning_filters(config))
    for mark in reversed(list(item.iter_markers("filterwarnings")) if item is not None else []):
        for argument in mark.args:
            warnings.filterwarnings(*parse_warning_filter(argument, escape=False))


def warning_to_data(
    message: warnings.WarningMessage, when: str, nodeid: str, location: tuple[str, int, str] | None
) -> WarningData:
    """The arguments of `pytest_warning_recorded` in builtin types."""
    category = message.category
    return {
        "text": str(message.message),
        "module": category.__module__,
        "category": category.__qualname__,
        "filename": message.filename,
        "lineno": message.lineno,
        "line": message.line,
        "when": when,
        "nodeid": nodeid,
        "location": location,
    }


def warning_from_data(data: WarningData) -> _Recorded:
    """The arguments of `pytest_warning_recorded`, from what `warning_to_data` returned.

    A category that is not imported here is replaced by a class of the same name: importing a test module only
    to show a warning would run that module in the controller.
    """
    category = _category(data["module"], data["category"])
    try:
        text: Warning | str = category(data["text"])
        if str(text) != data["text"]:
            text = data["text"]
    except Exception:  # the category's constructor wants other arguments
        text = data["text"]
    message = warnings.WarningMessage(
        message=text,
        category=category,
        filename=data["filename"],
        lineno=data["lineno"],
        line=data["line"],
    )
    return {
        "warning_message": message,
        "when": data["when"],
        "nodeid": data["nodeid"],
        "location": data["location"],
    }


def _category(module: str, qualname: str) -> type[Warning]:
    found: object = sys.modules.get(module, builtins)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    if isinstance(found, type) and issubclass(found, Warning):
        return found
    return type(qualname.rpartition(".")[2], (UserWarning,), {"__module__": module, "__qualname__": qualname})
