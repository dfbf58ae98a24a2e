"""Makes a function do something else for a while, without replacing the function object."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import CodeType, FunctionType

__all__ = ["Builtin", "code_that_calls", "copy_of"]


class Builtin:
    """Stands in for a function written in C: as an attribute of a class, too, it does not become a method.

    :param module: the module in which its name is found.
    """

    def __init__(self, original: Callable[..., object], function: Callable[..., object], module: str) -> None:
        functools.update_wrapper(self, original)
        self.__module__ = module
        self._function, self._original = function, original

    def __reduce__(self) -> str:
        name: str = self.__name__  # type: ignore[attr-defined]
        return name

    def __eq__(self, other: object) -> bool:
        return other is self or other is self._original

    def __hash__(self) -> int:
        """As the original, so as to be found among `os.supports_dir_fd` and the like."""
        return hash(self._original)

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Call the stand-in."""
        return self._function(*args, **kwargs)


def _template(*args: object, **kwargs: object) -> object:
    return hidden(*args, **kwargs)  # type: ignore[name-defined]  # noqa: F821


class _Template:
    """For a method that uses ``super()``: the method has a free variable, so its code must have one, too."""

    def method(*args: object, **kwargs: object) -> object:
        __class__  # type: ignore[name-defined]  # noqa: B018
        return hidden(*args, **kwargs)  # type: ignore[name-defined]  # noqa: F821


def code_that_calls(hidden: str, like: CodeType) -> CodeType:
    """The code of a function that passes its arguments on to the global function of this name.

    :param like: the code that it replaces, which has no free variable except ``__class__``.
    """
    code = (_Template.method if like.co_freevars else _template).__code__
    return code.replace(co_names=(hidden,), co_name=like.co_name, co_filename=like.co_filename)


def copy_of(function: FunctionType) -> FunctionType:
    """A new function that does what this one does now."""
    copy = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy
