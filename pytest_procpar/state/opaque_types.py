"""Types whose objects have state that no container or attribute holds: how to read it, and to set it again.

These are generators of random numbers, arrays, buffers, events and locks. Only exactly these types count, so
that nothing runs that a subclass overrides. Where an object was found is not known here.
"""

from __future__ import annotations

import _thread
import io
import pickle
import random
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    import sqlite3
    from array import array

__all__ = ["How", "how_of"]

_T = TypeVar("_T")

#: The content of a larger array or buffer, in bytes, is not kept.
_MOST: Final = 1_000_000


class How(NamedTuple):
    """How to read, name and set the state of one type's objects."""

    #: Added to the name of the object.
    suffix: str
    #: Returns something that can be compared: equal values mean the same state.
    read: Callable[..., object]
    #: Takes the object and a state.
    write: Callable[..., object]
    #: Whether it is a source of randomness: each number drawn changes its state.
    is_random: bool = False
    #: What kind of slot it is, for code that writes what puts it back: see `remedies.Slot`.
    way: str = ""
    #: What users are shown of a state.
    shown: Callable[..., object] = lambda state: state

    def state(self, obj: object) -> object:
        """The state of an object; None if it cannot be read (it is closed, too large) or cannot change."""
        try:
            return self.read(obj)
        except Exception:
            return None


def _set_event(event: threading.Event, is_set: bool) -> None:
    event.set() if is_set else event.clear()


def _set_lock(lock: _thread.LockType, is_locked: bool) -> None:
    lock.acquire(blocking=False) if is_locked else lock.release()


def _buffer(kind: type[io.StringIO] | type[io.BytesIO]) -> How:
    value: Callable[..., str | bytes] = kind.getvalue
    tell: Callable[..., int] = kind.tell
    seek: Callable[..., int] = kind.seek
    truncate: Callable[..., int] = kind.truncate
    put: Callable[..., int] = kind.write

    def read(obj: object) -> tuple[str | bytes, int]:
        return value(obj), tell(obj)

    def write(obj: object, state: tuple[str | bytes, int]) -> None:
        content, at = state
        seek(obj, 0)
        truncate(obj)
        put(obj, content)
        seek(obj, at)

    return How(".getvalue()", read, write)


def _small(size: int, state: Callable[[], _T]) -> _T | None:
    return state() if size <= _MOST else None


_KNOWN: Final[dict[type, How]] = {
    random.Random: How(".getstate()", random.Random.getstate, random.Random.setstate, True, "generator"),
    io.StringIO: _buffer(io.StringIO),
    io.BytesIO: _buffer(io.BytesIO),
    threading.Event: How(".is_set()", lambda event: event._flag, _set_event),
    _thread.LockType: How(".locked()", _thread.LockType.locked, _set_lock),
}


# --- types of libraries that may not be installed -------------------------------------------------


def _array(kind: Callable[[str, bytes], object]) -> How:
    def write(obj: array[int], state: tuple[str, bytes]) -> None:
        del obj[:]
        obj.frombytes(state[1])

    return How(
        "",
        lambda obj: _small(len(obj) * obj.itemsize, lambda: (obj.typecode, obj.tobytes())),
        write,
        way="array",
        shown=lambda state: kind(*state),
    )


class _Dtype(Protocol):
    hasobject: bool


class _Flags(Protocol):
    writeable: bool


class _Ndarray(Protocol):
    """An array of NumPy's."""

    dtype: _Dtype
    flags: _Flags
    nbytes: int
    shape: tuple[int, ...]

    def __setitem__(self, place: object, value: object, /) -> None: ...

    def reshape(self, shape: tuple[int, ...], /) -> _Ndarray: ...

    def tobytes(self) -> bytes: ...

    def tolist(self) -> object: ...


#: Shape, type (pickled) and content.
_ArrayState: TypeAlias = tuple[tuple[int, ...], bytes, bytes]


def _ndarray(_: object) -> How:
    numpy = sys.modules["numpy"]
    from_buffer, dump, load = numpy.frombuffer, pickle.dumps, pickle.loads

    def read(obj: _Ndarray) -> _ArrayState | None:
        if obj.dtype.hasobject or not obj.flags.writeable:
            return None
        return _small(obj.nbytes, lambda: (obj.shape, dump(obj.dtype), obj.tobytes()))

    def array_of(state: _ArrayState) -> _Ndarray:
        shape, kind, content = state
        flat: _Ndarray = from_buffer(content, dtype=load(kind))
        return flat.reshape(shape)

    def write(obj: _Ndarray, state: _ArrayState) -> None:
        if obj.shape != state[0]:
            raise ValueError("it has another shape now")
        obj[...] = array_of(state)

    return How("", read, write, way="ndarray", shown=lambda state: array_of(state).tolist())


class _BitGenerator(Protocol):
    state: object


class _Generator(Protocol):
    @property
    def bit_generator(self) -> _BitGenerator: ...


def _generator(_: object) -> How:
    dump, load = pickle.dumps, pickle.loads

    def write(obj: _Generator, state: bytes) -> None:
        obj.bit_generator.state = load(state)

    return How(
        ".bit_generator.state",
        lambda obj: dump(obj.bit_generator.state),
        write,
        is_random=True,
        way="attribute",
        shown=load,
    )


class _RandomState(Protocol):
    def set_state(self, state: object, /) -> None: ...


def _random_state(_: object) -> How:
    dump, load = pickle.dumps, pickle.loads

    def write(obj: _RandomState, state: bytes) -> None:
        obj.set_state(load(state))

    return How(".get_state()", lambda obj: dump(obj.get_state()), write, is_random=True, shown=load)


@dataclass(frozen=True)
class _Database:
    """A connection's settings, and the statements that create what is in its database."""

    #: The isolation level, what makes the rows, and the statements.
    shown: tuple[Any, ...]
    in_transaction: bool
    #: It includes SQLite's count of changes, so equal databases may differ in it.
    content: bytes = field(compare=False)


def _connection(kind: type[sqlite3.Connection]) -> How:
    """An SQLite connection to a database in memory: what is in files is no state of the process."""
    cursor, backup = kind.cursor, kind.backup
    serialize, deserialize = (vars(kind)[name] for name in ("serialize", "deserialize"))  # since Python 3.11
    connect = sys.modules["sqlite3"].connect
    size_of = (  # in numbers only: a text factory of the suite is not called
        "select file = '', page_count * page_size"
        " from pragma_database_list, pragma_page_count, pragma_page_size where name = 'main'"
    )

    def read(obj: sqlite3.Connection) -> _Database | None:
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

    def database_of(content: bytes) -> sqlite3.Connection:
        made: sqlite3.Connection = connect(":memory:")
        if content:
            deserialize(made, content)
        return made

    def write(obj: sqlite3.Connection, state: _Database) -> None:
        if state.in_transaction:
            raise ValueError("it was in a transaction")
        if obj.in_transaction:
            obj.rollback()
        obj.isolation_level, obj.row_factory = state.shown[:2]
        made = database_of(state.content)
        backup(made, obj)
        made.close()

    def shown(state: _Database) -> list[object]:
        return [part for part in state.shown if part]

    return How(".serialize()", read, write, shown=shown)


#: By the type's module and name.
_OF_LIBRARIES: Final[dict[tuple[str, str], Callable[..., How]]] = {
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
