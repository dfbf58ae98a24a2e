"""How a message travels: a tuple, its kind first, in a frame (`pytest_procpar.core.protocol.wire`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TypeAlias, TypeVar, cast

from pytest_procpar.core.model import Dist, WorkerInput, WorkerOptions
from pytest_procpar.core.protocol.common import Broke, Collected, CollectReported, Halted, Logged, Warned
from pytest_procpar.core.protocol.probe import (
    Changed,
    Compare,
    ForkChild,
    FromProbe,
    Perform,
    Performed,
    ProbeExited,
    ProbeReady,
    Rested,
    Restore,
    ToProbe,
    WaitChild,
    Watch,
)
from pytest_procpar.core.protocol.server import (
    Fork,
    Forked,
    FromServer,
    Ping,
    Pong,
    Quit,
    Reaped,
    Recipe,
    Setup,
    Signal,
    StartRoot,
    Suspend,
    ToServer,
    Unsafe,
)
from pytest_procpar.core.protocol.wire import WireError
from pytest_procpar.core.protocol.worker import (
    Began,
    Done,
    Finished,
    FromWorker,
    JunitRecord,
    Ready,
    Reported,
    Starved,
)
from pytest_procpar.core.record import fields

__all__ = ["_KINDS", "_WRITERS", "Message", "_setup_values", "decode", "encode", "number_of"]

_KINDS: tuple[type, ...] = (
    Ready, Began, Reported, Finished, Done, CollectReported, Collected, Forked, Reaped, Warned, Halted,
    Broke, Setup, Fork, Signal, Quit, Ping, Pong, Suspend, StartRoot, ForkChild, Perform, WaitChild,
    ProbeReady, Performed, Rested, ProbeExited, Watch, Compare, Restore, Changed, Unsafe, JunitRecord,
    Logged, Starved,
)  # fmt: skip


_T = TypeVar("_T")


def _reader(kind: type) -> Callable[..., tuple[object, ...]]:
    names = fields(kind)
    if not names:
        return lambda message: ()
    if len(names) == 1:
        return lambda message, get=attrgetter(*names): (get(message),)
    return attrgetter(*names)


def _plain(value: object) -> object:
    """The builtin value that stands for a field of a `Setup` on the way."""
    if isinstance(value, (Recipe, WorkerOptions)):
        return tuple(_plain(getattr(value, name)) for name in fields(type(value)))
    return value.value if isinstance(value, Dist) else value


def _setup_values(setup: Setup) -> tuple[object, ...]:
    return tuple(_plain(getattr(setup, name)) for name in fields(Setup))


def _made(kind: Callable[..., _T], *values: object) -> _T:
    """A record of values that have come from another process: nobody knows yet whether they suit."""
    return kind(*values)


def _make_setup(
    inputs: list[WorkerInput],
    environ: dict[str, str],
    cwd: str,
    basetemp: str | None,
    recipe: Iterable[object] | None,
) -> Setup:
    return Setup(inputs, environ, cwd, basetemp, None if recipe is None else _make_recipe(recipe))


def _make_recipe(values: Iterable[object]) -> Recipe:
    by_name = dict(zip(fields(Recipe), values, strict=True))
    dist, *others = cast("tuple[object, ...]", by_name["options"])
    by_name["options"] = _made(WorkerOptions, Dist(dist), *others)
    return _made(Recipe, *by_name.values())


_WRITERS = {kind: (number, _reader(kind)) for number, kind in enumerate(_KINDS)}
_WRITERS[Setup] = (_KINDS.index(Setup), _setup_values)
_MAKERS: list[Callable[..., object]] = [_make_setup if kind is Setup else kind for kind in _KINDS]

#: Everything that travels in frames.
Message: TypeAlias = FromWorker | FromServer | FromProbe | ToServer | ToProbe


def number_of(kind: type) -> int:
    """What the tuple of a message of this kind begins with."""
    return _WRITERS[kind][0]


def encode(message: Message) -> tuple[object, ...]:
    """The tuple as which a message travels."""
    number, fields_of = _WRITERS[type(message)]
    return (number, *fields_of(message))


def decode(body: object) -> Message:
    """The message that a tuple stands for.

    :raises WireError: if it stands for none.
    """
    try:
        number, *values = cast("tuple[int, object]", body)
        if number < 0:
            raise ValueError(f"its kind is {number}")
        return cast("Message", _MAKERS[number](*values))
    except (TypeError, ValueError, IndexError, RecursionError) as error:  # the last: from a deep value's repr
        raise WireError(f"not a message: {error}") from None
