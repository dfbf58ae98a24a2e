"""Records what a run has measured when it ends, and tells the next run what to expect.

A plugin of the controller, or of a run without workers of ours if it is asked for. Nothing that it meets on
the disk changes the run's outcome: a line in the summary says what is wrong. What it takes is imported when
the history is first read or written, since a controller configures while its fork server waits.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import pytest

from pytest_procpar.history.place import history_place
from pytest_procpar.role import Role, role_of

if TYPE_CHECKING:
    from pytest_procpar.compat.pytest_private.output import Writer
    from pytest_procpar.core.history.durations import DurationHistory
    from pytest_procpar.core.history.forecast import Forecast
    from pytest_procpar.core.history.run_log import Timed
    from pytest_procpar.core.inquiry.run_record import RunRecord
    from pytest_procpar.history.listening import Listener
    from pytest_procpar.history.place import Place
    from pytest_procpar.history.store import Store

__all__ = ["HistoryKeeper", "forecast", "install"]

_KEEPER = pytest.StashKey["HistoryKeeper"]()


def _bind(clock: Callable[[], float] = time.time) -> Callable[[], float]:
    """A clock that tests cannot patch."""
    return lambda: clock()


_now = _bind()


@contextmanager
def _without_collections() -> Iterator[None]:
    """Let no garbage be collected: a history has many objects, and each look at all of them takes time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def install(config: pytest.Config, *, asked: bool) -> None:
    """Let this process's run be recorded, if a history is kept. Call this at configure.

    :param asked: whether the command line asks for it.
    :raises pytest.UsageError: if it does, and there is no place for a history.
    """
    place = history_place(config)
    if place is None:
        if asked:
            raise no_place("record")
        return
    keeper = HistoryKeeper(config, place)
    config.stash[_KEEPER] = keeper
    config.pluginmanager.register(keeper, "procpar-history")


def no_place(value: str) -> pytest.UsageError:
    """What to raise if the command line asks for something with the history, and none is kept."""
    return pytest.UsageError(
        f"--procpar-history={value}: no history is kept: procpar_history (ini option) is off, or it names no "
        "place and pytest's cache is turned off: name a file or a folder there"
    )


def forecast(config: pytest.Config) -> Forecast | None:
    """What to expect of this run, from the history as it is when this is first called; None if none is kept.

    `Forecast.durations` gives the seconds of each test, and `Forecast.settings` those of the fixtures
    that tests share.
    """
    keeper = config.stash.get(_KEEPER, None)
    return None if keeper is None else keeper.forecast()


class HistoryKeeper:
    """The plugin that records.

    :param place: where the history is.
    """

    def __init__(self, config: pytest.Config, place: Place) -> None:
        self._config = config
        self._place = place
        self._listener: Listener | None = None
        self._forecast: Forecast | None = None

    @cached_property
    def _store(self) -> Store:
        from pytest_procpar.history.store import Store

        return Store(self._config, self._place)

    def forecast(self) -> Forecast:
        """What is known before this run."""
        if self._forecast is None:
            from pytest_procpar.core.history.forecast import Forecast

            with _without_collections():
                self._forecast = Forecast(self._store.read())
        return self._forecast

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Listen to what tests do, unless our workers run them."""
        if role_of(session.config) is not Role.CONTROLLER:
            from pytest_procpar.history.listening import Listener

            self._listener = Listener()
            session.config.pluginmanager.register(self._listener, "procpar-history-listener")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Add what this run has measured."""
        ident, memory = os.urandom(8).hex(), self._worker_memory()

        def more(known: DurationHistory) -> DurationHistory:
            from pytest_procpar.core.history.recording import history_of, seen_in

            return history_of(seen_in(processes, known), known, ident, _now(), memory)

        with _without_collections():
            processes = self._processes()
            if any(processes):
                self._store.add(more)

    def _processes(self) -> list[list[Timed]]:
        """What each process ran."""
        if self._listener is not None:
            return self._listener.log.processes(None, None, ())
        run_record: RunRecord = self._config.pluginmanager.getplugin("dsession").run_record
        return run_record.processes()

    def _worker_memory(self) -> int:
        """How much memory a worker had for itself, in bytes; 0 if there was none of ours."""
        run_record = getattr(self._config.pluginmanager.getplugin("dsession"), "run_record", None)
        return 0 if self._listener is not None or run_record is None else run_record.worker_memory

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Writer) -> None:
        """Say what is wrong with the history."""
        from pytest_procpar.core.printable import printable_line

        for note in self._store.notes:
            terminalreporter.write_line(printable_line(f"procpar: {note}"))
