"""The state of this process that tests share: copied before a test, compared after it, put back slot by slot.

A slot is a place that can be named and put back on its own: ``os.environ['X']``, ``shop.CATALOGUE``,
``logging.getLogger('shop').level``. What running tests changes by itself is left out. Nothing is known of
tests here: the code that takes a snapshot decides what runs before the comparison.
"""

from __future__ import annotations

import gc
import itertools
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal

from pytest_procpar.core.recheck.remedies import NEW, module_of
from pytest_procpar.state.containers import MOST, Content, Pairs, base_of, same, same_content, untouched
from pytest_procpar.state.logger_state import known_loggers, new_loggers
from pytest_procpar.state.namespaces import MISSING, Namespace, Origin, Values
from pytest_procpar.state.noise import is_noise
from pytest_procpar.state.process_settings import RANDOM, RANDOM_OF_NUMPY, process_spaces, settle
from pytest_procpar.state.scan import StateScan
from pytest_procpar.state.short_repr import ABSENT, show, show_change
from pytest_procpar.state.tracked import Cache, Counter, Stated, TrackedContainer

__all__ = ["SlotChange", "StateSnapshot"]

#: ``value``: something that code reads. ``cache``: something that can be computed again, or a source of
#: randomness. ``import``: a module that was imported meanwhile.
Kind = Literal["value", "cache", "import"]

_ORDER: Final[tuple[Kind, ...]] = ("value", "cache", "import")
_gc_on, _gc_off, _gc_is_on = gc.enable, gc.disable, gc.isenabled


@dataclass(frozen=True, slots=True)
class SlotChange:
    """A slot that has changed. Plain data: it can be sent to another process."""

    #: What a user would type to see it; the same in every process that was forked from the same state.
    name: str
    kind: Kind
    #: Short reprs; for a container, what only one of the two has.
    before: str
    after: str
    #: Whether `StateSnapshot.restore` can put it back.
    restorable: bool = True
    #: What else happens when it is put back, or why it cannot be put back.
    note: str = ""
    #: What kind of slot it is, and the module that its name begins with: see `remedies.Slot`.
    way: str = ""
    module: str = ""


@dataclass(slots=True)
class _Slot:
    """A change, and what undoes it."""

    change: SlotChange
    origin: Origin
    undo: Sequence[Callable[[], object]]


class StateSnapshot:
    """The state of this process at the moment the object is made.

    It keeps alive what it has seen. Making one runs no code of the suite except `__hash__` of keys.
    """

    def __init__(self) -> None:
        settings = process_spaces()
        was_on = _gc_is_on()
        _gc_off()  # a collection would go through everything, because of copies that stay
        try:
            self._walk = StateScan()
            self._walk.visit_modules()
            for space in settings:
                self._walk.visit(space)
        finally:
            if was_on:
                _gc_on()
        self._loggers = known_loggers()
        self._modules = frozenset(map(id, sys.modules.copy().values()))

    def compare(self, *, imports: bool = False) -> list[SlotChange]:
        """The slots that have changed since, likely causes first.

        That is: values before caches, and among those the suite's own before those of installed packages and
        of the standard library. With `imports`, modules imported meanwhile are listed as well, last: nearly
        every test that is the first to use something imports it, and that hardly ever affects another test.
        """
        found = [slot for slot in self._find().values() if imports or slot.change.kind != "import"]
        found.sort(key=lambda slot: (_ORDER.index(slot.change.kind), slot.origin))
        return [replace(slot.change, module=module_of(slot.change.name, _is_module)) for slot in found]

    def restore(self, names: Iterable[str]) -> list[str]:
        """Put back the slots with these names, and no others; return the names for which that failed.

        Containers get their content back in place, so that everything that refers to them sees it. A name
        that has not changed is not a failure.
        """
        found = self._find()
        failed = []
        for name in dict.fromkeys(names):
            slot = found.get(name)
            if slot is None:
                continue
            if not slot.change.restorable or not _perform(slot.undo):
                failed.append(name)
        settle()
        return failed

    # --- finding what has changed -----------------------------------------------------------------

    def _find(self) -> dict[str, _Slot]:
        found: dict[str, _Slot] = {}
        for slot in self._slots():
            known = found.setdefault(slot.change.name, slot)
            if known is not slot:  # two places with the same name, such as two context variables
                known.undo = [*known.undo, *slot.undo]
                if not slot.change.restorable:
                    known.change = replace(known.change, restorable=False, note=slot.change.note)
        return found

    def _slots(self) -> Iterator[_Slot]:
        differing = {key: how for key, held in self._walk.held.items() if (how := self._differs(held))}
        changed = {key: self._walk.held[key] for key, how in differing.items() if how == "content"}
        places = {key: held.place() for key, held in changed.items()}
        # No name leads to these any more. If one is bound to them again, it must find the old content.
        hidden = {key: held for key, held in changed.items() if not places[key]}
        for space in (*self._walk.spaces, *new_loggers(self._loggers)):
            yield from self._compare_space(space, hidden)
        for key, held in changed.items():
            if places[key]:
                undo = [partial(self._revive, held.obj, {**hidden, key: held})]
                yield _Slot(self._change_of_container(held, places[key]), held.origin, undo)
        for key, how in differing.items():
            held = self._walk.held[key]
            if how == "order" and (place := held.place()):
                yield _slot_of_order(held, place)
        for counter in self._walk.counters.values():
            if counter.space.now().get(counter.key) is counter.obj and repr(counter.obj) != counter.text:
                yield _slot_of_counter(counter, counter.obj)
        for stated in self._walk.stated.values():
            if (now := stated.now()) != stated.was and (name := stated.name()):
                yield _slot_of_stated(stated, name, now)
        yield from (_slot_of_cache(cache) for cache in self._walk.caches if cache.now() != cache.info)

    def _content(self, value: object) -> Content | None:
        held = self._walk.held.get(id(value))
        return None if held is None else held.copy

    def _differs(self, held: TrackedContainer) -> Literal["", "content", "order"]:
        """What differs in a container, if anything: its content, or only the order of its keys."""
        if held.copy is None:
            return "content" if held.size_now() != held.size else ""
        if type(held.obj) is tuple:
            return ""
        if held.size_now() > MOST:
            return "content"
        was, now = held.copy, held.now()
        if untouched(was, now):
            return ""
        if not same_content(was, now, self._content):
            return "content"
        return (
            "order"
            if isinstance(was, Pairs)
            and isinstance(now, Pairs)
            and not same(tuple(was.keys), tuple(now.keys), self._content)
            else ""
        )

    def _change_of_container(self, held: TrackedContainer, name: str) -> SlotChange:
        if held.copy is None or held.size_now() > MOST:
            before, after = f"{held.size:,} entries", f"{held.size_now():,} entries"
        else:
            before, after = show_change(held.copy, held.now(), self._content)
        if held.copy is None:
            return SlotChange(
                name, _kind_of(name), before, after, False, "it has too many entries to be copied"
            )
        return SlotChange(name, _kind_of(name), before, after, way=base_of(type(held.obj)))

    def _revive(
        self, value: object, hidden: dict[int, TrackedContainer], seen: frozenset[int] = frozenset()
    ) -> None:
        """Refill the hidden containers that `value` leads to."""
        held = self._walk.held.get(id(value))
        if held is None or held.copy is None or not hidden or id(value) in seen:
            return
        if id(value) in hidden:
            held.refill()
        for inner in held.values():
            self._revive(inner, hidden, seen | {id(value)})

    def _compare_space(self, space: Namespace, hidden: dict[int, TrackedContainer]) -> Iterator[_Slot]:
        before, now = space.before, space.now()
        if untouched(list(before), list(now)) and untouched(list(before.values()), list(now.values())):
            return
        for key, old, new in _differing(before, dict(now)):
            if is_noise(space.place, key) or same(old, new, self._content):
                continue
            counter = self._walk.counters.get(id(old))
            if counter is not None and type(new) is itertools.count:
                if repr(new) != counter.text:
                    yield _slot_of_counter(counter, new)
                continue
            undo = [partial(space.put_back, key), partial(self._revive, old, hidden)]
            yield _Slot(self._change_of_binding(space, key, old, new), space.origin, undo)

    def _change_of_binding(self, space: Namespace, key: object, old: object, new: object) -> SlotChange:
        name = space.name(key)
        before, after = self._show_both(old, new)
        kind = _kind_of(name)
        is_new_module = type(new) is types.ModuleType and id(new) not in self._modules
        if old is MISSING and (is_new_module or space.place == "sys.modules"):
            kind = "import"
        if not space.can_put_back(key):
            return SlotChange(name, kind, before, after, False, "it cannot be taken away again")
        way = f"{NEW if old is MISSING else ''}{space.access.way}" if space.access.way else ""
        return SlotChange(name, kind, before, after, way=way)

    def _show_both(self, old: object, new: object) -> tuple[str, str]:
        held = self._walk.held.get(id(old))
        if held is None or held.copy is None or type(old) is not type(new) or type(new) is tuple:
            return _show_value(old), _show_value(new)
        if held.family.size(new) <= MOST:
            return show_change(held.copy, held.family.copy(new), self._content)
        return _show_value(old), _show_value(new)


def _slot_of_order(held: TrackedContainer, place: str) -> _Slot:
    was, now = held.copy, held.now()
    assert isinstance(was, Pairs)
    assert isinstance(now, Pairs)
    before, after = show(was.keys), show(now.keys)
    # Hardly anything depends on the order, so it comes last among possible causes.
    return _Slot(
        SlotChange(f"{place}.keys()", "cache", before, after, way="order"), held.origin, [held.refill]
    )


def _is_module(name: str) -> bool:
    return name in sys.modules


def _show_value(value: object) -> str:
    return ABSENT if value is MISSING else show(value)


def _slot_of_counter(counter: Counter, now: object) -> _Slot:
    can = counter.can_put_back
    note = "put back by a new counter" if can else "its numbers are of a type that cannot be read"
    change = SlotChange(counter.space.name(counter.key), "value", counter.text, show(now), can, note)
    return _Slot(change, counter.space.origin, [counter.put_back])


def _slot_of_cache(cache: Cache) -> _Slot:
    before, after = (f"misses={misses}, currsize={size}" for misses, size in (cache.info, cache.now()))
    change = SlotChange(cache.name, "cache", before, after, note="put back by emptying it", way="cache")
    return _Slot(change, cache.origin, [cache.clear])


def _slot_of_stated(stated: Stated, name: str, now: object) -> _Slot:
    kind: Kind = "cache" if stated.how.is_random else "value"
    before, after = (
        ABSENT if state is None else show(stated.how.shown(state)) for state in (stated.was, now)
    )
    change = SlotChange(name, kind, before, after, way=stated.how.way)
    return _Slot(change, stated.origin, [stated.put_back])


def _differing(before: Values, now: Values) -> Iterator[tuple[object, object, object]]:
    for key, old in before.items():
        new = now.get(key, MISSING)
        if new is not old:
            yield key, old, new
    for key, new in now.items():
        if key not in before:
            yield key, MISSING, new


def _kind_of(name: str) -> Kind:
    # What is called a cache usually is one. And any code that draws a number changes a generator.
    is_random = name in (RANDOM, RANDOM_OF_NUMPY)
    return "cache" if is_random or "cache" in name.rpartition(".")[2].lower() else "value"


def _perform(undo: Sequence[Callable[[], object]]) -> bool:
    try:
        for step in undo:
            step()
    except Exception:  # something refuses to be set
        return False
    return True
