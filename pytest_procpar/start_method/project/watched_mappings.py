"""Dictionaries that note which code looks into them for what differs between workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _collections_abc import dict_items, dict_keys, dict_values

__all__ = ["COMMON", "VARIABLE", "WatchedEnviron", "WatchedInput"]

#: What tells a process which worker it is: a variable, and a key of ``config.workerinput``.
VARIABLE = "PYTEST_XDIST_WORKER"
_KEY = "workerid"
#: Variables that are the same in all workers. A process that is not a worker yet does not have them.
COMMON = ("PYTEST_XDIST_TESTRUNUID", "PYTEST_XDIST_WORKER_COUNT")


class WatchedEnviron(dict[object, object]):
    """The dictionary behind `os.environ`.

    Code that goes through the keys, and asks for the value of each in turn, copies it all, as `dict` does.

    :param asked: called with the variable's name when code looks for what only workers have.
    :param taken: called when code copies it all.
    """

    def __init__(
        self, data: dict[object, object], asked: Callable[[str], None], taken: Callable[[], None]
    ) -> None:
        super().__init__(data)
        self._asked, self._taken = asked, taken
        self._names: dict[object, str] = {os.environ.encodekey(name): name for name in (VARIABLE, *COMMON)}
        #: The keys still to come, in reverse, while the whole is being copied.
        self._copied: list[object] = []

    def __iter__(self) -> Iterator[object]:
        self._copied = list(super().__iter__())
        self._copied.reverse()
        self._taken()
        return super().__iter__()

    def __getitem__(self, key: object) -> object:
        self._look(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self._look(key)
        return super().__contains__(key)

    def get(self, key: object, default: object = None) -> object:
        """As of any dict."""
        self._look(key)
        return super().get(key, default)

    def _look(self, key: object) -> None:
        if self._copied and self._copied[-1] == key:
            self._copied.pop()
            return
        self._copied = []
        name = self._names.get(key)
        if name is not None and (name == VARIABLE or not super().__contains__(key)):
            self._asked(name)


class WatchedInput(dict[str, object]):
    """``config.workerinput`` of a process that collects for all workers, and its copies where possible.

    Copies that are made when nothing watches any more are plain.

    `dict` and ``**`` go through the keys and ask for the value of each in one instruction of their caller.

    A key tells about the worker if the workers' values differ; its presence does if not all of them have it.

    :param inputs: the workerinputs of all workers.
    :param asked: called with a key that tells about the worker, when code looks for it.
    :param taken: called with all such keys when code copies it all.
    :param is_on: whether anything watches.
    """

    def __init__(
        self,
        workerinput: dict[str, object],
        inputs: Iterable[dict[str, object]],
        asked: Callable[[str], None],
        taken: Callable[[frozenset[str]], None],
        is_on: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(workerinput)
        self._is_on = is_on
        self._asked, self._all_taken = asked, taken
        #: The instruction that goes through the keys.
        self._taker: tuple[CodeType, int] | None = None
        inputs = [workerinput, *inputs]
        keys = frozenset[str]().union(*inputs)
        self._missing = frozenset(key for key in keys if not all(key in given for given in inputs))
        self._telling = self._missing | {_KEY} | {
            key for key in keys - self._missing if any(given[key] != workerinput[key] for given in inputs)
        }  # fmt: skip

    def _look(self, key: str) -> None:
        if key in self._telling and _instruction() != self._taker:
            self._asked(key)

    def _take(self) -> None:
        self._taker = _instruction()
        self._all_taken(self._telling)

    def __iter__(self) -> Iterator[str]:
        self._take()
        return super().__iter__()

    def __getitem__(self, key: str) -> object:
        self._look(key)
        return super().__getitem__(key)

    def get(self, key: str, default: object = None) -> object:
        """As of any dict."""
        self._look(key)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        if isinstance(key, str) and key in self._missing:
            self._asked(key)
        return super().__contains__(key)

    def pop(self, key: str, *default: object) -> object:
        """As of any dict."""
        self._look(key)
        return super().pop(key, *default)

    def setdefault(self, key: str, default: object = None) -> object:
        """As of any dict."""
        self._look(key)
        return super().setdefault(key, default)

    def popitem(self) -> tuple[str, object]:
        """As of any dict."""
        key, value = super().popitem()
        self._look(key)
        return key, value

    def keys(self) -> dict_keys[str, object]:
        """As of any dict."""
        self._take()
        return super().keys()

    def items(self) -> dict_items[str, object]:
        """As of any dict."""
        self._take()
        return super().items()

    def values(self) -> dict_values[str, object]:
        """As of any dict."""
        self._take()
        return super().values()

    def copy(self) -> dict[str, object]:
        """Make a copy that is watched, too."""
        return self._like(self._plain())

    def __copy__(self) -> dict[str, object]:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, object]) -> dict[str, object]:
        from copy import deepcopy

        return self._like(deepcopy(self._plain(), memo))

    def __or__(self, other: Any) -> Any:
        return self._like(self._plain() | other) if isinstance(other, dict) else NotImplemented

    def __ror__(self, other: Any) -> Any:
        return self._like(other | self._plain()) if isinstance(other, dict) else NotImplemented

    def __reduce__(self) -> tuple[type, tuple[dict[str, object]]]:
        return dict, (self._plain(),)

    def _plain(self) -> dict[str, object]:
        return dict(dict.items(self))

    def _like(self, data: dict[str, object]) -> dict[str, object]:
        if not self._is_on():
            return data
        other: WatchedInput = WatchedInput.__new__(WatchedInput)
        dict.__init__(other, data)
        other._asked, other._all_taken, other._taker = self._asked, self._all_taken, None
        other._missing, other._telling, other._is_on = self._missing, self._telling, self._is_on
        return other


def _instruction() -> tuple[CodeType, int]:
    """The instruction with which code uses the dictionary, three frames up."""
    frame = sys._getframe(3)
    return frame.f_code, frame.f_lasti
