"""Context variables as state that tests share."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Final

from pytest_procpar.state.namespaces import Access, Values

__all__ = ["CONTEXT"]

_NO_DEFAULT: Final = object()


_run_in: Final = contextvars.Context.run


_new_context: Final = contextvars.Context


def _default_of(var: contextvars.ContextVar[object]) -> object:
    try:
        return _run_in(_new_context(), var.get)
    except LookupError:
        return _NO_DEFAULT


def _read_context(copy: Callable[[], contextvars.Context]) -> Values:
    """The variables that are set to something other than their default."""
    return {
        var: value
        for var, value in copy().items()
        if var.name != "decimal_context" and value is not _default_of(var)
    }


def _enter(context: contextvars.Context) -> None:
    """Make this thread continue in a context, for good."""
    import ctypes  # here, since some builds lack it

    enter = ctypes.pythonapi["PyContext_Enter"]  # an attribute would stay there
    enter.argtypes, enter.restype = [ctypes.py_object], ctypes.c_int
    enter(context)


def _erase_variable(copy: Callable[[], contextvars.Context], var: contextvars.ContextVar[object]) -> None:
    default = _default_of(var)
    if default is not _NO_DEFAULT:
        var.set(default)
        return
    # Only the token of the code that set it could remove the value. So another context replaces this one.
    new = _new_context()
    for other, value in copy().items():
        if other is not var:
            _run_in(new, other.set, value)
    _enter(new)


CONTEXT: Final = Access(
    _read_context,
    lambda _, var, value: var.set(value),
    _erase_variable,
    lambda _, var: f"ContextVar({var.name!r}).get()",
)
