"""The controller's part in pytest's session: what it does instead of a plain run.

What is imported here is needed until the fork server has what it waits for. The rest is imported afterwards,
while that process configures and collects.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from time import process_time
from typing import TYPE_CHECKING

import pytest

from pytest_procpar.cluster.cluster import Cluster
from pytest_procpar.cluster.room import fit, refusal
from pytest_procpar.compat.pytest_private.output import output_in_batches
from pytest_procpar.compat.pytest_private.session import postpone_fixture_manager, shared_basetemp
from pytest_procpar.compat.pytest_private.streams import forget_hung_up_terminal
from pytest_procpar.compat.xdist.nodes import Nodes
from pytest_procpar.compat.xdist.options import hide_workers, show_workers
from pytest_procpar.config.settings import Settings
from pytest_procpar.controller.run_end import Ending, bug
from pytest_procpar.coverage_data.combining import collect_coverage, recover_coverage
from pytest_procpar.role import Role, take_role
from pytest_procpar.system.calls import describe_status, monotonic
from pytest_procpar.system.shortage import in_words, is_shortage

if TYPE_CHECKING:
    from queue import Queue

    from pytest_procpar.compat.xdist.objects import NodeManager
    from pytest_procpar.controller.collaborators import Collaborators
    from pytest_procpar.controller.failed_run import FailedRun, Readiness
    from pytest_procpar.controller.loop import Loop
    from pytest_procpar.controller.signals import Signals
    from pytest_procpar.core.inquiry.run_record import RunRecord

__all__ = ["Controller", "start"]


def start(config: pytest.Config, settings: Settings) -> None:
    """Fork the fork server, and let the rest of this process's run be the controller's.

    :raises pytest.UsageError: if a parallel run is impossible, or the system does not grant what it needs.
    """
    if not config.pluginmanager.hasplugin("reports"):
        raise pytest.UsageError(
            "-p no:reports: what a test reports cannot be carried from a worker without pytest's plugin "
            "'reports'; leave that out, or run with -n 0 and without --isolate"
        )
    settings, note = fit(config, settings)
    try:
        cluster = Cluster(config, settings)
    except OSError as error:
        if not is_shortage(error):
            raise
        raise refusal(settings, in_words(error)) from None
    controller = Controller(config, settings, cluster, note)
    config.add_cleanup(controller.close)
    if settings.worker.freeze_heap:
        from pytest_procpar.forking.heap_at_exit import leave_heap_at_exit

        leave_heap_at_exit()
    if config.pluginmanager.register(controller, "dsession") is not None:  # -p may have blocked that name
        take_role(config, Role.CONTROLLER)


class Controller:
    """The plugin that replaces pytest's collection and test loop."""

    def __init__(self, config: pytest.Config, settings: Settings, cluster: Cluster, note: str | None) -> None:
        self._config = config
        self._settings = settings
        self._cluster = cluster
        #: A note about the machine's limits; None if they allow what was asked for.
        self._note = note
        self._nodes = Nodes(config, settings.testrunuid)
        self._ending = Ending()
        self._session: pytest.Session
        self._make_fixture_manager: Callable[[pytest.Session], None]
        #: What follows a run with failures; None if it had none.
        self._failed_run: FailedRun | None = None
        self._ready: Readiness | None = None
        self._has_failed = False
        #: Whether a signal other than SIGINT has ended the run.
        self._terminated = False
        self._began = monotonic()
        #: The processor time, in seconds, that it took to get here.
        self._started = process_time()

    @cached_property
    def _shared(self) -> Collaborators:
        """What the controller works with, made when there is time, or when something first asks for it."""
        from pytest_procpar.controller.collaborators import make_collaborators

        return make_collaborators(self._config, self._settings, self._cluster, self._nodes, self._ending)

    @cached_property
    def _loop(self) -> Loop:
        from pytest_procpar.controller.loop import Loop

        return Loop(self._shared)

    # --- what plugins look at under the name dsession ---

    @property
    def sched(self) -> object:
        """The scheduler, where it lets itself be seen."""
        return self._shared.results.scheduling.scheduler

    @property
    def nodemanager(self) -> NodeManager:
        """What the workers have in common."""
        return self._nodes.manager

    @property
    def run_record(self) -> RunRecord:
        """What is known about the run."""
        return self._shared.run_record

    @property
    def queue(self) -> Queue[object]:
        """Where pytest-xdist keeps events that it has not handled yet: always empty here."""
        from queue import Queue

        return Queue()

    # --- the part of pytest's session that the controller goes through ---

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Make the controller the only one that starts workers, and postpone the search for fixtures."""
        hide_workers(config)
        self._make_fixture_manager = postpone_fixture_manager(config)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> Generator[None]:
        """Let plugins prepare the workers, and hand the fork server what it waits for.

        This runs after all other plugins, even those with `trylast`, such as the header: pytest-testmon's
        hook makes entries that its workers cannot make.
        """
        show_workers(self._config, self._settings.workers)
        yield
        self._session = session
        inputs = self._nodes.set_up(self._settings.workers)
        self._cluster.setup(inputs, dict(os.environ), os.getcwd(), shared_basetemp(self._config))
        # There is time now: the fork server configures and collects.
        with self._refused_in_words():
            terminal, loop = self._shared.terminal, self._loop
        terminal.prepare()
        if self._note is not None:
            terminal.remember(self._note)
        if self._cluster.warning is not None:
            from pytest_procpar.start_method.thread_warning import tell_of_threads

            tell_of_threads(self._config, self._cluster.warning, when="config")
        loop.begin(session, inputs)
        self._make_fixture_manager(session)
        loop.look_around()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> bool:
        """Collect nothing: the fork server does."""
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests; return, or raise what ended the run, when all processes are gone."""
        from pytest_procpar.compat.xdist.scheduling import make_scheduling

        run, results = self._shared.run, self._shared.results
        foreign = None if self._settings.pinned else make_scheduling(self._config, self._nodes)
        if foreign is not None:
            results.scheduling = foreign
            self._loop.deal_by(foreign)
        with self._noting_signals() as signals, output_in_batches(self._config) as self._loop.show:
            self._cluster.listen_to(signals.fd)
            try:
                self._go_through(signals)
            except BaseException:
                self._cluster.close()
                raise
            finally:
                self._nodes.abandon()
                self._terminated = signals.terminated_by is not None
        self._ending.tell(session)
        missing = list(run.unsettled())
        if missing:
            raise bug(
                f"{len(missing)} of {session.testscollected} collected tests have no result, "
                f"the first being {results.nodeid(missing[0])}"
            )
        return True

    @contextmanager
    def _noting_signals(self) -> Iterator[Signals]:
        """Note signals during the run.

        :raises pytest.UsageError: if plugins have taken the last descriptors since the start.
        """
        with ExitStack() as stack:
            with self._refused_in_words():
                from pytest_procpar.controller.signals import Signals

                signals = stack.enter_context(Signals(self._cluster.kill))
            yield signals

    @contextmanager
    def _refused_in_words(self) -> Iterator[None]:
        """Say what the system does not grant, in a usage error."""
        try:
            yield
        except OSError as error:
            if not is_shortage(error):
                raise
            raise refusal(self._settings, in_words(error)) from None

    def _go_through(self, signals: Signals) -> None:
        """Run the tests, re-check the failed ones, and let the fork server end."""
        try:
            while not self._loop.over:
                with self._enduring(signals):
                    self._loop.step(signals)
                if not self._has_failed and self._session.testsfailed:
                    self._has_failed = True
                    self._get_ready()
            with self._enduring(signals):
                self._look_into_failures(signals)
            self._loop.leave_host()
            self._cluster.dismiss()
            recover_coverage()
        finally:
            if signals.asked:  # perhaps after the last test
                self._cluster.hurry()

    @contextmanager
    def _enduring(self, signals: Signals) -> Iterator[None]:
        """Keep an orderly end from failing because the terminal disappeared before its signal was noted."""
        try:
            yield
        except OSError as error:
            if error.errno != errno.EIO or not signals.hung_up():
                raise
            forget_hung_up_terminal(self._config)
            self._loop.heed(signals)

    def _get_ready(self) -> None:
        """Make ready what a re-check needs, at the first failure: the workers go on meanwhile."""
        if not self._shared.run_record.ids or not self._settings.recheck.wanted(1):
            return
        with suppress(OSError):  # no descriptor is left to open a module's file; the re-check says so
            from pytest_procpar.controller.failed_run import Readiness

            self._ready = Readiness()

    def _look_into_failures(self, signals: Signals) -> None:
        """Re-check the failed tests, unless the run ended early."""
        options, run_record = self._settings.recheck, self._shared.run_record
        if self._loop.server_gone or self._ending.at_once or not options.wanted(run_record.failures):
            return
        if not run_record.ids:
            return
        try:
            from pytest_procpar.controller.failed_run import FailedRun, Readiness

            self._ready = self._ready or Readiness()
        except OSError as error:  # no descriptor is left to open a module's file
            self._shared.terminal.remember(f"the re-check has ended early: {in_words(error)}")
            return
        first, seconds = run_record.first(), monotonic() - self._began
        fresh = self._started + (0.0 if first is None else first - self._began)
        self._failed_run = FailedRun(self._shared, self._loop, self._session, self._ready, seconds, fresh)
        self._failed_run.look_into(signals)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Show the results so far if pytest-procpar itself has failed: pytest leaves them out then."""
        self._nodes.abandon()  # if the test loop was not reached
        strict = self._settings.recheck.strict and self._failed_run is not None and self._failed_run.flagged
        if strict and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self._terminated:
            shared = self._shared
            shared.terminal.count_not_run(map(shared.results.nodeid, shared.run.unsettled()))
        if self._ending.broken and session.exitstatus == pytest.ExitCode.INTERNAL_ERROR:
            self._shared.terminal.show_summary(session.exitstatus)

    def pytest_terminal_summary(self) -> None:
        """Repeat what must not be missed."""
        write = None if self._failed_run is None else self._failed_run.write_findings
        self._shared.terminal.summarize(self._shared.results, write)

    def close(self) -> None:
        """Wait until all processes are gone; a fork server that fails at its exit makes the run fail."""
        if self._ready is not None:
            self._ready.close()
        self._cluster.close()
        collect_coverage(self._config)
        status = self._cluster.server_status()
        if self._cluster.stood_still():
            sys.stderr.write(
                "pytest-procpar: the fork server was killed at its exit, where it waited for a lock that "
                "no thread could release\n"
            )
            return
        session: pytest.Session | None = getattr(self, "_session", None)  # not set if configure failed
        if (
            status
            and not (self._failed_run is not None and self._failed_run.lost_server)
            and session is not None
            and session.exitstatus in (0, pytest.ExitCode.TESTS_FAILED)
        ):
            sys.stderr.write(f"the fork server failed at its exit: {describe_status(status)}\n")
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
