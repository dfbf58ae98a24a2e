"""The settings of the process that no module's attribute holds: a name for each, and how to read and set it.

The functions are bound when this module is imported, before a test may patch them. No module of the suite is
looked at.
"""

from __future__ import annotations

import _locale
import _tracemalloc
import contextvars
import decimal
import faulthandler
import gc
import logging
import os
import random
import resource
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import starmap
from types import ModuleType
from typing import Final, NamedTuple

from pytest_procpar.state.codec_state import codec_spaces
from pytest_procpar.state.context_state import CONTEXT
from pytest_procpar.state.library_settings import library_switches
from pytest_procpar.state.logger_state import _manager, logger_spaces
from pytest_procpar.state.namespaces import Access, Namespace, Origin

__all__ = ["RANDOM", "RANDOM_OF_NUMPY", "process_spaces", "settle"]

#: The name of a state that nearly any code changes by using it.
RANDOM: Final = "random.getstate()"
_STDERR: Final = 2
#: The name of the same state of NumPy's global generator.
RANDOM_OF_NUMPY: Final = "numpy.random.get_state()"


class _Switch(NamedTuple):
    name: str
    read: Callable[[], object]
    write: Callable[..., object]


def _bind_umask(umask: Callable[[int], int] = os.umask) -> Callable[[], int]:
    def read() -> int:
        mask = umask(0o077)
        umask(mask)
        return mask

    return read


def _bind_getcwd(getcwd: Callable[[], str] = os.getcwd) -> Callable[[], str | None]:
    def read() -> str | None:
        try:
            return getcwd()
        except OSError:  # the folder is gone
            return None

    return read


_environ: Final = os.environ


def _variables() -> dict[bytes, bytes]:
    """The environment as it is. Looked up anew each time, since a watch replaces the dictionary."""
    variables: dict[bytes, bytes] = _environ._data  # type: ignore[attr-defined]
    return variables


def _bind_zone(
    zone: ModuleType = time, tzset: Callable[[], None] = time.tzset, environ: os._Environ[str] = os.environ
) -> _Switch:
    key = os.fsencode("TZ")
    was = _variables().get(key)

    def read() -> tuple[object, ...]:
        values = vars(zone)
        return values["tzname"], values["timezone"], values["altzone"], values["daylight"]

    def write(_: object) -> None:
        # The zone follows the variable only when `tzset` is called: the two may well differ, and the variable
        # is a slot of its own.
        now = _variables().get(key)
        _put(environ, "TZ", was)
        tzset()
        _put(environ, "TZ", now)

    return _Switch("time.tzname", read, write)


def _put(environ: os._Environ[str], name: str, value: bytes | None) -> None:
    if value is None:
        environ.pop(name, None)
    else:
        environ[name] = os.fsdecode(value)


def _signals() -> Iterator[_Switch]:
    for number in sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}):
        try:
            name = signal.Signals(number).name
        except ValueError:  # a real-time signal without a name
            name = str(int(number))
        read, write = partial(signal.getsignal, number), partial(signal.signal, number)
        yield _Switch(f"signal.getsignal({name})", read, write)


def _read_traps(context: Callable[[], decimal.Context]) -> tuple[str, ...]:
    return tuple(sorted(kind.__name__ for kind, is_on in context().traps.items() if is_on))


def _write_traps(context: Callable[[], decimal.Context], names: tuple[str, ...]) -> None:
    traps = context().traps
    for kind in list(traps):
        traps[kind] = kind.__name__ in names


def _decimal(context: Callable[[], decimal.Context] = decimal.getcontext) -> Iterator[_Switch]:
    def switch(field: str) -> _Switch:
        return _Switch(
            f"decimal.getcontext().{field}",
            lambda: getattr(context(), field),
            lambda value: setattr(context(), field, value),
        )

    yield from map(switch, ("prec", "rounding", "Emin", "Emax", "capitals", "clamp"))
    yield _Switch("decimal.getcontext().traps", partial(_read_traps, context), partial(_write_traps, context))


def _collector(on: Callable[[], None] = gc.enable, off: Callable[[], None] = gc.disable) -> _Switch:
    return _Switch("gc.isenabled()", gc.isenabled, lambda is_on: on() if is_on else off())


def _thresholds(put: Callable[[int, int, int], None] = gc.set_threshold) -> _Switch:
    return _Switch("gc.get_threshold()", gc.get_threshold, lambda values: put(*values))


def _numpy_random() -> Iterator[_Switch]:
    """NumPy's global generator, if it was imported: its numbers as bytes, so that they can be compared."""
    numpy, generators = sys.modules.get("numpy"), sys.modules.get("numpy.random")
    if numpy is None or generators is None or not hasattr(generators, "get_state"):
        return
    get, put, to_numbers = generators.get_state, generators.set_state, numpy.frombuffer

    def read() -> tuple[object, ...]:
        name, numbers, *rest = get()
        return (name, numbers.tobytes(), str(numbers.dtype), *rest)

    def write(state: tuple[object, ...]) -> None:
        name, numbers, kind, *rest = state
        put((name, to_numbers(numbers, dtype=kind), *rest))

    yield _Switch(RANDOM_OF_NUMPY, read, write)


def _fault_handler(
    on: Callable[..., None] = faulthandler.enable, off: Callable[[], object] = faulthandler.disable
) -> _Switch:
    return _Switch(
        "faulthandler.is_enabled()", faulthandler.is_enabled, lambda is_on: on(_STDERR) if is_on else off()
    )


def _tracing(
    on: Callable[[int], None] = _tracemalloc.start, off: Callable[[], None] = _tracemalloc.stop
) -> _Switch:
    return _Switch(
        "tracemalloc.is_tracing()", _tracemalloc.is_tracing, lambda is_on: on(1) if is_on else off()
    )


def _locales(put: Callable[..., str] = _locale.setlocale, category: int = _locale.LC_ALL) -> _Switch:
    return _Switch("locale.setlocale(LC_ALL)", partial(put, category, None), partial(put, category))


def _masks(mask: Callable[[int, Iterable[int]], Iterable[int]] = signal.pthread_sigmask) -> _Switch:
    def read() -> tuple[int, ...]:
        return tuple(sorted(map(int, mask(signal_block, ()))))

    signal_block = signal.SIG_BLOCK
    return _Switch("signal.pthread_sigmask(SIG_BLOCK, [])", read, partial(mask, signal.SIG_SETMASK))


def _limits(
    get: Callable[[int], tuple[int, int]] = resource.getrlimit,
    put: Callable[[int, tuple[int, int]], None] = resource.setrlimit,
) -> Iterator[_Switch]:
    for name in sorted(name for name in vars(resource) if name.startswith("RLIMIT_")):
        number = getattr(resource, name)
        yield _Switch(f"resource.getrlimit({name})", partial(get, number), partial(put, number))


def _timers(
    get: Callable[[int], tuple[float, float]] = signal.getitimer,
    put: Callable[[int, float], object] = signal.setitimer,
) -> Iterator[_Switch]:
    """Whether a timer runs. The time that is left changes by itself, so it is not compared."""
    for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF"):
        number = getattr(signal, name)

        def read(number: int = number) -> bool:
            return any(get(number))

        def write(_: bool, number: int = number) -> None:
            put(number, 0)

        yield _Switch(f"signal.getitimer({name}) != (0, 0)", read, write)


def _digits() -> Iterator[_Switch]:
    if hasattr(sys, "get_int_max_str_digits"):  # missing in older releases of Python 3.10
        yield _Switch("sys.get_int_max_str_digits()", sys.get_int_max_str_digits, sys.set_int_max_str_digits)


def _affinity() -> Iterator[_Switch]:
    if sys.platform == "linux":
        get, put = partial(os.sched_getaffinity, 0), partial(os.sched_setaffinity, 0)
        yield _Switch("os.sched_getaffinity(0)", get, put)
    yield from ()  # a generator elsewhere, too


_hooks, _set_hooks = sys.get_asyncgen_hooks, sys.set_asyncgen_hooks
_SWITCHES: Final = (
    _Switch("os.getcwd()", _bind_getcwd(), os.chdir),
    _Switch("os.umask()", _bind_umask(), os.umask),
    _Switch("sys.getrecursionlimit()", sys.getrecursionlimit, sys.setrecursionlimit),
    _Switch("sys.getswitchinterval()", sys.getswitchinterval, sys.setswitchinterval),
    _Switch("sys.gettrace()", sys.gettrace, sys.settrace),
    _Switch("sys.getprofile()", sys.getprofile, sys.setprofile),
    _Switch("sys.getdlopenflags()", sys.getdlopenflags, sys.setdlopenflags),
    _Switch("sys.get_asyncgen_hooks()", lambda: tuple(_hooks()), lambda hooks: _set_hooks(*hooks)),
    _Switch(
        "sys.get_coroutine_origin_tracking_depth()",
        sys.get_coroutine_origin_tracking_depth,
        sys.set_coroutine_origin_tracking_depth,
    ),
    *_affinity(),
    _collector(),
    _thresholds(),
    _Switch("gc.get_debug()", gc.get_debug, gc.set_debug),
    _fault_handler(),
    _tracing(),
    *_digits(),
    _Switch("threading.stack_size()", threading.stack_size, threading.stack_size),
    _Switch("socket.getdefaulttimeout()", socket.getdefaulttimeout, socket.setdefaulttimeout),
    _masks(),
    _locales(),
    *_decimal(),
    *_signals(),
    *_timers(),
    *_limits(),
    _Switch(RANDOM, random.getstate, random.setstate),
)


def _read_all(switches: tuple[_Switch, ...]) -> dict[str, object]:
    return {switch.name: switch.read() for switch in switches}


def _write_one(switches: tuple[_Switch, ...], name: str, value: object) -> None:
    next(switch for switch in switches if switch.name == name).write(value)


_SETTINGS: Final = Access(_read_all, _write_one, None, lambda _, key: str(key), "setting")


def _item(place: str, key: object) -> str:
    return f"{place}[{key!r}]"


def _read_environment(_: object, decode: Callable[[bytes], str] = os.fsdecode) -> Mapping[str, str]:
    return {decode(key): decode(value) for key, value in _variables().items()}


_ENVIRON: Final = Access(
    _read_environment,
    lambda environ, key, value: environ.__setitem__(key, value),
    lambda environ, key: environ.pop(key, None),
    _item,
    "variable",
)
#: The owner is `sys.modules`.
_MODULES: Final = Access(
    lambda owner: owner,
    dict.__setitem__,
    lambda owner, key: owner.pop(key, None),
    _item,
    "item",
)
_clear_logging: Final[Callable[[logging.Manager], None]] = logging.Manager._clear_cache  # type: ignore[attr-defined]


def process_spaces() -> list[Namespace]:
    """The namespaces that belong to the process as a whole, as they are now."""
    switches = (*_SWITCHES, _bind_zone(), *_numpy_random(), *starmap(_Switch, library_switches()))
    modules = sys.modules
    return [
        Namespace("os.environ", _environ, _ENVIRON, Origin.OURS, _ENVIRON.read(_environ)),
        Namespace("", switches, _SETTINGS, Origin.OURS, _read_all(switches)),
        *logger_spaces(),
        *codec_spaces(),
        Namespace("", contextvars.copy_context, CONTEXT, Origin.OURS, CONTEXT.read(contextvars.copy_context)),
        Namespace("sys.modules", modules, _MODULES, Origin.OURS, dict(modules)),
    ]


_FILTERS_CHANGED: Final[Callable[[], None] | None] = getattr(
    warnings, "_filters_mutated", getattr(warnings, "_filters_mutated_lock_held", None)
)


def settle() -> None:
    """Clear what the standard library caches of settings that were put back."""
    _clear_logging(_manager)
    if _FILTERS_CHANGED is not None:
        _FILTERS_CHANGED()
