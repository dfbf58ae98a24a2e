"""The process that a plain run, without workers, forks the processes of its marked tests from.

It keeps the state from before any test. To the session it is what a worker is to the controller, except that
it outlives its children: it reports them with `Done` and, if they died, with `Reaped`.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from typing import NoReturn

import pytest

from pytest_procpar.compat.pytest_private.items import watch_teardown
from pytest_procpar.compat.pytest_private.output import mute_reporter
from pytest_procpar.compat.pytest_private.session import shared_basetemp
from pytest_procpar.compat.pytest_reports.listeners import mute_plugins
from pytest_procpar.compat.pytest_reports.statuses import tell_no_statuses
from pytest_procpar.core.model import Dist, TestIndex, WorkerId
from pytest_procpar.core.protocol.server import Reaped
from pytest_procpar.core.protocol.worker import Done
from pytest_procpar.forking.fork import default_signals, flush_stdio, let_setsid_work
from pytest_procpar.ipc.board import Board
from pytest_procpar.ipc.inbox import WorkerLink
from pytest_procpar.isolation.isolating_runner import IsolatingRunner
from pytest_procpar.leaks.check import install as install_leaks
from pytest_procpar.system.calls import end_process
from pytest_procpar.system.descendants import bind_death
from pytest_procpar.worker.output import install_instruments
from pytest_procpar.worker.session_reporter import SessionReporter

__all__ = ["serve"]


class _Source(IsolatingRunner):
    """The process between the session and the tests' processes."""

    def loop(self) -> None:
        """Run each requested test in a process of its own, until the session is gone."""
        watch_teardown(self._session, self._decide_kept)
        with self._child_runner.passing_on_signals():
            while True:
                try:
                    record = self._link.claim(wait=True)
                except KeyboardInterrupt:  # the test that it was meant for has ended
                    continue
                except EOFError:
                    return
                if isinstance(record, int):
                    self._have_run_alone(TestIndex(record))

    def _have_run_alone(self, test: TestIndex) -> None:
        word, status = self._run_child(test)
        if word is None:
            self._link.put(Reaped(WorkerId(0), status, None, self._child_runner.peak_memory))
        else:
            self._link.put(Done({}))
        self._flush()

    def _prepare(self) -> None:
        install_leaks(self._config)


def serve(
    session: pytest.Session, link: WorkerLink, board: Board, instruments: Sequence[int], parent: int
) -> NoReturn:
    """Be the process in between, just forked from the session's, whose pid is `parent`."""
    try:
        bind_death()(parent)
        os.setpgid(0, 0)
        default_signals()
        let_setsid_work()
        config = session.config
        shared_basetemp(config)
        mute_reporter(config, open(os.devnull, "w"))  # noqa: SIM115 (lives as long as the process)
        mute_plugins(config)
        tell_no_statuses(config)
        stacks = install_instruments(config, instruments)
        slot = board.slot(0)
        slot.belong_to_this_process()
        reporter = SessionReporter(config, Dist.NO, link, slot)
        reporter.speak_for_worker(link)
        config.pluginmanager.register(reporter, "procpar-reporter")
        source = _Source(session, link, board, slot, reporter, stacks, frozenset(), None)
        config.pluginmanager.register(source, "procpar-worker")
        source.loop()
    except BaseException:
        traceback.print_exc()
    finally:
        flush_stdio()
        end_process(0)
