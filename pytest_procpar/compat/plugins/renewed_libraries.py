"""What libraries hold that processes must not share, and how each of them lets go of it.

None of them is imported here. Written against the versions named with each.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import pytest

from pytest_procpar.compat.plugins.file_locks import renew_locks
from pytest_procpar.compat.plugins.renewal import KEPT, Adapter

if TYPE_CHECKING:
    from socket import socket

    from _typeshed import HasFileno

__all__ = ["LIBRARIES"]

# --- testcontainers 4 --------------------------------------------------------------------------------


if TYPE_CHECKING:

    class _Reaper(Protocol):
        _instance: object
        _container: object
        _socket: socket | None


def _reaper() -> _Reaper | None:
    reaper: _Reaper | None = getattr(sys.modules.get("testcontainers.core.container"), "Reaper", None)
    return reaper


def _testcontainers_sockets(config: pytest.Config) -> Iterable[HasFileno]:
    open_socket = getattr(_reaper(), "_socket", None)
    return [] if open_socket is None else [open_socket]


def _renew_testcontainers(config: pytest.Config, throw_away: bool) -> None:
    """Draw a new session id: it names the container that removes the others, so no two may share it."""
    old, new = sys.modules["testcontainers.core.labels"].SESSION_ID, str(uuid.uuid4())
    for name, module in list(sys.modules.items()):
        if name.startswith("testcontainers.") and getattr(module, "SESSION_ID", None) == old:
            module.SESSION_ID = new  # type: ignore[attr-defined]
    reaper = _reaper()
    if reaper is not None and reaper._instance is not None:  # it watches containers with the old id
        KEPT.extend((reaper._instance, reaper._container))
        if reaper._socket is not None:
            reaper._socket.close()  # this process's descriptor only
        reaper._instance = reaper._container = reaper._socket = None


# --- Django 4.2 to 6 ---------------------------------------------------------------------------------


if TYPE_CHECKING:

    class _Connection(Protocol):
        vendor: str
        connection: HasFileno | None

        def is_in_memory_db(self) -> bool: ...


def _django_connections() -> list[_Connection]:
    """The open connections, except to databases in memory: a fork copies these, with what is in them."""
    if not sys.modules["django.conf"].settings.configured:
        return []
    initialized = sys.modules["django.db"].connections.all(initialized_only=True)
    return [each for each in initialized if each.connection is not None and not _is_in_memory(each)]


def _is_in_memory(connection: _Connection) -> bool:
    return connection.vendor == "sqlite" and bool(connection.is_in_memory_db())


def _django_sockets(config: pytest.Config) -> Iterable[HasFileno]:
    open_ones = [each.connection for each in _django_connections() if each.connection is not None]
    return [getattr(connection, "_sock", connection) for connection in open_ones]


def _renew_django(config: pytest.Config, throw_away: bool) -> None:
    """Forget connections, but do not close them: that would end the others' session with the server."""
    for each in _django_connections():
        KEPT.append(each.connection)
        each.connection = None
        pools = getattr(type(each), "_connection_pools", None)
        if pools:
            KEPT.append(dict(pools))
            pools.clear()


# --- OpenTelemetry 1 ---------------------------------------------------------------------------------


def _renew_opentelemetry(config: pytest.Config, throw_away: bool) -> None:
    """Drop the spans of a throw-away process. In any forked process the threads restart by themselves."""
    if throw_away:
        provider = sys.modules["opentelemetry.trace"].get_tracer_provider()
        provider = getattr(provider, "provider", provider)  # logfire puts its own before it
        provider._active_span_processor._span_processors = ()


# --- Hypothesis 6 ------------------------------------------------------------------------------------


def _renew_hypothesis(config: pytest.Config, throw_away: bool) -> None:
    """Keep a throw-away process from writing to an example database.

    If a failing example passed in a re-check, it would be deleted, and no later run would try it first.
    """
    if not throw_away:
        return
    kinds = [sys.modules["hypothesis.database"].ExampleDatabase]
    for kind in kinds:
        kinds += kind.__subclasses__()
        for name in ("save", "delete", "move"):
            if name in vars(kind) and "InMemory" not in kind.__name__:
                setattr(kind, name, lambda *args, **kwargs: None)


# --- filelock 3.30 to 4.3 ----------------------------------------------------------------------------


def _renew_filelock(config: pytest.Config, throw_away: bool) -> None:
    """Renew the locks. Every fork has done so, but only here is a failure reported."""
    renew_locks()


# --- random generators: numpy 1.17 to 2.4, Faker 4 to 40, factory_boy 3, PyTorch 2 -------------------

#: The Mersenne Twister makes `_BLOCK` words of 32 bits at once. A generator that has been drawn from is
#: followed for `_BLOCKS` of these blocks in each of `_PARTS` parts, all of which take 15 ms. One that is
#: further counts as seeded.
_BLOCK, _BLOCKS, _PARTS = 624, 512, 8
#: A generator's state: names, numbers and arrays, nested.
_State: TypeAlias = dict[str, Any]
#: The states that this module has put into generators.
_UNSEEDED: dict[str, _State] = {}
#: PyTorch draws its own seeds from 64 bits; other seeds are hardly ever that large.
_SEEDS_OF_OTHERS = 1 << 32


def _renew_numpy(config: pytest.Config, throw_away: bool) -> None:
    """Seed the global generator unless somebody has: other workers would draw the same numbers."""
    module = sys.modules["numpy.random.mtrand"]
    generator = module._rand._bit_generator
    if not throw_away and _is_unseeded(generator):
        module._rand.set_state(module.RandomState().get_state())
        _UNSEEDED["numpy"] = generator.state


def _is_unseeded(generator: Any) -> bool:
    """Whether its state follows, by drawing, from the seed that numpy or `_renew_numpy` has chosen."""
    seed = getattr(generator, "_seed_seq", None)  # there is none after `seed`
    if seed is None or type(generator).__name__ != "MT19937":
        return False
    state, follower = generator.state, type(generator)(seed)
    unseeded = _UNSEEDED.get("numpy", follower.state)
    if (state["state"]["key"] == unseeded["state"]["key"]).all():
        return True
    beginning = type(generator)(0)
    beginning.state = _at(state, 0)
    first, second = beginning.random_raw(2)
    follower.state = _at(unseeded, _BLOCK)
    for _ in range(_PARTS):
        words = follower.random_raw(_BLOCK * _BLOCKS)
        if ((words[::_BLOCK] == first) & (words[1::_BLOCK] == second)).any():
            return True
    return False


def _at(state: _State, place: int) -> _State:
    return {**state, "state": {**state["state"], "pos": place}}


def _renew_faker(config: pytest.Config, throw_away: bool) -> None:
    """Seed what all its generators share, unless somebody has."""
    module = sys.modules["faker.generator"]
    if not throw_away and not getattr(module.Generator, "_is_seeded", True):
        module.random.seed()


def _renew_factory_boy(config: pytest.Config, throw_away: bool) -> None:
    generator = sys.modules["factory.random"].randgen
    if not throw_away and not generator.state_set:
        generator.seed()


def _renew_torch(config: pytest.Config, throw_away: bool) -> None:
    """Seed the generator of the processor, unless somebody has."""
    generator = sys.modules["torch"].default_generator
    if not throw_away and generator.initial_seed() >= _SEEDS_OF_OTHERS:
        generator.seed()


LIBRARIES = (
    Adapter("testcontainers", "testcontainers.core.labels", _renew_testcontainers, _testcontainers_sockets),
    Adapter("Django", "django.db", _renew_django, _django_sockets),
    Adapter("OpenTelemetry", "opentelemetry.sdk.trace", _renew_opentelemetry, tells=True),
    Adapter("filelock", "filelock", _renew_filelock),
    Adapter("numpy", "numpy.random.mtrand", _renew_numpy),
    Adapter("Faker", "faker.generator", _renew_faker),
    Adapter("factory_boy", "factory.random", _renew_factory_boy),
    Adapter("PyTorch", "torch.random", _renew_torch),
    Adapter("Hypothesis", "hypothesis.database", _renew_hypothesis, tells=True),
)
