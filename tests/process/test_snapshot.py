"""Every kind of state that a test can leave changed: it is named, nothing else is, and it can be put back.

What changes the state of the process does so in a forked child.
"""

from __future__ import annotations

import asyncio
import builtins
import codecs
import collections
import contextvars
import decimal
import faulthandler
import functools
import gc
import io
import itertools
import locale
import logging
import math
import mimetypes
import os
import random
import signal
import socket
import sqlite3
import sys
import time
import tracemalloc
import types
import unittest.mock
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_procpar.state.snapshot import SlotChange, StateSnapshot
from tests.process.helpers import child

pytestmark = pytest.mark.python_dependent

SHOP = """
import asyncio, collections, functools, itertools, logging, math

CURRENCY = "EUR"
NOT_A_NUMBER = math.nan
CATALOGUE = {"fruit": ["apple"], "tools": {"saw": 1}}
BASKET = [1, 2, 3]
SEEN = {"a"}
QUEUE = collections.deque([1])
BUFFER = bytearray(b"x")
ORDERED = collections.OrderedDict(a=1, b=2)
HUGE = list(range(20_000))
PAIR = ([], {})
DEEP = {"a": {"b": {"c": []}}}
chance = __import__("random").Random(5)
opened = __import__("threading").Event()
lock = __import__("threading").Lock()
local = __import__("threading").local()
local.user = "Ann"
text = __import__("io").StringIO("x")
row = __import__("array").array("i", [1, 2])
numbers = itertools.count(7)
logger = logging.getLogger("shop")
request = __import__("contextvars").ContextVar("request")
request.set("none")
answer = __import__("contextvars").ContextVar("answer", default="no")

class Shop:
    instances = 0
    names = []
    class Inner:
        open = True
    def price(self):
        return 1
    @functools.lru_cache
    def rate(self):
        return 1

class Slotted:
    __slots__ = ("size",)

class Registry(dict):
    def __getitem__(self, key): raise AssertionError("it was run")
    def __iter__(self): raise AssertionError("it was run")
    def __len__(self): raise AssertionError("it was run")
    def __eq__(self, other): raise AssertionError("it was run")
    __hash__ = None
    def keys(self): raise AssertionError("it was run")
    def clear(self): raise AssertionError("it was run")

class Trap:
    def __getattribute__(self, name): raise AssertionError("it was run")
    def __eq__(self, other): raise AssertionError("it was run")
    def __bool__(self): raise AssertionError("it was run")
    def __hash__(self): raise AssertionError("it was run")
    def __repr__(self): raise ValueError("no")
    @property
    def __class__(self): raise AssertionError("it was run")

trap = Trap()
registry = Registry(a=1)
shop = Shop()
shop.owner = "Ann"
shop.parts = {"door": Shop()}
shop.parts["door"].is_open = False
slotted = Slotted()
slotted.size = 1

def price(item, log=[], *, options={}):
    return 1

def make_counter():
    n, made = 0, []
    def count():
        nonlocal n
        n += 1
        return n
    return count

tick = make_counter()

class Colour(__import__("enum").Enum):
    RED = [1]
    GREEN = [2]
Colour.RED.warm = True

class Shape(__import__("abc").ABC): pass
Shape.register(int)

greet = functools.partial(price, "tea", options={"a": 1})
unset = __import__("contextvars").ContextVar("unset")

@functools.lru_cache(maxsize=None)
def rate(country):
    return 0.2
"""


#: Packages of which a snapshot is taken here: the standard library, ours, and what tests make.
SEEN = {*sys.stdlib_module_names, "pytest_procpar", "numpy"}


@contextmanager
def module(name: str, source: str) -> Iterator[Any]:
    """A module that is nowhere but in memory."""
    made = types.ModuleType(name)
    sys.modules[name] = made
    SEEN.add(name)
    try:
        exec(source, made.__dict__)
        yield made
    finally:
        del sys.modules[name]


@pytest.fixture
def shop() -> Iterator[Any]:
    with module("shop", SHOP) as made:
        yield made


class Snapshot(StateSnapshot):
    """A snapshot without the modules of the tools and of all other tests, which are most of what there is.

    :param only: the one module to look at, to be quicker still.
    """

    def __init__(self, only: str | None = None) -> None:
        self._only = only
        with self._alone():
            super().__init__()

    def compare(self, *, imports: bool = False) -> list[SlotChange]:
        with self._alone():
            return super().compare(imports=imports)

    def restore(self, names: Iterable[str]) -> list[str]:
        with self._alone():
            return super().restore(names)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        others = {name: sys.modules.pop(name) for name in [*sys.modules] if not self._is_seen(name)}
        try:
            yield
        finally:
            sys.modules.update(others)

    def _is_seen(self, name: str) -> bool:
        return name.partition(".")[0] in SEEN if self._only is None else name == self._only


def names(changes: list[SlotChange]) -> list[str]:
    return [change.name for change in changes]


def in_child(body: Callable[[], object]) -> None:
    with child(body):
        pass


class Case(NamedTuple):
    name: str
    change: Callable[[Any], object]
    read: Callable[[Any], object]
    before: str
    after: str


def set_to(target: str, value: object) -> Callable[[Any], None]:
    """Set an attribute of the module, however deep."""
    path, _, name = target.rpartition(".")
    return lambda shop: setattr(
        functools.reduce(getattr, path.split("."), shop) if path else shop, name, value
    )


VALUES = [
    Case("shop.CURRENCY", set_to("CURRENCY", "USD"), lambda s: s.CURRENCY, "'EUR'", "'USD'"),
    Case("shop.CURRENCY", lambda s: delattr(s, "CURRENCY"), lambda s: s.CURRENCY, "'EUR'", "(absent)"),
    Case("shop.NEW", set_to("NEW", None), lambda s: hasattr(s, "NEW"), "(absent)", "None"),
    Case(
        "shop.CATALOGUE",
        lambda s: s.CATALOGUE.update(new=[], tools=0),
        lambda s: dict(s.CATALOGUE),
        "{'tools': {'saw': 1}, …}",
        "{'tools': 0, 'new': [], …}",
    ),
    Case(
        "shop.CATALOGUE",
        set_to("CATALOGUE", {"fruit": ["pear"]}),
        lambda s: (id(s.CATALOGUE), str(s.CATALOGUE)),
        "{'fruit': ['apple'], 'tools': {'saw': 1}}",
        "{'fruit': ['pear']}",
    ),
    Case(
        "shop.CATALOGUE['fruit']",
        lambda s: s.CATALOGUE["fruit"].append("fig"),
        lambda s: list(s.CATALOGUE["fruit"]),
        "[…]",
        "[…, 'fig']",
    ),
    Case(
        "shop.CATALOGUE['tools']",
        lambda s: s.CATALOGUE["tools"].clear(),
        lambda s: dict(s.CATALOGUE["tools"]),
        "{'saw': 1}",
        "{}",
    ),
    Case("shop.BASKET", lambda s: s.BASKET.insert(1, 9), lambda s: list(s.BASKET), "[…]", "[…, 9, …]"),
    Case("shop.SEEN", lambda s: s.SEEN.add("b"), lambda s: set(s.SEEN), "{…}", "{'b', …}"),
    Case("shop.QUEUE", lambda s: s.QUEUE.clear(), lambda s: list(s.QUEUE), "[1]", "[]"),
    Case("shop.BUFFER", lambda s: s.BUFFER.extend(b"y"), lambda s: bytes(s.BUFFER), "b'x'", "b'xy'"),
    Case("shop.ORDERED", lambda s: s.ORDERED.pop("a"), lambda s: list(s.ORDERED), "{'a': 1, …}", "{…}"),
    Case("shop.PAIR[0]", lambda s: s.PAIR[0].append(1), lambda s: len(s.PAIR[0]), "[]", "[1]"),
    Case("shop.numbers", lambda s: next(s.numbers), lambda s: repr(s.numbers), "count(7)", "count(8)"),
    Case(
        "shop.registry",
        lambda s: dict.pop(s.registry, "a"),
        lambda s: list(dict.items(s.registry)),
        "{'a': 1}",
        "{}",
    ),
    Case("shop.Shop.instances", set_to("Shop.instances", 3), lambda s: s.Shop.instances, "0", "3"),
    Case("shop.Shop.names", lambda s: s.Shop.names.append(1), lambda s: list(s.Shop.names), "[]", "[1]"),
    Case("shop.Shop.Inner.open", set_to("Shop.Inner.open", 0), lambda s: s.Shop.Inner.open, "True", "0"),
    Case(
        "shop.Shop.price",
        set_to("Shop.price", len),
        lambda s: s.Shop.price,
        "<function shop.Shop.price>",
        "<function len>",
    ),
    Case("shop.price", set_to("price", len), lambda s: s.price, "<function shop.price>", "<function len>"),
    Case("shop.price.calls", set_to("price.calls", 1), lambda s: hasattr(s.price, "calls"), "(absent)", "1"),
    Case(
        "shop.price.__defaults__[0]",
        lambda s: s.price.__defaults__[0].append(1),
        lambda s: list(s.price.__defaults__[0]),
        "[]",
        "[1]",
    ),
    Case(
        "shop.price.__kwdefaults__['options']",
        lambda s: s.price.__kwdefaults__["options"].update(a=1),
        lambda s: str(s.price.__kwdefaults__),
        "{}",
        "{'a': 1}",
    ),
    Case(
        "shop.tick.__closure__[0].cell_contents",
        lambda s: s.tick(),
        lambda s: s.tick.__closure__[0].cell_contents,
        "0",
        "1",
    ),
    Case("shop.shop.owner", set_to("shop.owner", "Bob"), lambda s: s.shop.owner, "'Ann'", "'Bob'"),
    Case(
        "shop.shop.parts['door'].is_open",
        lambda s: setattr(s.shop.parts["door"], "is_open", True),
        lambda s: s.shop.parts["door"].is_open,
        "False",
        "True",
    ),
    Case("shop.slotted.size", set_to("slotted.size", 2), lambda s: s.slotted.size, "1", "2"),
    Case(
        "shop.slotted.size", lambda s: delattr(s.slotted, "size"), lambda s: s.slotted.size, "1", "(absent)"
    ),
    Case(
        "shop.DEEP['a']['b']['c']",
        lambda s: s.DEEP["a"]["b"]["c"].append(1),
        lambda s: s.DEEP["a"]["b"]["c"][:],
        "[]",
        "[1]",
    ),
    Case(
        "shop.local.user",
        lambda s: setattr(s.local, "user", "Bob"),
        lambda s: s.local.user,
        "'Ann'",
        "'Bob'",
    ),
    Case("shop.opened.is_set()", lambda s: s.opened.set(), lambda s: s.opened.is_set(), "False", "True"),
    Case("shop.lock.locked()", lambda s: s.lock.acquire(), lambda s: s.lock.locked(), "False", "True"),
    Case(
        "shop.text.getvalue()",
        lambda s: s.text.write("yz"),
        lambda s: (s.text.getvalue(), s.text.tell()),
        "('x', 0)",
        "('yz', 2)",
    ),
    Case(
        "shop.row",
        lambda s: s.row.append(3),
        lambda s: s.row.tolist(),
        "array('i', [1, 2])",
        "array('i', [1, 2, 3])",
    ),
    Case(
        "ContextVar('answer').get()",
        lambda s: s.answer.set("yes"),
        lambda s: s.answer.get(),
        "(absent)",
        "'yes'",
    ),
    Case(
        "ContextVar('unset').get()",
        lambda s: s.unset.set("one"),
        lambda s: s.unset.get("nothing"),
        "(absent)",
        "'one'",
    ),
    Case(
        "shop.Colour.RED.warm",
        lambda s: setattr(s.Colour.RED, "warm", False),
        lambda s: s.Colour.RED.warm,
        "True",
        "False",
    ),
    Case(
        "shop.Colour.GREEN._value_",
        lambda s: s.Colour.GREEN.value.append(3),
        lambda s: list(s.Colour.GREEN.value),
        "[…]",
        "[…, 3]",
    ),
    Case(
        "shop.Shape._dump_registry()",
        lambda s: s.Shape.register(str),
        lambda s: (isinstance("", s.Shape), isinstance(1, s.Shape)),
        "[<class int>]",
        "[<class int>, <class str>]",
    ),
    Case(
        "shop.greet.keywords",
        lambda s: s.greet.keywords.update(options={}),
        lambda s: s.greet.keywords["options"],
        "{'options': {'a': 1}}",
        "{'options': {}}",
    ),
    Case(
        "shop.greet.args",
        lambda s: s.greet.__setstate__((s.price, (), s.greet.keywords, {})),
        lambda s: s.greet.args,
        "('tea',)",
        "()",
    ),
    Case(
        "shop.ORDERED.keys()",
        lambda s: s.ORDERED.move_to_end("a"),
        lambda s: list(s.ORDERED),
        "['a', 'b']",
        "['b', 'a']",
    ),
    Case(
        "ContextVar('request').get()",
        lambda s: s.request.set("one"),
        lambda s: s.request.get(),
        "'none'",
        "'one'",
    ),
]


def check(case: Case, shop: Any) -> None:
    was = case.read(shop)
    snapshot = Snapshot()
    case.change(shop)
    changes = snapshot.compare()
    assert [(c.name, c.before, c.after, c.restorable) for c in changes] == [
        (case.name, case.before, case.after, True)
    ]
    assert snapshot.restore([case.name]) == []
    assert case.read(shop) == was
    assert snapshot.compare() == []


@pytest.mark.parametrize("case", VALUES, ids=lambda case: case.name)
def test_value_of_a_module_is_named_and_put_back(case: Case, shop: Any) -> None:
    in_child(lambda: check(case, shop))


class Own(logging.Handler):
    pass


def patch(target: str) -> Callable[[Any], None]:
    # As a test does that forgets to stop it. The library keeps a list of its own, which is let be.
    return lambda _: setattr(builtins, target, unittest.mock.Mock(name="fake"))


def own_handler(*_: object) -> None:
    """A signal's handler."""


def shop_logger(**values: object) -> Callable[[Any], None]:
    return lambda s: s.logger.__dict__.update(values)


def change_zone(_: Any) -> None:
    was = os.environ.get("TZ")
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    os.environ.pop("TZ")
    if was is not None:
        os.environ["TZ"] = was


def find_shop_codec(name: str) -> codecs.CodecInfo | None:
    normal = name.replace("-", "_")  # Python 3.15 leaves that to whoever searches
    return codecs.lookup("ascii") if normal == "of_the_shop" else None


def use_shop_codec() -> None:
    codecs.register(find_shop_codec)
    codecs.lookup("of-the-shop")


def has_codec(name: str) -> bool:
    try:
        codecs.lookup(name)
    except LookupError:
        return False
    return True


def has_handler(name: str) -> bool:
    try:
        codecs.lookup_error(name)
    except LookupError:
        return False
    return True


#: A descriptor that no test uses.
WAKEUP = 97


def nonblocking() -> int:
    _, writing = os.pipe()
    os.dup2(writing, WAKEUP)
    os.set_blocking(WAKEUP, False)
    return WAKEUP


def wakeup() -> int:
    was = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(was)
    return was


def new_event_loop_policy() -> None:
    # The public functions are deprecated.
    vars(asyncio.events)["_event_loop_policy"] = None
    vars(asyncio.events)["_init_event_loop_policy"]()


def has_loop() -> bool:
    """Whether this thread gets an event loop, as it does until one was set (and, in new Pythons, never)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            asyncio.get_event_loop().close()
    except RuntimeError:
        return False
    vars(vars(asyncio.events)["_event_loop_policy"]._local).clear()
    return True


#: What the module calls itself in which the abstract classes are.
COLLECTIONS_ABC = "collections.abc" if sys.version_info < (3, 13) else "_collections_abc"

PROCESS = [
    Case(
        "os.environ['X']",
        lambda _: os.environ.update(X="1"),
        lambda _: os.environ.get("X"),
        "(absent)",
        "'1'",
    ),
    Case(
        "os.environ['GIVEN']",
        lambda _: os.environ.pop("GIVEN"),
        lambda _: os.getenv("GIVEN"),
        "'g'",
        "(absent)",
    ),
    Case("os.getcwd()", lambda _: os.chdir("/"), lambda _: os.getcwd(), repr(os.getcwd()), "'/'"),
    Case("os.umask()", lambda _: os.umask(0o123), lambda _: os.umask(os.umask(0)), "18", "83"),
    Case("sys.path", lambda _: sys.path.append("/x"), lambda _: list(sys.path), "[…]", "[…, '/x']"),
    Case(
        "sys.modules['colorsys']",
        lambda _: sys.modules.pop("colorsys"),
        lambda _: "colorsys" in sys.modules,
        "<module 'colorsys'>",
        "(absent)",
    ),
    Case(
        "logging.getLogger('shop').level",
        lambda s: s.logger.setLevel("DEBUG"),
        lambda s: (s.logger.level, s.logger.isEnabledFor(logging.DEBUG)),
        "0",
        "10",
    ),
    Case(
        "logging.getLogger('shop').disabled",
        shop_logger(disabled=True),
        lambda s: s.logger.disabled,
        "False",
        "True",
    ),
    Case(
        "logging.getLogger('shop').propagate",
        shop_logger(propagate=False),
        lambda s: s.logger.propagate,
        "True",
        "False",
    ),
    Case(
        "logging.getLogger('shop').handlers",
        lambda s: s.logger.addHandler(Own()),
        lambda s: list(s.logger.handlers),
        "[]",
        "[<Own (NOTSET)>]",
    ),
    Case(
        "logging.getLogger('shop').filters",
        lambda s: s.logger.filters.append(1),
        lambda s: list(s.logger.filters),
        "[]",
        "[1]",
    ),
    Case(
        "logging.getLogger('shop.made').level",
        lambda _: logging.getLogger("shop.made").setLevel(50),
        lambda _: logging.getLogger("shop.made").isEnabledFor(40),
        "0",
        "50",
    ),
    Case(
        "logging.getLogger('shop.made').propagate",
        lambda _: setattr(logging.getLogger("shop.made"), "propagate", False),
        lambda _: logging.getLogger("shop.made").propagate,
        "True",
        "False",
    ),
    Case(
        "logging.getLogger('shop.made').handlers",
        lambda _: logging.getLogger("shop.made").addHandler(Own()),
        lambda _: list(logging.getLogger("shop.made").handlers),
        "[]",
        "[<Own (NOTSET)>]",
    ),
    Case(
        "logging.root.manager._disable",
        lambda _: logging.disable(50),
        lambda _: logging.root.manager.disable,
        "0",
        "50",
    ),
    Case(
        "warnings.filters",
        lambda _: warnings.simplefilter("ignore"),
        lambda _: list(warnings.filters),
        "[…]",
        "[('ignore', None, <class Warn…), …]",
    ),
    Case(
        "signal.getsignal(SIGUSR1)",
        lambda _: signal.signal(signal.SIGUSR1, own_handler),
        lambda _: signal.getsignal(signal.SIGUSR1),
        "<Handlers.SIG_DFL: 0>",
        f"<function {__name__}.own_handler>",
    ),
    Case(
        "signal.pthread_sigmask(SIG_BLOCK, [])",
        lambda _: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]),
        lambda _: signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "()",
        f"({int(signal.SIGUSR1)},)",
    ),
    Case(
        "builtins.open",
        patch("open"),
        lambda _: builtins.open,
        f"<function {open.__module__}.open>",
        "<Mock name='fake'>",
    ),
    Case(
        "mimetypes.suffix_map",
        lambda _: mimetypes.suffix_map.update(x="y"),
        lambda _: dict(mimetypes.suffix_map),
        "{…}",
        "{'x': 'y', …}",
    ),
    Case(
        "locale.setlocale(LC_ALL)",
        lambda _: locale.setlocale(locale.LC_ALL, "C.UTF-8"),
        lambda _: locale.setlocale(locale.LC_ALL),
        "'C'",
        "'C.UTF-8'",
    ),
    Case(
        "decimal.getcontext().prec",
        lambda _: setattr(decimal.getcontext(), "prec", 5),
        lambda _: decimal.getcontext().prec,
        "28",
        "5",
    ),
    Case(
        "decimal.getcontext().traps",
        lambda _: decimal.getcontext().traps.__setitem__(decimal.Overflow, False),
        lambda _: decimal.getcontext().traps[decimal.Overflow],
        "('DivisionByZero', 'InvalidOperation', 'Overflow')",
        "('DivisionByZero', 'InvalidOperation')",
    ),
    Case(
        "sys.getrecursionlimit()",
        lambda _: sys.setrecursionlimit(999),
        lambda _: sys.getrecursionlimit(),
        "1000",
        "999",
    ),
    Case(
        "faulthandler.is_enabled()",
        lambda _: faulthandler.disable(),
        lambda _: faulthandler.is_enabled(),
        "True",
        "False",
    ),
    Case(
        "tracemalloc.is_tracing()",
        lambda _: tracemalloc.start(),
        lambda _: tracemalloc.is_tracing(),
        "False",
        "True",
    ),
    Case("gc.isenabled()", lambda _: gc.disable(), lambda _: gc.isenabled(), "True", "False"),
    Case(
        "gc.get_threshold()",
        lambda _: gc.set_threshold(1, 2, 3),
        lambda _: gc.get_threshold(),
        "(700, 10, 10)",
        "(1, 2, 3)",
    ),
    Case(
        "socket.getdefaulttimeout()",
        lambda _: socket.setdefaulttimeout(2),
        lambda _: socket.getdefaulttimeout(),
        "None",
        "2.0",
    ),
    Case(
        "sys.get_coroutine_origin_tracking_depth()",
        lambda _: sys.set_coroutine_origin_tracking_depth(5),
        lambda _: sys.get_coroutine_origin_tracking_depth(),
        "0",
        "5",
    ),
    Case(
        "sys.get_asyncgen_hooks()",
        lambda _: sys.set_asyncgen_hooks(firstiter=print),
        lambda _: sys.get_asyncgen_hooks(),
        "(None, None)",
        "(<function print>, None)",
    ),
    Case(
        "sys.getdlopenflags()",
        lambda _: sys.setdlopenflags(0x101),
        lambda _: sys.getdlopenflags(),
        "2",
        "257",
    ),
    Case(
        "signal.set_wakeup_fd()",
        lambda _: signal.set_wakeup_fd(nonblocking()),
        lambda _: wakeup(),
        "-1",
        str(WAKEUP),
    ),
    Case(
        f"{COLLECTIONS_ABC}.Collection._dump_registry()",
        lambda s: (
            collections.abc.Collection.register(s.Shop),
            isinstance(s.Shop(), collections.abc.Sized),
        ),
        lambda s: isinstance(s.Shop(), collections.abc.Sized),
        "[]",
        "[<class shop.Shop>]",
    ),
    Case(
        "shop.Shape.__subclasses__()",
        # It is kept in a module that is not looked at.
        lambda s: setattr(pytest, "kept", type("Square", (s.Shape,), {"__module__": "shop"})),
        lambda s: s.Shape.__subclasses__(),
        "[]",
        "[<class shop.Square>]",
    ),
    Case(
        "codecs.register()",
        lambda _: use_shop_codec(),
        lambda _: has_codec("of-the-shop"),
        "(<function encodings.search_f…>,)",
        "(<function encodings.search_f…>, <function tests.process.test…>)",
    ),
    Case(
        "codecs.lookup_error('shop')",
        lambda _: codecs.register_error("shop", codecs.ignore_errors),
        lambda _: has_handler("shop"),
        "(absent)",
        "<function ignore_errors>",
    ),
    Case(
        "codecs.lookup_error('replace')",
        lambda _: codecs.register_error("replace", codecs.ignore_errors),
        lambda _: "ü".encode("ascii", "replace"),
        "<function replace_errors>",
        "<function ignore_errors>",
    ),
    Case(
        "sys.stdout",
        lambda _: setattr(sys, "stdout", None),
        lambda _: sys.stdout,
        "<_io.StringIO object>",
        "None",
    ),
    Case(
        "time.tzname",
        change_zone,
        lambda _: (time.tzname, time.localtime(0).tm_hour, os.environ.get("TZ")),
        "(('UTC', 'UTC'), 0, 0, 0)",
        "(('JST', 'JST'), -32400, -32400, 0)",
    ),
]

if sys.version_info < (3, 14):  # no loop is made by asking for one any more, so that none can be missing
    PROCESS.append(
        Case(
            "asyncio.get_event_loop()",
            lambda _: asyncio.run(asyncio.sleep(0)),
            lambda _: has_loop(),
            "(None, False, False)",
            "(None, True, False)",
        )
    )


def known_start() -> None:
    """Whatever the process of the tests is like, these have the values that the cases name."""
    import colorsys  # noqa: F401

    os.environ["GIVEN"] = "g"
    os.environ["TZ"] = "UTC"
    time.tzset()
    os.umask(0o022)
    locale.setlocale(locale.LC_ALL, "C")
    sys.setrecursionlimit(1000)
    gc.enable()
    faulthandler.enable(2)
    gc.set_threshold(700, 10, 10)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.set_wakeup_fd(-1)
    new_event_loop_policy()


@pytest.mark.parametrize("case", PROCESS, ids=lambda case: case.name)
def test_setting_of_the_process_is_named_and_put_back(case: Case, shop: Any) -> None:
    def body() -> None:
        known_start()
        sys.stdout = io.StringIO()
        check(case, shop)

    in_child(body)


def test_the_priority_is_named_and_put_back_where_that_is_permitted() -> None:
    def body() -> None:
        os.setpriority(os.PRIO_PROCESS, 0, 18)
        snapshot = StateSnapshot()
        os.setpriority(os.PRIO_PROCESS, 0, 19)
        (change,) = snapshot.compare()
        assert (change.before, change.after) == ("18", "19")
        try:
            os.setpriority(os.PRIO_PROCESS, 0, 18)
            os.setpriority(os.PRIO_PROCESS, 0, 19)
            refused = []
        except PermissionError:
            refused = [change.name]
        assert snapshot.restore([change.name]) == refused

    in_child(body)


def test_a_descriptor_of_signals_that_was_closed_is_named(shop: Any) -> None:
    def body() -> None:
        known_start()
        snapshot = StateSnapshot()
        signal.set_wakeup_fd(nonblocking())
        os.close(WAKEUP)
        (change,) = snapshot.compare()
        assert (change.name, change.after) == ("signal.set_wakeup_fd()", str(WAKEUP))

    in_child(body)


# --- caches, imports, what cannot be put back --------------------------------------------------------


def test_cache_is_put_back_by_emptying_it(shop: Any) -> None:
    snapshot = Snapshot()
    shop.rate("de")
    (change,) = snapshot.compare()
    assert (change.name, change.kind) == ("shop.rate.cache_info()", "cache")
    assert (change.before, change.after) == ("misses=0, currsize=0", "misses=1, currsize=1")
    assert change.note == "put back by emptying it"
    assert snapshot.restore([change.name]) == []
    assert shop.rate.cache_info().currsize == 0


def test_likely_causes_come_first(shop: Any) -> None:
    def body() -> None:
        snapshot = Snapshot()
        mimetypes.suffix_map["x"] = "y"
        shop.rate("de")
        random.random()
        shop.CURRENCY = "USD"
        found = names(snapshot.compare())
        assert found == [
            "shop.CURRENCY",
            "mimetypes.suffix_map",
            "random.getstate()",
            "shop.rate.cache_info()",
        ]
        assert snapshot.restore(found) == []
        assert snapshot.compare() == []

    in_child(body)


def test_the_values_that_a_test_is_given_by_a_mark_are_seen(shop: Any) -> None:
    value: list[int] = []

    @pytest.mark.parametrize("entries", [value])
    def test_fills(entries: list[int]) -> None:
        entries.append(1)

    test_fills.__module__ = "shop"
    shop.test_fills = test_fills
    snapshot = Snapshot()
    test_fills(value)
    (change,) = snapshot.compare()
    assert (change.name, change.way) == ("shop.test_fills.pytestmark[0].args[1][0]", "list")
    assert eval(change.name, {"shop": shop}) is value
    assert snapshot.restore([change.name]) == []
    assert value == []


def test_the_generator_of_numpy_is_put_back(shop: Any) -> None:
    numpy = pytest.importorskip("numpy")

    def body() -> None:
        numpy.random.seed(7)
        snapshot = Snapshot()
        assert snapshot.compare() == []
        first = numpy.random.random()
        (change,) = snapshot.compare()
        assert (change.name, change.kind) == ("numpy.random.get_state()", "cache")
        assert snapshot.restore([change.name]) == []
        assert numpy.random.random() == first

    in_child(body)


@pytest.mark.parametrize(
    ("made", "name", "change", "read", "kind"),
    [
        ("numpy.zeros((2, 2))", "shop.made", lambda made: made.fill(7), lambda made: made.tolist(), "value"),
        (
            "numpy.random.default_rng(4)",
            "shop.made.bit_generator.state",
            lambda made: made.random(),
            lambda made: made.bit_generator.state,
            "cache",
        ),
        (
            "numpy.random.RandomState(4)",
            "shop.made.get_state()",
            lambda made: made.rand(),
            lambda made: str(made.get_state()),
            "cache",
        ),
    ],
    ids=["array", "generator", "old generator"],
)
def test_what_numpy_keeps_is_put_back(
    made: str,
    name: str,
    change: Callable[[Any], object],
    read: Callable[[Any], object],
    kind: str,
    shop: Any,
) -> None:
    numpy = pytest.importorskip("numpy")

    def body() -> None:
        shop.made = eval(made, {"numpy": numpy})
        was = read(shop.made)
        snapshot = Snapshot()
        change(shop.made)
        assert [(c.name, c.kind) for c in snapshot.compare()] == [(name, kind)]
        assert snapshot.restore([name]) == []
        assert read(shop.made) == was
        assert snapshot.compare() == []

    in_child(body)


def test_the_source_of_randomness_is_put_back(shop: Any) -> None:
    def body() -> None:
        snapshot = Snapshot()
        first = shop.chance.random()
        (change,) = snapshot.compare()
        assert (change.name, change.kind, change.way) == ("shop.chance.getstate()", "cache", "generator")
        assert snapshot.restore([change.name]) == []
        assert shop.chance.random() == first

    in_child(body)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="needs Connection.serialize")
@pytest.mark.parametrize("is_empty", [True, False])
@pytest.mark.parametrize("is_committed", [True, False])
def test_a_database_in_memory_is_put_back(is_committed: bool, is_empty: bool, shop: Any) -> None:
    shop.database = sqlite3.connect(":memory:")
    if not is_empty:
        shop.database.executescript("create table t (x); insert into t values (1);")
    was = list(shop.database.iterdump())
    snapshot = Snapshot()
    assert snapshot.compare() == []
    shop.database.execute("create table u (y)")
    shop.database.execute("insert into u values (2)")
    if is_committed:
        shop.database.commit()
    (change,) = snapshot.compare()
    assert (change.name, change.restorable) == ("shop.database.serialize()", True)
    assert ("CREATE TABLE t (x);" in change.before) == (not is_empty)
    assert "CREATE TABLE u (y);" in change.after
    assert snapshot.restore([change.name]) == []
    assert list(shop.database.iterdump()) == was
    assert snapshot.compare() == []
    shop.database.close()


def test_a_database_in_a_file_is_no_state_of_the_process(shop: Any, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop.database:
        snapshot = Snapshot()
        shop.database.executescript("create table t (x); insert into t values (1);")
        assert snapshot.compare() == []


@pytest.mark.parametrize("closed", ["io.StringIO('x')", "io.BytesIO(b'x')"])
def test_a_buffer_that_is_closed_meanwhile_is_named_and_cannot_be_put_back(closed: str, shop: Any) -> None:
    def body() -> None:
        shop.made = eval(closed, {"io": io})
        snapshot = Snapshot()
        shop.made.close()
        (change,) = snapshot.compare()
        assert (change.name, change.after) == ("shop.made.getvalue()", "(absent)")
        assert snapshot.restore([change.name]) == [change.name]

    in_child(body)


def test_what_has_changed_is_told_with_what_it_is(shop: Any) -> None:
    def body() -> None:
        snapshot = Snapshot()
        shop.CURRENCY, shop.FRESH = "USD", 1
        shop.rate("de")
        os.environ["SHOP_OF_STATE"] = "open"
        told = {change.name: (change.way, change.module) for change in snapshot.compare()}
        assert told == {
            "shop.CURRENCY": ("attribute", "shop"),
            "shop.FRESH": ("new attribute", "shop"),
            "shop.rate.cache_info()": ("cache", "shop"),
            "os.environ['SHOP_OF_STATE']": ("new variable", "os"),
        }

    in_child(body)


def test_a_logger_that_was_only_anothers_parent_is_new() -> None:
    def body() -> None:
        logging.getLogger("shops.of.state")
        snapshot = Snapshot()
        logging.getLogger("shops.of").setLevel(40)
        assert names(snapshot.compare()) == ["logging.getLogger('shops.of').level"]
        assert not logging.getLogger("shops.of.state").isEnabledFor(30)
        assert snapshot.restore(["logging.getLogger('shops.of').level"]) == []
        assert logging.getLogger("shops.of.state").isEnabledFor(30)

    in_child(body)


def test_another_name_for_the_modules_is_no_slot_of_its_own(shop: Any) -> None:
    def body() -> None:
        sys.modules.pop("colorsys", None)
        modules = sys.modules
        shop.find = lambda name: modules.get(name)
        snapshot = Snapshot()
        import colorsys  # noqa: F401

        assert snapshot.compare() == []

    in_child(body)


def test_module_that_sys_modules_does_not_list_is_looked_into(shop: Any) -> None:
    shop.FINDERS = [lazy := types.ModuleType("shop.lazy")]
    shop.lazy = lazy
    snapshot = Snapshot()
    vars(lazy)["resolved"] = 1
    assert names(snapshot.compare()) == ["shop.lazy.resolved"]
    assert snapshot.restore(["shop.lazy.resolved"]) == []
    assert not hasattr(lazy, "resolved")


def test_module_of_a_class_of_its_own_is_asked_nothing(shop: Any) -> None:
    class Lazy(types.ModuleType):
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"asked for {name}")

    shop.lazy = lazy = Lazy("shop.lazy")
    snapshot = Snapshot()
    vars(lazy)["resolved"] = 1
    assert names(snapshot.compare()) == ["shop.lazy.resolved"]


def test_modules_that_hold_each_other_end_no_walk(shop: Any) -> None:
    shop.one, shop.two = types.ModuleType("one"), types.ModuleType("two")
    shop.one.other, shop.two.other = shop.two, shop.one
    snapshot = Snapshot()
    shop.two.VALUE = 1
    assert names(snapshot.compare()) == ["shop.two.VALUE"]


def test_modules_imported_meanwhile_are_listed_only_on_request() -> None:
    def body() -> None:
        sys.modules.pop("xml.dom.domreg", None)
        sys.modules.pop("xml.dom.xmlbuilder", None)
        import xml.dom

        vars(xml.dom).pop("xmlbuilder", None)
        snapshot = Snapshot()
        import xml.dom.xmlbuilder

        assert snapshot.compare() == []
        found = names(snapshot.compare(imports=True))
        assert {"sys.modules['xml.dom.xmlbuilder']", "xml.dom.xmlbuilder"} <= set(found)
        assert snapshot.restore(found) == []
        assert "xml.dom.xmlbuilder" not in sys.modules
        assert snapshot.compare(imports=True) == []

    in_child(body)


def test_container_of_very_many_entries_is_known_to_have_changed_but_not_put_back(shop: Any) -> None:
    snapshot = Snapshot()
    shop.HUGE.append(1)
    (change,) = snapshot.compare()
    assert (change.name, change.before, change.after) == ("shop.HUGE", "20,000 entries", "20,001 entries")
    assert not change.restorable
    assert change.note == "it has too many entries to be copied"
    assert snapshot.restore(["shop.HUGE"]) == ["shop.HUGE"]
    assert len(shop.HUGE) == 20_001


def test_container_that_has_grown_very_large_is_put_back(shop: Any) -> None:
    snapshot = Snapshot()
    shop.BASKET.extend(range(20_000))
    assert [(c.name, c.after, c.restorable) for c in snapshot.compare()] == [
        ("shop.BASKET", "20,003 entries", True)
    ]
    assert snapshot.restore(["shop.BASKET"]) == []
    assert shop.BASKET == [1, 2, 3]


def test_what_refuses_to_be_put_back_is_said(shop: Any) -> None:
    shop.numbers = itertools.count(0.5)
    snapshot = Snapshot()
    next(shop.numbers)
    (change,) = snapshot.compare()
    assert (change.name, change.restorable) == ("shop.numbers", False)
    assert snapshot.restore([change.name]) == [change.name]


def test_of_slots_of_one_name_both_are_put_back(shop: Any) -> None:
    twin = contextvars.ContextVar[str]("request")

    def body() -> None:
        snapshot = Snapshot()
        shop.request.set("one")
        twin.set("two")
        (change,) = snapshot.compare()
        assert (change.name, change.restorable) == ("ContextVar('request').get()", True)
        assert snapshot.restore([change.name]) == []
        assert (shop.request.get(), twin.get("nothing")) == ("none", "nothing")

    in_child(body)


# --- no change ------------------------------------------------------------------------------------


NOTHING: dict[str, Callable[[Any], object]] = {
    "nothing is done": lambda s: None,
    "a value is set to an equal one": set_to("CURRENCY", "".join(["EU", "R"])),
    "NaN becomes NaN": set_to("NOT_A_NUMBER", math.nan + 1),
    "a container is filled anew": lambda s: s.BASKET.__init__([1, 2, 3]),
    "a container is replaced by an equal one": set_to("CATALOGUE", {"fruit": ["apple"], "tools": {"saw": 1}}),
    "an attribute is deleted and set again": lambda s: (
        value := s.__dict__.pop("CURRENCY"),
        s.__dict__.update(CURRENCY=value),
    ),
    "the running test is named": lambda s: os.environ.update(PYTEST_CURRENT_TEST="x"),
    "a warning is noted": set_to("__warningregistry__", {}),
    "the last error is kept": lambda s: setattr(sys, "last_value", ValueError()),
    "a logger is made and asked": lambda s: logging.getLogger("shop.made").isEnabledFor(10),
    "a logger is asked for that was only another's parent": lambda s: (
        logging.getLogger("shops.of.state"),
        logging.getLogger("shops.of"),
    ),
    "a pattern is compiled": lambda s: __import__("re").compile("never seen before x*"),
}


@pytest.mark.parametrize("change", NOTHING.values(), ids=NOTHING.keys())
def test_nothing_is_reported_when(change: Callable[[Any], object], shop: Any) -> None:
    def body() -> None:
        snapshot = Snapshot()
        change(shop)
        assert snapshot.compare(imports=True) == []

    in_child(body)


def test_list_changed_and_then_replaced_by_an_equal_one_is_a_change_for_whoever_holds_it(shop: Any) -> None:
    with module("other", "") as other:
        other.BASKET = shop.BASKET
        snapshot = Snapshot()
        shop.BASKET.clear()
        shop.BASKET = [1, 2, 3]
        assert [(c.name, c.before, c.after) for c in snapshot.compare()] == [
            ("other.BASKET", "[1, 2, 3]", "[]")
        ]
        del other.BASKET
        snapshot.restore(["other.BASKET"])
        assert other.BASKET == [1, 2, 3]


def test_list_changed_and_then_replaced_is_put_back_with_its_content(shop: Any) -> None:
    held = shop.CATALOGUE["fruit"]
    snapshot = Snapshot()
    held.append("fig")
    shop.CATALOGUE.clear()
    shop.CATALOGUE = {}
    assert names(snapshot.compare()) == ["shop.CATALOGUE"]
    assert snapshot.restore(["shop.CATALOGUE"]) == []
    assert shop.CATALOGUE == {"fruit": ["apple"], "tools": {"saw": 1}}
    assert shop.CATALOGUE["fruit"] is held


def test_container_keeps_its_identity(shop: Any) -> None:
    held = shop.BASKET
    snapshot = Snapshot()
    shop.BASKET = [4]
    assert snapshot.restore(["shop.BASKET"]) == []
    assert shop.BASKET is held


def test_names_that_have_not_changed_are_let_be(shop: Any) -> None:
    snapshot = Snapshot()
    shop.CURRENCY = "USD"
    assert snapshot.restore(["shop.BASKET", "no.such.slot"]) == []
    assert shop.CURRENCY == "USD"


def test_what_several_modules_share_is_named_after_the_one_that_is_no_test() -> None:
    with module("test_shop", "LIST = []"), module("shop_of_many", "") as shop:
        shop.LIST = sys.modules["test_shop"].LIST
        snapshot = Snapshot()
        shop.LIST.append(1)
        assert names(snapshot.compare()) == ["shop_of_many.LIST"]


def test_repr_that_raises_is_replaced(shop: Any) -> None:
    snapshot = Snapshot()
    shop.BASKET.append(shop.trap)
    (change,) = snapshot.compare()
    assert change.after == "[…, <Trap whose repr raises Valu…>]"


def test_texts_are_short(shop: Any) -> None:
    snapshot = Snapshot()
    shop.CURRENCY = "x" * 1_000_000
    shop.BASKET[:] = ["y" * 1_000] * 100
    shop.CATALOGUE.update({f"{i}" * 100: {i: i} for i in range(100)})
    assert all(len(text) <= 80 for change in snapshot.compare() for text in (change.before, change.after))


def test_patched_functions_are_not_used() -> None:
    def refuse(*_: object) -> Any:
        raise AssertionError("it was called")

    def body() -> None:
        snapshot = Snapshot()
        for owner, name in (
            (os, "getcwd"),
            (os, "chdir"),
            (os, "fsdecode"),
            (signal, "signal"),
            (time, "tzset"),
        ):
            setattr(owner, name, refuse)
        found = names(snapshot.compare())
        assert {"os.getcwd", "os.chdir", "os.fsdecode", "signal.signal", "time.tzset"} <= set(found)
        assert snapshot.restore(found) == []
        assert snapshot.compare() == []

    in_child(body)


# --- any changes ----------------------------------------------------------------------------------

NAMES = ["a", "b", "c", "d"]
KEYS: st.SearchStrategy[Any] = st.sampled_from(["x", "y", 1, (2, 3), None])
SCALARS = st.one_of(st.integers(0, 3), st.sampled_from(["s", 1.5, math.nan, None, True]))
FLAT: st.SearchStrategy[Any] = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(KEYS, SCALARS, max_size=3),
    st.sets(st.integers(0, 5)),
    st.builds(collections.deque, st.lists(SCALARS, max_size=3)),
)
GLOBALS = st.one_of(FLAT, st.lists(FLAT, max_size=3), st.dictionaries(KEYS, FLAT, max_size=3))


def flip(data: st.DataObject) -> bool:
    return data.draw(st.booleans())


def picture(value: Any) -> Any:
    """A value with everything in it and all identities of containers, as text."""
    if isinstance(value, dict):
        return id(value), sorted((repr(key), str(picture(inner))) for key, inner in value.items())
    if isinstance(value, (list, collections.deque)):
        return id(value), [picture(inner) for inner in value]
    if isinstance(value, set):
        return id(value), sorted(value)
    return repr(value)


def pictures(values: dict[str, Any]) -> dict[str, Any]:
    return {name: picture(value) for name, value in values.items()}


def mutate(data: st.DataObject, values: dict[str, Any]) -> None:
    """Change one of the globals: bind, delete, or change what is in it or one level deeper."""
    name = data.draw(st.sampled_from(NAMES))
    target = values.get(name)
    inner = list(target.values()) if isinstance(target, dict) else target
    if isinstance(inner, list) and inner and flip(data):
        target = data.draw(st.sampled_from(range(len(inner))).map(inner.__getitem__))
    if isinstance(target, dict) and flip(data):
        target[data.draw(KEYS)] = data.draw(FLAT)
    elif isinstance(target, (list, collections.deque)) and flip(data):
        target.insert(data.draw(st.integers(0, 3)), data.draw(FLAT))
    elif isinstance(target, set) and flip(data):
        target ^= data.draw(st.sets(st.integers(0, 5)))
    elif isinstance(target, (dict, list, set, collections.deque)) and flip(data):
        target.clear()
    elif flip(data):
        values.pop(name, None)
    else:
        values[name] = data.draw(GLOBALS)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_all_slots_put_back_give_the_state_back_and_one_gives_back_only_that(data: st.DataObject) -> None:
    with module("made", "") as made:
        values = vars(made)
        values.update({name: data.draw(GLOBALS) for name in NAMES})
        snapshot = Snapshot("made")
        before = pictures({name: values[name] for name in NAMES})
        for _ in range(data.draw(st.integers(1, 4))):
            mutate(data, values)
        changed = names(snapshot.compare())
        if changed and flip(data):
            one = data.draw(st.sampled_from(changed))
            assert snapshot.restore([one]) == []
            left = names(snapshot.compare())
            assert one not in left
            # What is in a container that was put back is a slot again, if it was out of reach.
            assert {name for name in changed if not name.startswith(one)} <= set(left)
        assert snapshot.restore(names(snapshot.compare())) == []
        assert snapshot.compare() == []
        after = pictures({name: values[name] for name in NAMES if name in values})
        assert {name: strip(value) for name, value in after.items()} == {
            name: strip(value) for name, value in before.items()
        }


def strip(value: Any) -> Any:
    """Without the identities: a container may be replaced by an equal one, and that is no change."""
    if isinstance(value, tuple):
        return [strip(inner) for inner in value[1:]]
    return [strip(inner) for inner in value] if isinstance(value, list) else value


def test_snapshot_of_ten_thousand_slots_is_quick() -> None:
    with module("made", "") as made:
        vars(made).update({f"name{i}": [i] for i in range(10_000)})
        start = time.process_time()
        snapshot = StateSnapshot()
        assert snapshot.compare() == []
        # 10,000 lists, and everything that this process has imported, which is three times as much.
        assert time.process_time() - start < 2
