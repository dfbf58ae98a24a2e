"""How a function does something else for a while, and stays the object that it is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

__all__ = ["Builtin", "code_that_calls", "copy_of"]


class Builtin:
    """Stands in for a function that is written in C: as a class's attribute, too, it becomes no method.

    :param module: where it is found by its name.
    """

    def __init__(self, original: Any, function: Callable[..., Any], module: str) -> None:
        functools.update_wrapper(self, original)
        self.__module__ = module
        self._function = function

    def __reduce__(self) -> str:
        name: str = self.__name__  # type: ignore[attr-defined]
        return name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call what stands in."""
        return self._function(*args, **kwargs)


def _template(*args: Any, **kwargs: Any) -> Any:
    return hidden(*args, **kwargs)  # type: ignore[name-defined]  # noqa: F821


class _Template:
    """For a method that uses ``super()``: it has a free variable, and so must its code."""

    def method(*args: Any, **kwargs: Any) -> Any:
        __class__  # type: ignore[name-defined]  # noqa: B018
        return hidden(*args, **kwargs)  # type: ignore[name-defined]  # noqa: F821


def code_that_calls(hidden: str, like: CodeType) -> CodeType:
    """The code of a function that passes everything on to the global one of this name.

    :param like: the code in whose place it is to be, with no free variable but ``__class__``.
    """
    code = (_Template.method if like.co_freevars else _template).__code__
    return code.replace(co_names=(hidden,), co_name=like.co_name, co_filename=like.co_filename)


def copy_of(function: FunctionType) -> FunctionType:
    """A function that does what this one does now."""
    copy = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy
