"""Which tests need which fixtures of module and class scope, read from the collected items.

Written against pytest 8.2 to 9.2. A test that asks for a fixture only while it runs (``getfixturevalue``)
cannot be seen to need it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from pytest_procpar.core.run.sharing.wide_fixtures import NOTHING, Use

if TYPE_CHECKING:
    from pytest_procpar.core.run.sharing.wide_fixtures import SharedData

__all__ = ["shared_by"]

#: pytest's own names for set-up functions, which go on with the name of the module or class.
_XUNIT = {
    "_xunit_setup_module_fixture_": "setup_module",
    "_xunit_setup_class_fixture_": "setup_class",
    "_unittest_setUpClass_fixture_": "setUpClass",
}


def shared_by(items: Sequence[pytest.Item]) -> SharedData | None:
    """The fixtures of module and class scope that tests need; None if none needs any."""
    wide: dict[pytest.FixtureDef[object], bool] = {}
    needs: dict[int, list[pytest.FixtureDef[object]]] = {}
    for index, item in enumerate(items):
        info = getattr(item, "_fixtureinfo", None)
        if info is None or not info.name2fixturedefs:
            continue
        needed = []
        for name, definitions in info.name2fixturedefs.items():
            definition = definitions[-1] if definitions else None
            if definition is None:
                continue
            is_wide = wide.get(definition)
            if is_wide is None:
                is_wide = wide[definition] = definition.scope in ("module", "class")
            if is_wide and name in info.names_closure:
                needed.append(definition)
        if needed:
            needs[index] = needed
    return _Table(items, needs).data() if needs else None


class _Table:
    """Numbers homes, fixtures and uses in the order in which tests come to them."""

    def __init__(
        self, items: Sequence[pytest.Item], needs: dict[int, list[pytest.FixtureDef[object]]]
    ) -> None:
        self._items = items
        self._homes: dict[pytest.Collector, int] = {}
        self._fixtures: dict[tuple[int, str, int], int] = {}
        self._described: list[tuple[str, str, int]] = []
        self._uses: dict[Use, int] = {NOTHING: 0}
        self._above: dict[object, tuple[pytest.Collector | None, pytest.Collector | None]] = {}
        self._needed: dict[int, tuple[int, ...]] = {}
        for index, definitions in needs.items():
            numbers = (self._fixture(items[index], definition) for definition in definitions)
            self._needed[index] = tuple(number for number in numbers if number is not None)

    def data(self) -> SharedData | None:
        """What is sent to the controller; None if nothing is shared after all."""
        if not self._described:
            return None
        homes_above: dict[object, tuple[int, ...]] = {}
        use_of: list[int] = []
        for index, item in enumerate(self._items):
            homes = homes_above.get(item.parent)
            if homes is None:
                nodes = self._nodes(item)
                homes = tuple(self._homes[node] for node in nodes if node is not None and node in self._homes)
                homes_above[item.parent] = homes
            use = (homes, self._needed.get(index, ()))
            use_of.append(self._uses.setdefault(use, len(self._uses)))
        return use_of, list(self._uses), self._described

    def _nodes(self, item: pytest.Item) -> tuple[pytest.Collector | None, pytest.Collector | None]:
        """The module and the class that an item is in."""
        known = self._above.get(item.parent)
        if known is None:
            known = self._above[item.parent] = item.getparent(pytest.Module), item.getparent(pytest.Class)
        return known

    def _fixture(self, item: pytest.Item, definition: pytest.FixtureDef[object]) -> int | None:
        """The number of a fixture in the module or class where an item uses it."""
        module, cls = self._nodes(item)
        home = cls if definition.scope == "class" else module
        if home is None:  # pytest sets it up for the test alone
            return None
        name, is_unittest = _plain_name(definition.argname)
        if is_unittest and not _sets_up(getattr(item, "cls", None)):
            return None
        number = self._homes.setdefault(home, len(self._homes))
        key = (number, definition.argname, _parameter(item, definition))
        place = self._fixtures.get(key)
        if place is None:
            place = self._fixtures[key] = len(self._described)
            parameter = f"[{key[2]}]" if key[2] >= 0 else ""
            self._described.append((name, f"{home.nodeid}::{name}{parameter}", number))
        return place


def _plain_name(argname: str) -> tuple[str, bool]:
    """A fixture's name as users know it, and whether it stands for what a `unittest` class sets up."""
    if argname.startswith("_"):
        for prefix, name in _XUNIT.items():
            if argname.startswith(prefix):
                return name, name == "setUpClass"
    return argname, False


def _sets_up(cls: object) -> bool:
    """Whether a `unittest` class sets up anything for all its tests: each class has such a fixture."""
    unittest = sys.modules.get("unittest")  # a suite without such classes need not import it
    if unittest is None or not isinstance(cls, type):
        return True
    plain = unittest.TestCase
    return any(
        getattr(getattr(cls, name, None), "__func__", None) is not getattr(plain, name).__func__
        for name in ("setUpClass", "tearDownClass")
    )


def _parameter(item: pytest.Item, definition: pytest.FixtureDef[object]) -> int:
    """Which of its parameters a fixture has for an item; -1 if it has none."""
    callspec = getattr(item, "callspec", None)
    indices = getattr(callspec, "indices", None) or {}
    return int(indices.get(definition.argname, -1))
