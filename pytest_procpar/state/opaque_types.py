"""Types whose objects have state that no container or attribute holds: how to read it, and to set it again.

These are generators of random numbers, arrays, buffers, events and locks. Only exactly these types count, so
that nothing runs that a subclass overrides. Where an object was found is not known here.
"""

from __future__ import annotations

import _thread
import importlib
import io
import pickle
import random
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

__all__ = ["REGISTRY", "How", "how_of"]

#: The content of a larger array or buffer, in bytes, is not kept.
_MOST: Final = 1_000_000


class How(NamedTuple):
    """How to read, name and set the state of one type's objects."""

    #: Added to the name of the object.
    suffix: str
    #: Returns something that can be compared: equal values mean the same state.
    read: Callable[[Any], Any]
    write: Callable[[Any, Any], object]
    #: Whether it is a source of randomness: each number drawn changes its state.
    is_random: bool = False
    #: What kind of slot it is, for code that writes what puts it back: see `remedies.Slot`.
    way: str = ""
    #: What users are shown of a state.
    shown: Callable[[Any], object] = lambda state: state

    def state(self, obj: object) -> Any:
        """The state of an object; None if it cannot be read (it is closed, too large) or cannot change."""
        try:
            return self.read(obj)
        except Exception:
            return None


def _set_event(event: threading.Event, is_set: bool) -> None:
    event.set() if is_set else event.clear()


def _set_lock(lock: Any, is_locked: bool) -> None:
    lock.acquire(blocking=False) if is_locked else lock.release()


def _buffer(kind: Any) -> How:
    value, tell, seek = kind.getvalue, kind.tell, kind.seek
    truncate, put = kind.truncate, kind.write

    def read(obj: Any) -> tuple[Any, int]:
        return value(obj), tell(obj)

    def write(obj: Any, state: tuple[Any, int]) -> None:
        content, at = state
        seek(obj, 0)
        truncate(obj)
        put(obj, content)
        seek(obj, at)

    return How(".getvalue()", read, write)


_abc: Final[Any] = importlib.import_module("_abc")  # missing from the type stubs


def _registry(
    dump: Callable[[type], Any] = _abc._get_dump,
    empty: Callable[[type], None] = _abc._reset_registry,
    forget: Callable[[type], None] = _abc._reset_caches,
    register: Callable[[type, type], object] = _abc._abc_register,
) -> How:
    def read(cls: type) -> tuple[type, ...]:
        found = [ref() for ref in dump(cls)[0]]
        return tuple(sorted((other for other in found if other is not None), key=id))

    def write(cls: type, registered: tuple[type, ...]) -> None:
        empty(cls)
        for other in registered:
            register(cls, other)
        forget(cls)

    return How("._dump_registry()", read, write, shown=list)


#: The classes that are registered with an abstract base class.
REGISTRY: Final = _registry()


def _small(size: int, state: Any) -> Any:
    return state() if size <= _MOST else None


_KNOWN: Final[dict[type, How]] = {
    random.Random: How(".getstate()", random.Random.getstate, random.Random.setstate, True, "generator"),
    io.StringIO: _buffer(io.StringIO),
    io.BytesIO: _buffer(io.BytesIO),
    threading.Event: How(".is_set()", lambda event: event._flag, _set_event),
    _thread.LockType: How(".locked()", _thread.LockType.locked, _set_lock),
}


# --- types of libraries that may not be installed -------------------------------------------------


def _array(kind: Any) -> How:
    def write(obj: Any, state: tuple[str, bytes]) -> None:
        del obj[:]
        obj.frombytes(state[1])

    return How(
        "",
        lambda obj: _small(len(obj) * obj.itemsize, lambda: (obj.typecode, obj.tobytes())),
        write,
        way="array",
        shown=lambda state: kind(*state),
    )


def _ndarray(_: Any) -> How:
    numpy = sys.modules["numpy"]
    from_buffer, dump, load = numpy.frombuffer, pickle.dumps, pickle.loads

    def read(obj: Any) -> Any:
        if obj.dtype.hasobject or not obj.flags.writeable:
            return None
        return _small(obj.nbytes, lambda: (obj.shape, dump(obj.dtype), obj.tobytes()))

    def array_of(state: tuple[Any, ...]) -> Any:
        shape, kind, content = state
        return from_buffer(content, dtype=load(kind)).reshape(shape)

    def write(obj: Any, state: tuple[Any, ...]) -> None:
        if obj.shape != state[0]:
            raise ValueError("it has another shape now")
        obj[...] = array_of(state)

    return How("", read, write, way="ndarray", shown=lambda state: array_of(state).tolist())


def _generator(_: Any) -> How:
    dump, load = pickle.dumps, pickle.loads

    def write(obj: Any, state: bytes) -> None:
        obj.bit_generator.state = load(state)

    return How(
        ".bit_generator.state",
        lambda obj: dump(obj.bit_generator.state),
        write,
        is_random=True,
        way="attribute",
        shown=load,
    )


def _random_state(_: Any) -> How:
    dump, load = pickle.dumps, pickle.loads

    def write(obj: Any, state: bytes) -> None:
        obj.set_state(load(state))

    return How(".get_state()", lambda obj: dump(obj.get_state()), write, is_random=True, shown=load)


@dataclass(frozen=True)
class _Database:
    """A connection's settings, and the statements that create what is in its database."""

    shown: tuple[Any, ...]
    in_transaction: bool
    #: It includes SQLite's count of changes, so equal databases may differ in it.
    content: bytes = field(compare=False)


def _connection(kind: Any) -> How:
    """An SQLite connection to a database in memory: what is in files is no state of the process."""
    cursor, serialize, backup = kind.cursor, kind.serialize, kind.backup
    connect = sys.modules["sqlite3"].connect
    size_of = (  # in numbers only: a text factory of the suite is not called
        "select file = '', page_count * page_size"
        " from pragma_database_list, pragma_page_count, pragma_page_size where name = 'main'"
    )

    def read(obj: Any) -> Any:
        asking = cursor(obj)
        asking.row_factory = None
        in_memory, size = asking.execute(size_of).fetchone()
        if not in_memory:
            return None
        content = _small(size, lambda: serialize(obj) if size else b"")
        if content is None:
            return None
        made = database_of(content)
        lines = tuple(line for line in made.iterdump() if line not in ("BEGIN TRANSACTION;", "COMMIT;"))
        made.close()
        return _Database((obj.isolation_level, obj.row_factory, *lines), obj.in_transaction, content)

    def database_of(content: bytes) -> Any:
        made = connect(":memory:")
        if content:
            made.deserialize(content)
        return made

    def write(obj: Any, state: _Database) -> None:
        if state.in_transaction:
            raise ValueError("it was in a transaction")
        if obj.in_transaction:
            obj.rollback()
        obj.isolation_level, obj.row_factory = state.shown[:2]
        made = database_of(state.content)
        backup(made, obj)
        made.close()

    def shown(state: _Database) -> list[Any]:
        return [part for part in state.shown if part]

    return How(".serialize()", read, write, shown=shown)


#: By the type's module and name.
_OF_LIBRARIES: Final[dict[tuple[str, str], Callable[[Any], How]]] = {
    ("array", "array"): _array,
    ("numpy", "ndarray"): _ndarray,
    ("numpy.random._generator", "Generator"): _generator,
    ("numpy.random.mtrand", "RandomState"): _random_state,
    **({("sqlite3", "Connection"): _connection} if sys.version_info >= (3, 11) else {}),
}


def how_of(kind: type) -> How | None:
    """How to read and set the state of objects of this type; None if they have no such state."""
    if (known := _KNOWN.get(kind)) is not None:
        return known
    home = kind.__dict__.get("__module__", kind.__module__)
    make = _OF_LIBRARIES.get((home, kind.__name__)) if isinstance(home, str) else None
    if make is None or vars(sys.modules.get(home)).get(kind.__name__) is not kind:
        return None
    return make(kind)
