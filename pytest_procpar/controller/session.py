"""The controller's part in pytest's session: what it does instead of a plain run."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from queue import Queue
from time import process_time
from typing import TYPE_CHECKING

import pytest

from pytest_procpar.cluster.cluster import Cluster
from pytest_procpar.compat.pytest_private.output import output_in_batches
from pytest_procpar.compat.pytest_private.session import postpone_fixture_manager, shared_basetemp
from pytest_procpar.compat.pytest_private.streams import forget_hung_up_terminal
from pytest_procpar.compat.xdist.nodes import Nodes
from pytest_procpar.compat.xdist.objects import NodeManager
from pytest_procpar.compat.xdist.options import hide_workers, show_workers, tell_workers
from pytest_procpar.compat.xdist.scheduling import OwnScheduling, make_scheduling
from pytest_procpar.config.settings import Settings
from pytest_procpar.controller.collaborators import Collaborators
from pytest_procpar.controller.loop import Loop
from pytest_procpar.controller.run_end import Ending, bug
from pytest_procpar.controller.signals import Signals
from pytest_procpar.controller.supervision import Supervisor
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.record import changed
from pytest_procpar.core.run.run import Run
from pytest_procpar.coverage_data.combining import collect_coverage, recover_coverage
from pytest_procpar.forking.heap_at_exit import leave_heap_at_exit
from pytest_procpar.report.results import Results
from pytest_procpar.report.terminal import Terminal
from pytest_procpar.role import Role, take_role
from pytest_procpar.system.calls import describe_status, monotonic
from pytest_procpar.system.clock import Clock
from pytest_procpar.system.shortage import descriptor_limit, in_words, is_shortage, room_for_workers

if TYPE_CHECKING:
    from pytest_procpar.controller.failed_run import FailedRun, Readiness

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
    settings, note = _fit(config, settings)
    try:
        cluster = Cluster(config, settings)
    except OSError as error:
        if not is_shortage(error):
            raise
        raise _refusal(settings, in_words(error)) from None
    controller = Controller(config, settings, cluster, note)
    config.add_cleanup(controller.close)
    if settings.worker.freeze_heap:
        leave_heap_at_exit()
    if config.pluginmanager.register(controller, "dsession") is not None:  # -p may have blocked that name
        take_role(config, Role.CONTROLLER)


def _fit(config: pytest.Config, settings: Settings) -> tuple[Settings, str | None]:
    """The settings with no more workers than descriptors allow, and a note if that is fewer than wanted.

    :raises pytest.UsageError: if not even one fits, or a replay needs more.
    """
    wanted, fitting = settings.workers, room_for_workers(settings.workers)
    if fitting == wanted:
        return settings, None
    if not fitting:
        raise _refusal(settings, f"{descriptor_limit()} descriptors are too few (ulimit -n)")
    note = f"only {fitting} of {wanted} workers fit into {descriptor_limit()} descriptors (ulimit -n)"
    if settings.pinned:
        raise pytest.UsageError(f"--replay: every sequence needs a worker, and {note}")
    tell_workers(config, fitting)
    return changed(settings, workers=fitting), note


def _refusal(settings: Settings, reason: str) -> pytest.UsageError:
    """What to raise where the system does not grant a single worker."""
    return pytest.UsageError(
        f"-n {settings.workers}: no worker could be started: {reason}: raise the limit, or run with -n 0"
    )


class Controller:
    """The plugin that replaces pytest's collection and test loop."""

    def __init__(self, config: pytest.Config, settings: Settings, cluster: Cluster, note: str | None) -> None:
        self._config = config
        self._settings = settings
        self._cluster = cluster
        #: A note about the machine's limits; None if they allow what was asked for.
        self._note = note
        self._run = Run(settings.run_options())
        self._terminal = Terminal(config)
        self._nodes = Nodes(config, settings.testrunuid)
        scheduling = OwnScheduling(config, self._nodes)
        self._results = Results(config, scheduling, compact=settings.compact_reports)
        self._session: pytest.Session
        self._make_fixture_manager: Callable[[pytest.Session], None]
        self._ending = Ending()
        folders = str(config.rootpath), str(config.invocation_params.dir)
        self._run_record = RunRecord(settings.tests_a_process, *folders)
        #: What follows a run with failures; None if it had none.
        self._failed_run: FailedRun | None = None
        self._ready: Readiness | None = None
        self._has_failed = False
        #: Whether a signal other than SIGINT has ended the run.
        self._terminated = False
        self._began = monotonic()
        #: The processor time, in seconds, that it took to get here.
        self._started = process_time()
        clock = Clock()
        supervisor = Supervisor(
            self._run, cluster, self._terminal, self._results.nodeid, clock.now(), settings.quiet_seconds
        )
        self._shared = Collaborators(
            config, settings, cluster, self._run, self._run_record, self._nodes, self._results,
            self._terminal, self._ending, clock, supervisor,
        )  # fmt: skip
        self._loop = Loop(self._shared)

    # --- what plugins look at under the name dsession ---

    @property
    def sched(self) -> object:
        """The scheduler, where it lets itself be seen."""
        return self._results.scheduling.scheduler

    @property
    def nodemanager(self) -> NodeManager:
        """What the workers have in common."""
        return self._nodes.manager

    @property
    def run_record(self) -> RunRecord:
        """What is known about the run."""
        return self._run_record

    @property
    def queue(self) -> Queue[object]:
        """Where pytest-xdist keeps events that it has not handled yet: always empty here."""
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
        self._terminal.prepare()
        if self._note is not None:
            self._terminal.remember(self._note)
        inputs = self._nodes.set_up(self._settings.workers)
        self._cluster.setup(inputs, dict(os.environ), os.getcwd(), shared_basetemp(self._config))
        if self._cluster.warning is not None:
            from pytest_procpar.start_method.thread_warning import tell_of_threads

            tell_of_threads(self._config, self._cluster.warning, when="config")
        self._loop.begin(session, inputs)
        # There is time now: the fork server collects.
        self._make_fixture_manager(session)
        self._loop.look_around()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> bool:
        """Collect nothing: the fork server does."""
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests; return, or raise what ended the run, when all processes are gone."""
        foreign = None if self._settings.pinned else make_scheduling(self._config, self._nodes)
        if foreign is not None:
            self._results.scheduling = foreign
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
        missing = list(self._run.unsettled())
        if missing:
            raise bug(
                f"{len(missing)} of {session.testscollected} collected tests have no result, "
                f"the first being {self._results.nodeid(missing[0])}"
            )
        return True

    @contextmanager
    def _noting_signals(self) -> Iterator[Signals]:
        """Note signals during the run.

        :raises pytest.UsageError: if plugins have taken the last descriptors since the start.
        """
        with ExitStack() as stack:
            try:
                signals = stack.enter_context(Signals(self._cluster.kill))
            except OSError as error:
                if not is_shortage(error):
                    raise
                raise _refusal(self._settings, in_words(error)) from None
            yield signals

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
        if not self._run_record.ids or not self._settings.recheck.wanted(1):
            return
        with suppress(OSError):  # no descriptor is left to open a module's file; the re-check says so
            from pytest_procpar.controller.failed_run import Readiness

            self._ready = Readiness()

    def _look_into_failures(self, signals: Signals) -> None:
        """Re-check the failed tests, unless the run ended early."""
        options, run_record = self._settings.recheck, self._run_record
        if self._loop.server_gone or self._ending.at_once or not options.wanted(run_record.failures):
            return
        if not run_record.ids:
            return
        try:
            from pytest_procpar.controller.failed_run import FailedRun, Readiness

            self._ready = self._ready or Readiness()
        except OSError as error:  # no descriptor is left to open a module's file
            self._terminal.remember(f"the re-check has ended early: {in_words(error)}")
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
            self._terminal.count_not_run(map(self._results.nodeid, self._run.unsettled()))
        if self._ending.broken and session.exitstatus == pytest.ExitCode.INTERNAL_ERROR:
            self._terminal.show_summary(session.exitstatus)

    def pytest_terminal_summary(self) -> None:
        """Repeat what must not be missed."""
        write = None if self._failed_run is None else self._failed_run.write_findings
        self._terminal.summarize(self._results, write)

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
