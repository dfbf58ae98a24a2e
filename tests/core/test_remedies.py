"""What a suggested fixture does: run here, it puts the slot back, whatever a test has done to it."""

from __future__ import annotations

import array
import ast
import collections
import contextlib
import logging
import os
import random
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_procpar.core.recheck.remedies import NEW, SCOPES, Slot, fixture_for, is_module_in, module_of

NAME = "shop_of_the_remedies"


@pytest.fixture
def shop() -> Iterator[Any]:
    class Till:
        amount = 1

        @staticmethod
        def greet() -> str:
            return "hello"

    module: Any = types.ModuleType(NAME)
    module.VALUE, module.Till, module.till = 1, Till, Till()
    module.LIST, module.DICT, module.SET = [1], {"a": 1, "inner": [1]}, {1}
    module.DEQUE, module.BYTES = collections.deque([1]), bytearray(b"1")
    module.ROW, module.chance = array.array("i", [1]), random.Random(5)
    sys.modules[NAME] = module
    yield module
    del sys.modules[NAME]


def run(source: str, deed: str, **names: object) -> None:
    """Do what pytest does with a fixture around a test that does this deed."""
    scope: dict[str, Any] = {"pytest": types.SimpleNamespace(fixture=lambda **_: lambda function: function)}
    scope.update(names)
    exec(source, scope)
    with contextlib.contextmanager(scope["put_back"])():
        exec(deed, scope)


def written(slot: Slot, own_module: str = "", scope: str = SCOPES[0]) -> str:
    source = fixture_for([slot], own_module=own_module, scope=scope, name="put_back")
    assert source
    return source


#: What is changed, how, by what deed on the module, and what shows that it is as it was.
CASES = [
    ("VALUE", "attribute", "shop.VALUE = 2", "shop.VALUE == 1"),
    ("FRESH", "new attribute", "shop.FRESH = 2", "not hasattr(shop, 'FRESH')"),
    ("FRESH", "new attribute", "pass", "not hasattr(shop, 'FRESH')"),
    ("Till.amount", "class attribute", "shop.Till.amount = 2", "shop.Till.amount == 1"),
    ("Till.fresh", "new class attribute", "shop.Till.fresh = 2", "not hasattr(shop.Till, 'fresh')"),
    ("Till.greet", "class attribute", "shop.Till.greet = None", "shop.till.greet() == 'hello'"),
    ("till.amount", "new attribute", "shop.till.amount = 2", "shop.till.amount == 1"),
    ("LIST", "list", "shop.LIST.append(2)", "shop.LIST == [1]"),
    ("DICT", "dict", "shop.DICT.clear(); shop.DICT['b'] = 2", "set(shop.DICT) == {'a', 'inner'}"),
    ("DICT['inner']", "list", "shop.DICT['inner'].append(2)", "shop.DICT['inner'] == [1]"),
    ("SET", "set", "shop.SET.add(2)", "shop.SET == {1}"),
    ("DEQUE", "deque", "shop.DEQUE.append(2)", "list(shop.DEQUE) == [1]"),
    ("BYTES", "bytearray", "shop.BYTES += b'2'", "shop.BYTES == b'1'"),
    ("ROW", "array", "shop.ROW.append(2)", "shop.ROW.tolist() == [1]"),
    (
        "chance.getstate()",
        "generator",
        "shop.chance.random()",
        "shop.chance.random() == __import__('random').Random(5).random()",
    ),
]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(("name", "way", "deed", "fine"), CASES)
def test_a_fixture_puts_back_what_a_test_changes(
    shop: Any, name: str, way: str, deed: str, fine: str, scope: str
) -> None:
    run(written(Slot(f"{NAME}.{name}", way, NAME), scope=scope), deed, shop=shop)
    assert eval(fine, {"shop": shop})


@pytest.mark.parametrize(("name", "way", "deed", "fine"), CASES)
def test_in_its_own_file_a_fixture_imports_nothing(
    shop: Any, name: str, way: str, deed: str, fine: str
) -> None:
    source = written(Slot(f"{NAME}.{name}", way, NAME), own_module=NAME)
    assert NAME not in source
    vars(shop).update(pytest=types.SimpleNamespace(fixture=lambda **_: lambda function: function))
    exec(source, vars(shop))
    with contextlib.contextmanager(shop.put_back)():
        exec(deed, {"shop": shop})
    assert eval(fine, {"shop": shop})


@pytest.mark.parametrize("before", ["open", None])
def test_a_variable_of_the_environment_is_as_it_was(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    monkeypatch.setenv("SHOP_REMEDY", before or "")
    if before is None:
        del os.environ["SHOP_REMEDY"]
    way = "variable" if before else "new variable"
    run(written(Slot("os.environ['SHOP_REMEDY']", way, "os")), "os.environ['SHOP_REMEDY'] = 'x'", os=os)
    assert os.environ.get("SHOP_REMEDY") == before


def test_the_level_of_a_logger_is_set_as_its_cache_must_know() -> None:
    logger = logging.getLogger("remedies")
    logger.setLevel(logging.INFO)
    slot = Slot("logging.getLogger('remedies').level", "attribute", "logging")
    run(written(slot), "logger.setLevel(50); logger.isEnabledFor(20)", logger=logger)
    assert logger.isEnabledFor(logging.INFO)


def test_the_working_directory_is_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    run(written(Slot("os.getcwd()", "setting", "os")), "os.chdir('/')", os=os)
    assert os.getcwd() == str(tmp_path)


#: A setting of the process, what is needed to change it, how, and what it is.
SETTINGS = [
    ("os.umask()", "import os", "os.umask(0o027)", "[os.umask(0o022), os.umask(0o022)][0]"),
    ("gc.isenabled()", "import gc", "gc.disable()", "gc.isenabled()"),
    ("csv.field_size_limit()", "import csv", "csv.field_size_limit(10)", "csv.field_size_limit()"),
    (
        "decimal.getcontext().prec",
        "import decimal",
        "decimal.getcontext().prec = 3",
        "decimal.getcontext().prec",
    ),
    (
        "decimal.getcontext().traps",
        "import decimal",
        "decimal.getcontext().traps[decimal.Inexact] = True",
        "decimal.getcontext().traps.copy()",
    ),
    (
        "signal.getsignal(SIGUSR2)",
        "import signal",
        "signal.signal(signal.SIGUSR2, signal.SIG_IGN)",
        "signal.getsignal(signal.SIGUSR2)",
    ),
    (
        "signal.set_wakeup_fd()",
        "import os, signal; r, w = os.pipe(); os.set_blocking(w, False)",
        "signal.set_wakeup_fd(w)",
        "[signal.set_wakeup_fd(-1), 0][0]",
    ),
]


@pytest.mark.parametrize(("name", "needed", "deed", "value"), SETTINGS, ids=[one[0] for one in SETTINGS])
def test_a_setting_of_the_process_is_as_it_was(name: str, needed: str, deed: str, value: str) -> None:
    scope: dict[str, Any] = {}
    exec(needed, scope)
    was = eval(value, scope)
    source = written(Slot(name, "setting", name.partition(".")[0]))
    run(source, f"{deed}; assert {value} != was", was=was, **scope)
    assert eval(value, scope) == was


def test_several_slots_are_put_back_by_one_fixture(shop: Any) -> None:
    slots = [Slot(f"{NAME}.VALUE", "attribute", NAME), Slot(f"{NAME}.LIST", "list", NAME)]
    source = fixture_for(slots, own_module="", scope="function", name="put_back")
    run(source, "shop.VALUE = 2; shop.LIST.append(2)", shop=shop)
    assert (shop.VALUE, shop.LIST) == (1, [1])


def test_what_the_file_has_imported_is_not_imported_again() -> None:
    slot = Slot("os.environ['SHOP']", "variable", "os")
    source = fixture_for([slot], own_module="", scope="function", name="put_back", imported={"os"})
    assert "import" not in source
    assert "import os" in written(slot)


def test_for_what_is_not_known_nothing_is_written() -> None:
    known = Slot(f"{NAME}.VALUE", "attribute", NAME)
    unknown = [
        Slot("ContextVar('x').get()", "", ""),
        Slot("gc.get_debug()", "setting", "gc"),
        Slot("a-b.VALUE", "attribute", "a-b"),
        Slot("class.VALUE", "attribute", "class"),
        Slot("shop.ü", "attribute", "shop"),
    ]
    for slot in unknown:
        assert not fixture_for([known, slot], own_module="", scope="function", name="put_back")
    assert not fixture_for([], own_module="", scope="function", name="put_back")


WAYS = st.sampled_from(["variable", "attribute", "class attribute", "item", "list", "dict", "cache", "?", ""])


@settings(deadline=None)
@given(
    name=st.text() | st.from_regex(r"shop\.[a-z.]{1,5}(\[('a'|1)\])?(\(\))?", fullmatch=True),
    way=WAYS,
    is_new=st.booleans(),
    own=st.booleans(),
)
def test_what_is_written_is_a_function_whatever_the_name(
    name: str, way: str, is_new: bool, own: bool
) -> None:
    slot = Slot(name, f"{NEW if is_new else ''}{way}", "shop")
    source = fixture_for([slot], own_module="shop" if own else "", scope="function", name="put_back")
    if source:
        (function,) = ast.parse(source).body
        assert isinstance(function, ast.FunctionDef)


@settings(deadline=None)
@given(name=st.text(), is_new=st.booleans())
def test_any_variable_can_be_named_and_does_nothing_else(name: str, is_new: bool) -> None:
    source = fixture_for(
        [Slot(f"os.environ[{name!r}]", "new variable" if is_new else "variable", "os")],
        own_module="",
        scope="function",
        name="put_back",
    )
    environ = {} if is_new else {name: "old"}
    scope: dict[str, Any] = {"pytest": types.SimpleNamespace(fixture=lambda **_: lambda function: function)}
    source = source.replace("import os", "os = shop")
    exec(source, {**scope, "shop": types.SimpleNamespace(environ=environ)}, scope)
    with contextlib.contextmanager(scope["put_back"])():
        environ[name] = "new"
    assert environ == ({} if is_new else {name: "old"})


def test_the_module_of_a_name_is_the_longest_there_is() -> None:
    assert module_of("a.b.C.d['x.y']", {"a", "a.b"}.__contains__) == "a.b"
    assert module_of("x.y", {"a"}.__contains__) == ""


def test_a_module_is_in_the_file_that_ends_like_it() -> None:
    assert is_module_in("test_it", "tests/test_it.py")
    assert is_module_in("tests.test_it", "tests/test_it.py")
    assert not is_module_in("it", "tests/test_it.py")
    assert not is_module_in("other.test_it", "tests/test_it.py")
