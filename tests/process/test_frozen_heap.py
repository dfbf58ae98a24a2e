"""Frozen objects are there for whoever looks, in programs of their own."""

from __future__ import annotations

import pytest

from tests.process.test_fork import run

pytestmark = pytest.mark.python_dependent

#: A program with an object to look for, which is cyclic garbage once it is forgotten.
BEGIN = """
import gc, sys, types, weakref
from gc import get_objects as objects_by_name
from pytest_procpar.system import frozen_heap as frozen

class Thing:
    pass

def make():
    thing = Thing()
    thing.itself = thing
    return thing

def things(found):
    return sum(type(each) is Thing for each in found)

def call_from(package, text):
    return eval(text, {"__name__": package, "gc": gc, "kept": kept})

kept = [make()]
there = weakref.ref(kept[0])
{freeze}
"""

#: What looks, and what it finds.
LOOKS = {
    "things(gc.get_objects())": "1",
    "things(gc.get_objects(generation=2)) + things(gc.get_objects(0)) + things(gc.get_objects(1))": "1",
    "things(objects_by_name())": "1",
    "sorted({type(each).__name__ for each in gc.get_referrers(kept[0])} - {'Thing'})": None,
    "sorted(type(each).__name__ for each in gc.get_referrers(kept[0], gc))": None,
    "[kept.clear(), gc.collect(), there()][2]": "None",
    "[kept.clear(), gc.collect(2), there()][2]": "None",
    "[kept.clear(), gc.collect(generation=2), there()][2]": "None",
    "gc.get_freeze_count() > 5000": "False",
    "[gc.freeze(), gc.get_freeze_count() > 5000, things(gc.get_objects())]": None,
    "[gc.freeze(), gc.unfreeze(), gc.get_freeze_count(), things(gc.get_objects())]": None,
    "[gc.unfreeze(), gc.get_freeze_count(), things(gc.get_objects())]": "[None, 0, 1]",
    "call_from('objgraph', 'gc.collect() is kept.clear()') or there() is kept": None,
    "type('Case', (), {'objects': gc.get_objects})().objects() is None": "False",
}


def look(text: str, *, freeze: bool) -> list[str]:
    """What a program finds; whether it was frozen before, and is now; and what `gc` has now."""
    return run(
        BEGIN.replace("{freeze}", "gc.collect(); frozen.freeze()" if freeze else "")
        + f"before = frozen.is_frozen()\nprint({text})\nprint(before, frozen.is_frozen())\n"
        + "print(type(gc.collect).__name__, type(objects_by_name).__name__)\n"
    )


@pytest.mark.parametrize("text", LOOKS)
def test_whoever_looks_finds_what_was_there(text: str) -> None:
    found, states, kinds = look(text, freeze=True)
    assert found == look(text, freeze=False)[0]
    assert LOOKS[text] in (None, found)
    assert states == "True False"
    assert kinds == "builtin_function_or_method builtin_function_or_method"


@pytest.mark.parametrize(
    "text",
    [
        "gc.collect(0), gc.collect(generation=1)",
        "gc.get_threshold(), gc.isenabled(), gc.is_tracked(kept), gc.get_debug()",
        "gc.get_referents(kept)",
        "call_from('_pytest.unraisableexception', 'gc.collect()')",
        "call_from('hypothesis.internal.entropy', 'gc.collect()')",
        "call_from('aiohttp.test_utils', 'gc.collect()')",
        "call_from('hypothesis.internal.entropy', 'gc.get_referrers([[]][0])')[0:0]",
    ],
)
def test_who_only_tidies_up_leaves_it_frozen(text: str) -> None:
    text = text.replace("[[]][0]", "gc")  # which new frames and name spaces refer to
    assert look(text, freeze=True)[1] == "True True"


def test_hypothesis_finds_the_one_who_holds_a_frozen_object() -> None:
    text = "len(call_from('hypothesis.internal.entropy', 'gc.get_referrers(kept[0])'))"
    assert look(text, freeze=True)[:2] == ["2", "True False"]


def test_what_was_garbage_for_young_collections_only_is_collected_by_an_old_one() -> None:
    assert run(
        BEGIN.replace("{freeze}", "gc.collect(); frozen.freeze()")
        + """
kept.clear()
gc.collect(1)
print(there() is None, frozen.is_frozen())
gc.collect()
print(there() is None, frozen.is_frozen())
"""
    ) == ["False True", "True False"]


def test_what_a_test_has_put_in_the_place_of_a_function_stays() -> None:
    assert run(
        BEGIN.replace("{freeze}", "frozen.freeze()")
        + """
gc.collect, before = len, gc.collect
gc.get_objects()
print(gc.collect is len, type(gc.freeze).__name__)
gc.collect = before
print(gc.collect() >= 0)
frozen.freeze(); gc.get_objects()
print(type(gc.collect).__name__)
"""
    ) == ["True builtin_function_or_method", "True", "method"]


@pytest.mark.parametrize("freeze", ["", "frozen.freeze()", "kept += [[] for _ in range(6000)]; gc.freeze()"])
def test_we_see_what_is_frozen_and_leave_it_so(freeze: str) -> None:
    assert run(
        BEGIN.replace("{freeze}", freeze)
        + """
before = frozen.is_frozen(), frozen.frozen_count() > 5000
print(things(frozen.every_object()), (frozen.is_frozen(), frozen.frozen_count() > 5000) == before)
"""
    ) == ["1 True"]


def test_a_heap_that_somebody_else_has_frozen_is_left_alone() -> None:
    assert run(
        BEGIN.replace("{freeze}", "kept += [[] for _ in range(6000)]; gc.freeze()")
        + """
count = gc.get_freeze_count()
frozen.freeze()
print(frozen.is_frozen(), gc.get_freeze_count() == count)
frozen.thaw()
print(gc.get_freeze_count() == count)
"""
    ) == ["False True", "True"]


@pytest.mark.parametrize(
    ("text", "is_kept"),
    [
        ("", False),
        ("from gc import get_referrers, collect", False),
        ("import gc as collector", False),
        ("class Helper: objects = gc.get_objects", True),
        ("def count(objects=gc.get_objects): pass", True),
        ("table = [gc.collect]", True),
    ],
)
def test_a_function_that_is_kept_where_it_is_not_replaced_is_noticed(text: str, is_kept: bool) -> None:
    code = BEGIN.replace("{freeze}", f"{text}\nfrozen.freeze()") + "print(frozen.is_seen_elsewhere())"
    assert run(code) == [str(is_kept)]


def test_a_function_is_named_and_pickled_as_ever() -> None:
    words = run(
        BEGIN.replace("{freeze}", "gc.collect(); frozen.freeze()")
        + "import pickle\n"
        + "named = gc.collect\n"
        + "told = [named.__name__, named.__qualname__, named.__module__, bool(named.__doc__)]\n"
        + "again = pickle.loads(pickle.dumps(gc.collect))\n"
        + "print(frozen.is_frozen(), again == gc.collect, *told)\n"
    )
    assert words == ["True True collect collect gc True"]


def test_a_coroutine_that_asks_is_found_as_ever() -> None:
    program = (
        BEGIN + "import asyncio\nasync def main():\n    thing = Exception()\n"
        "    return [type(each).__name__ for each in gc.get_referrers(thing)]\n"
        "def generate():\n    thing = Exception()\n"
        "    yield [type(each).__name__ for each in gc.get_referrers(thing)]\n"
        "print(asyncio.run(main()), next(generate()))\n"
    )
    frozen, usual = [run(program.replace("{freeze}", text)) for text in ("gc.collect(); frozen.freeze()", "")]
    assert frozen == usual
