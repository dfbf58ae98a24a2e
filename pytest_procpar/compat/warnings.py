"""Recorded warnings as data, and back again without importing what raised them."""

from __future__ import annotations

import builtins
import sys
import warnings
from typing import Any

import pytest

__all__ = ["tell_warning", "warning_from_data", "warning_to_data"]


def tell_warning(config: pytest.Config, text: str, filename: str) -> None:
    """Show a warning of ours with the others. It is not raised, whatever ``-W`` says: it is no test's."""
    message = warnings.WarningMessage(pytest.PytestWarning(text), pytest.PytestWarning, filename, 0)
    recorded = config.hook.pytest_warning_recorded
    recorded.call_historic(
        kwargs={"warning_message": message, "when": "runtest", "nodeid": "", "location": None}
    )


def warning_to_data(
    message: warnings.WarningMessage, when: str, nodeid: str, location: tuple[str, int, str] | None
) -> dict[str, Any]:
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


def warning_from_data(data: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `pytest_warning_recorded`.

    A category that is not imported here is replaced by a class of its name: importing a test module only
    to show a warning would run it in the controller.
    """
    category = _category(data["module"], data["category"])
    try:
        text: Warning | str = category(data["text"])
        if str(text) != data["text"]:
            text = data["text"]
    except Exception:  # a category whose constructor wants something else
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
    found: Any = sys.modules.get(module, builtins)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    if isinstance(found, type) and issubclass(found, Warning):
        return found
    return type(qualname.rpartition(".")[2], (UserWarning,), {"__module__": module, "__qualname__": qualname})
