"""What some plugins and libraries hold that processes must not share, and how each of them lets go of it.

Each is handled on its own: if one has changed, that costs a warning, not the run. None is imported here, and
one that is not loaded costs a look into `sys.modules`. The hook `pytest_procpar_worker_forked` is for others.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pytest_procpar.compat.plugins.renewal import Adapter
from pytest_procpar.compat.plugins.renewed_libraries import LIBRARIES
from pytest_procpar.compat.plugins.renewed_plugins import PLUGINS
from pytest_procpar.compat.pytest_private.warnings import tell_warning
from pytest_procpar.role import Role, role_of

if TYPE_CHECKING:
    from _typeshed import HasFileno

__all__ = ["adapt", "adapted_sockets", "introduce", "unfreeze"]

# Bound here, since tests replace the original.
_getpid = os.getpid

#: The id of the process that owns what is open: of the one that began the run, until `adapt` has been called.
_settled = _getpid()

_ADAPTERS = (*PLUGINS, *LIBRARIES)


def adapt(config: pytest.Config) -> None:
    """In a forked process, let plugins in use renew what they must not share.

    A second call does nothing, since what was opened meanwhile is the process's own. A throw-away process
    renews every time.
    """
    _renew(config, throw_away=role_of(config).is_throw_away)


def _renew(config: pytest.Config, *, throw_away: bool) -> None:
    global _settled
    fresh = role_of(config) is Role.FRESH_PROBE
    if _getpid() == _settled and not throw_away:
        return
    _settled = _getpid()
    for adapter in _ADAPTERS:
        if adapter.module in sys.modules and (adapter.tells or not fresh):
            try:
                adapter.renew(config, throw_away)
            except Exception as error:
                _warn(config, adapter, error)


def adapted_sockets(config: pytest.Config) -> frozenset[int]:
    """The descriptors of the open sockets that `adapt` takes care of."""
    found: set[int] = set()
    for adapter in _ADAPTERS:
        with suppress(Exception):  # what cannot be found now is reported when it cannot be renewed
            if adapter.module in sys.modules:
                found.update(_descriptors(adapter.sockets(config)))
    return frozenset(found)


def _descriptors(sockets: Iterable[HasFileno]) -> Iterable[int]:
    for each in sockets:
        with suppress(Exception):  # it is closed, or no socket at all
            yield each.fileno()


def introduce(config: pytest.Config) -> None:
    """Tell plugins what they would ask pytest-xdist for. Called first when a process is configured."""
    role = role_of(config)
    if role.is_main:
        _warn_of_harvest(config)
    else:  # it still has what conftests opened when the controller imported them
        _renew(config, throw_away=role is Role.FRESH_PROBE)
    rerunfailures = sys.modules.get("pytest_rerunfailures")
    if rerunfailures is None:
        return
    # It looks up pytest-xdist's version, and a hook in its package. Without the version it drops reports of
    # repetitions, without the hook it does not repeat crashes. We have the hook and lose no reports.
    with suppress(AttributeError):
        if rerunfailures.works_with_current_xdist() is None:
            vars(rerunfailures)["works_with_current_xdist"] = lambda: True
    if hasattr(rerunfailures, "HAS_PYTEST_HANDLECRASHITEM"):
        vars(rerunfailures)["HAS_PYTEST_HANDLECRASHITEM"] = True


def _warn_of_harvest(config: pytest.Config) -> None:
    """pytest-harvest 1.10 gathers the workers' results only if it can import pytest-xdist."""
    asks = sys.modules.get("pytest_harvest.xdist_api")
    if asks is not None and not hasattr(asks, "xdist_version"):
        text = (
            "pytest-harvest brings together what workers have harvested only if pytest-xdist is installed: "
            "each worker will see its own results only, and there are none once the run is over. Install "
            "pytest-xdist too; pytest-procpar still runs the tests."
        )
        tell_warning(config, text, "pytest-harvest")


def unfreeze() -> None:
    """After the heap is frozen, recreate objects that are looked for among those that are not frozen.

    Hypothesis (6.170) asks the garbage collector what refers to its random generator, and warns if nothing
    does: since Python 3.14, in the profile that it uses on CI servers.
    """
    with suppress(KeyError, AttributeError, AssertionError):  # it is not loaded, or has changed
        holder = sys.modules["hypothesis.core"].threadlocal
        if holder._hypothesis_global_random is None:
            assert isinstance(holder._ThreadLocal__threadlocal, threading.local)
            vars(holder)["_ThreadLocal__threadlocal"] = threading.local()


def _warn(config: pytest.Config, adapter: Adapter, error: Exception) -> None:
    text = (
        f"{adapter.name} could not be adapted to a forked worker: {type(error).__name__}: {error}. It may "
        "share a connection or an identity with other workers; pytest_procpar_worker_forked is the hook to "
        "see to that."
    )
    tell_warning(config, text, adapter.name)
