"""The controller, as far as it takes part in pytest's session: what it does in the place of a plain run."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Generator
from queue import Queue

import pytest

from pytest_procpar.compat.internals import postpone_fixture_manager, shared_basetemp
from pytest_procpar.compat.nodes import Nodes
from pytest_procpar.compat.output import end_progress_line, output_in_batches
from pytest_procpar.compat.reports import add_finding_properties
from pytest_procpar.compat.scheduling import OwnScheduling, make_scheduling
from pytest_procpar.compat.xdist import NodeManager
from pytest_procpar.core.insights import Rechecked
from pytest_procpar.core.run import Run
from pytest_procpar.core.runrecord import RunRecord
from pytest_procpar.ending import Ending, bug
from pytest_procpar.loop import Loop
from pytest_procpar.process.covdata import collect_coverage, recover_coverage
from pytest_procpar.process.launch import Cluster
from pytest_procpar.process.signals import Signals
from pytest_procpar.process.system import describe_status, monotonic
from pytest_procpar.report.findingrecords import finding_records
from pytest_procpar.report.results import Results
from pytest_procpar.report.terminal import Terminal
from pytest_procpar.settings import Settings

__all__ = ["Controller", "start"]

#: How many tests are looked into at the same time at least: even with one worker.
_LANES = 2


def start(config: pytest.Config, settings: Settings) -> None:
    """Fork the fork server, and let the rest of this process's run be the controller's."""
    controller = Controller(config, settings, Cluster(config, settings))
    config.add_cleanup(controller.close)
    config.pluginmanager.register(controller, "dsession")


class Controller:
    """The plugin that stands in the place of pytest's collection and test loop."""

    def __init__(self, config: pytest.Config, settings: Settings, cluster: Cluster) -> None:
        self._config = config
        self._settings = settings
        self._cluster = cluster
        self._run = Run(settings.run_options())
        self._terminal = Terminal(config)
        self._nodes = Nodes(config, settings.testrunuid)
        self._results = Results(config, OwnScheduling(config, self._nodes))
        self._session: pytest.Session
        self._make_fixture_manager: Callable[[pytest.Session], None]
        self._ending = Ending()
        self._run_record = RunRecord(settings.tests_a_process)
        self._rechecked = Rechecked()
        self._began = monotonic()
        self._loop = Loop(
            config,
            settings,
            cluster,
            self._run,
            self._run_record,
            self._nodes,
            self._results,
            self._terminal,
            self._ending,
        )

    # --- what plugins look at under the name dsession ---

    @property
    def sched(self) -> object:
        """The scheduler, as far as it shows itself."""
        return self._results.scheduling.scheduler

    @property
    def nodemanager(self) -> NodeManager:
        """What the workers have in common."""
        return self._nodes.manager

    @property
    def queue(self) -> Queue[object]:
        """Where pytest-xdist keeps what has happened and was not dealt with: here nothing."""
        return Queue()

    # --- pytest's session, as far as the controller goes through it ---

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Keep an installed pytest-xdist from starting a run of its own."""
        config.option.tx = []
        self._make_fixture_manager = postpone_fixture_manager(config)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> Generator[None]:
        """Let plugins prepare the workers, and hand the fork server what it waits for.

        After all others, the header's `trylast` included: pytest-testmon's part of it makes entries that its
        workers cannot make.
        """
        yield
        self._session = session
        self._config.option.tx = ["popen"] * self._settings.workers
        self._terminal.prepare()
        inputs = self._nodes.set_up(self._settings.workers)
        self._cluster.setup(inputs, dict(os.environ), os.getcwd(), shared_basetemp(self._config))
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
        """Run the tests: returns, or raises what ended the run, when all processes are gone."""
        foreign = None if self._settings.pinned else make_scheduling(self._config, self._nodes)
        if foreign is not None:
            self._results.scheduling = foreign
            self._run.deal_by(foreign.lane)
        with Signals() as signals, output_in_batches(self._config) as self._loop.show:
            self._cluster.listen_to(signals.fd)
            try:
                while not self._loop.over:
                    self._loop.step(signals)
                self._look_into_failures(signals)
                self._cluster.dismiss()
                recover_coverage()
            except BaseException:
                self._cluster.close()
                raise
        self._ending.tell(session)
        missing = list(self._run.unsettled())
        if missing:
            raise bug(
                f"{len(missing)} of {session.testscollected} collected tests have no result, "
                f"the first being {self._results.nodeid(missing[0])}"
            )
        return True

    def _look_into_failures(self, signals: Signals) -> None:
        """Run again what has failed, if the run has come to its end."""
        options, run_record = self._settings.recheck, self._run_record
        if self._loop.server_gone or self._ending.at_once or not options.wanted(run_record.failures):
            return
        if not run_record.ids:
            return
        from pytest_procpar.confirm import Confirmer
        from pytest_procpar.recheck import Recheck

        def ended() -> bool:
            for signum in signals.caught():
                if signum in (Signals.INT, Signals.TERM):
                    self._loop.interrupted(signum)
            return self._ending.at_once

        recheck = Recheck(options, run_record, monotonic() - self._began)
        end_progress_line(self._config)
        self._terminal.line(f"\nre-checking {recheck.subject} (Ctrl-C ends it)")
        self._loop.show()
        base = shared_basetemp(self._config)
        confirmer = Confirmer(self._config, run_record)
        try:
            recheck.run(self._cluster, self._nodes.inputs(least=_LANES), base, ended, signals.fd, confirmer)
        except Exception:
            self._loop.broke("the re-check", traceback.format_exc())
        self._rechecked = recheck.result
        findings = finding_records(recheck.result, self._results.nodeid)
        self._config.hook.pytest_procpar_findings(config=self._config, findings=findings)
        add_finding_properties(self._config, findings)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Show the results so far when the machinery has broken: pytest leaves them out then."""
        strict = self._settings.recheck.strict and self._rechecked.flagged
        if strict and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self._ending.broken and session.exitstatus == pytest.ExitCode.INTERNAL_ERROR:
            self._terminal.show_summary(session.exitstatus)

    def pytest_terminal_summary(self) -> None:
        """Repeat what must not be missed."""
        self._terminal.summarize(self._results, self._rechecked)

    def close(self) -> None:
        """See all processes gone; a fork server that fails at its very end makes the run no success."""
        self._cluster.close()
        collect_coverage(self._config)
        status = self._cluster.server_status()
        session: pytest.Session | None = getattr(self, "_session", None)  # none if configure failed
        if status and session is not None and session.exitstatus in (0, pytest.ExitCode.TESTS_FAILED):
            sys.stderr.write(f"the fork server failed at its exit: {describe_status(status)}\n")
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
