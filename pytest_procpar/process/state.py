"""The state of this process that tests share: taken before a test, compared after it, put back slot by slot.

A slot is a place that can be named and put back on its own: ``os.environ['X']``, ``shop.CATALOGUE``,
``logging.getLogger('shop').level``. What the run of the tests changes itself is left out. It knows nothing
of tests: who takes a snapshot decides what ran in between.
"""

from __future__ import annotations

import gc
import itertools
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

from pytest_procpar.process.containers import MOST, same, same_content, untouched
from pytest_procpar.process.noise import is_noise
from pytest_procpar.process.showing import ABSENT, show, show_change
from pytest_procpar.process.spaces import MISSING, Origin, Space
from pytest_procpar.process.switches import RANDOM, process_spaces, settle
from pytest_procpar.process.walk import Cache, Held, Walk

__all__ = ["Change", "Snapshot"]

#: ``value``: something that code reads. ``cache``: what can be computed again, or a source of randomness.
#: ``import``: a module that was imported meanwhile.
Kind = Literal["value", "cache", "import"]

_ORDER: Final[tuple[Kind, ...]] = ("value", "cache", "import")
_COUNT: Final = re.compile(r"count\((-?\d+)(?:, (-?\d+))?\)").fullmatch
_gc_on, _gc_off, _gc_is_on = gc.enable, gc.disable, gc.isenabled


@dataclass(frozen=True, slots=True)
class Change:
    """A slot that is otherwise than it was. Plain data: it can be sent to another process."""

    #: What a user would type to see it: the same in every process forked from the same state.
    name: str
    kind: Kind
    #: Short reprs; of a container, what only one of the two has.
    before: str
    after: str
    #: Whether `Snapshot.restore` can put it back.
    restorable: bool = True
    #: What putting it back does beyond that, or why it cannot be done.
    note: str = ""


@dataclass(slots=True)
class _Slot:
    """A change, and what undoes it."""

    change: Change
    origin: Origin
    undo: list[Callable[[], object]] = field(default_factory=list)


class Snapshot:
    """The state of this process at the moment when it is made.

    It keeps alive what it has seen. Making one runs no code of the suite, except `__hash__` of keys.
    """

    def __init__(self) -> None:
        settings = process_spaces()
        was_on = _gc_is_on()
        _gc_off()  # a collection would walk everything, for the sake of copies that stay
        try:
            self._walk = Walk()
            self._walk.visit_modules()
            for space in settings:
                self._walk.visit(space)
        finally:
            if was_on:
                _gc_on()
        self._modules = frozenset(map(id, sys.modules.copy().values()))

    def compare(self, *, imports: bool = False) -> list[Change]:
        """The slots that have changed since, likely causes first.

        That is: values before caches; of those, the suite's own before installed packages' and the standard
        library's. With `imports`, modules imported meanwhile are listed too, last: nearly every test that is
        the first to use something imports, and hardly ever does another test mind.
        """
        found = [slot for slot in self._find().values() if imports or slot.change.kind != "import"]
        found.sort(key=lambda slot: (_ORDER.index(slot.change.kind), slot.origin))
        return [slot.change for slot in found]

    def restore(self, names: Iterable[str]) -> list[str]:
        """Put back the slots of these names, and no other. Returns the names for which that failed.

        Containers get their content back in place, so that everybody who holds them sees it. A name that has
        not changed is no failure.
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
        changed = self._changed_containers()
        for slot in self._slots(changed):
            known = found.setdefault(slot.change.name, slot)
            if known is not slot:  # bound to something else, and what it was bound to has changed too
                known.undo.extend(slot.undo)
        return found

    def _slots(self, changed: dict[int, Held]) -> Iterator[_Slot]:
        hidden = {key: held for key, held in changed.items() if not _place_of(held)}
        for space in self._walk.spaces:
            yield from self._compare_space(space, hidden)
        for key, held in changed.items():
            if key not in hidden:
                yield self._slot_of_container(held, hidden)
        yield from self._compare_counters()
        yield from map(_slot_of_cache, (cache for cache in self._walk.caches if cache.now() != cache.info))

    def _content(self, value: object) -> Any:
        held = self._walk.held.get(id(value))
        return None if held is None else held.copy

    def _changed_containers(self) -> dict[int, Held]:
        changed = {}
        for key, held in self._walk.held.items():
            if held.copy is None:
                is_changed = held.family.size(held.obj) != held.size
            elif held.family.size(held.obj) > MOST:
                is_changed = True
            else:
                now = held.family.copy(held.obj)
                is_changed = not untouched(held.copy, now) and not same_content(held.copy, now, self._content)
            if is_changed:
                changed[key] = held
        return changed

    def _slot_of_container(self, held: Held, hidden: dict[int, Held]) -> _Slot:
        name = _place_of(held) or held.title
        size = held.family.size(held.obj)
        if held.copy is None or size > MOST:
            before, after = f"{held.size:,} entries", f"{size:,} entries"
        else:
            before, after = show_change(held.copy, held.family.copy(held.obj), self._content)
        can = held.copy is not None
        change = Change(
            name, _kind_of(name), before, after, can, "" if can else "it has too many entries to be copied"
        )
        return _Slot(change, held.origin, [partial(self._refill, held, hidden)])

    def _refill(self, held: Held, hidden: dict[int, Held]) -> None:
        """Give a container back what was in it, and so down to what only it had led to."""
        if held.copy is None:
            return
        held.family.refill(held.obj, held.copy)
        values = getattr(held.copy, "values", held.copy)
        for value in values if isinstance(values, list) else ():
            if (inner := hidden.get(id(value))) is not None and inner is not held:
                self._refill(inner, {key: other for key, other in hidden.items() if other is not held})

    def _compare_space(self, space: Space, hidden: dict[int, Held]) -> Iterator[_Slot]:
        before, now = space.before, space.now()
        if untouched(list(before), list(now)) and untouched(list(before.values()), list(now.values())):
            return
        now = dict(now)
        for key, old, new in _differing(before, now):
            if is_noise(space.place, key) or same(old, new, self._content):
                continue
            name = space.name(key)
            undo: list[Callable[[], object]] = [partial(space.put_back, key)]
            if (held := hidden.get(id(old))) is not None:
                undo.append(partial(self._refill, held, hidden))
            can = space.can_put_back(key)
            change = Change(
                name,
                self._kind_of_binding(space, key, name, old, new),
                *self._show_both(old, new),
                can,
                "" if can else "it cannot be taken away again",
            )
            yield _Slot(change, space.origin, undo)

    def _show_both(self, old: object, new: object) -> tuple[str, str]:
        texts = [ABSENT if value is MISSING else show(value) for value in (old, new)]
        if (held := self._walk.held.get(id(old))) is not None and held.copy is not None:
            family = held.family
            if type(old) is type(new) and family.size(new) <= MOST:
                return show_change(held.copy, family.copy(new), self._content)
        return texts[0], texts[1]

    def _kind_of_binding(self, space: Space, key: Any, name: str, old: object, new: object) -> Kind:
        if old is MISSING and type(new) is types.ModuleType and id(new) not in self._modules:
            return "import"
        if old is MISSING and space.place == "sys.modules":
            return "import"
        return "cache" if name == RANDOM else _kind_of(name)

    def _compare_counters(self) -> Iterator[_Slot]:
        for counter in self._walk.counters:
            space, key = counter.space, counter.key
            if space.now().get(key) is not counter.obj or (text := repr(counter.obj)) == counter.text:
                continue
            parts = _COUNT(counter.text)
            note = "another counter takes its place" if parts else "its numbers are of an unknown type"
            change = Change(space.name(key), "value", counter.text, text, bool(parts), note)
            yield _Slot(change, space.origin, [_counter_setter(space, key, parts)] if parts else [])


def _counter_setter(space: Space, key: Any, parts: re.Match[str]) -> Callable[[], object]:
    start, step = int(parts[1]), int(parts[2] or 1)
    return lambda: space.access.write(space.owner, key, itertools.count(start, step))


def _slot_of_cache(cache: Cache) -> _Slot:
    (misses, size), (misses_now, size_now) = cache.info, cache.now()
    change = Change(
        cache.name,
        "cache",
        f"misses={misses}, currsize={size}",
        f"misses={misses_now}, currsize={size_now}",
        note="put back by emptying it",
    )
    return _Slot(change, cache.origin, [cache.clear])


def _differing(before: Any, now: Any) -> Iterator[tuple[Any, Any, Any]]:
    for key, old in before.items():
        new = now.get(key, MISSING)
        if new is not old:
            yield key, old, new
    for key, new in now.items():
        if key not in before:
            yield key, MISSING, new


def _place_of(held: Held, depth: int = 0) -> str:
    """The first of the names that a container was found by and that still leads to it, or nothing."""
    for parent, key in held.parents:
        if isinstance(parent, Space):
            if parent.now().get(key, MISSING) is held.obj:
                return parent.name(key)
        elif depth < 5 and _is_in(held.obj, parent) and (place := _place_of(parent, depth + 1)):
            return f"{place}[{key!r}]"
    return ""


def _is_in(obj: object, parent: Held) -> bool:
    copy = parent.family.copy(parent.obj) if parent.family.size(parent.obj) <= MOST else ()
    values = getattr(copy, "values", copy)
    return any(value is obj for value in values)


def _kind_of(name: str) -> Kind:
    # What is called a cache is one, as a rule.
    return "cache" if "cache" in name.rpartition(".")[2].lower() else "value"


def _perform(undo: list[Callable[[], object]]) -> bool:
    try:
        for step in undo:
            step()
    except Exception:  # whatever refuses to be set
        return False
    return True
