"""A pytest session in a worker, or in the process that workers are forked from.

From `pytest_configure` to the test loop it is pytest's own. There the process learns what it is: a worker,
the root of a checkpoint tree, or nothing, in a fork server that is told to quit.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeAlias

import pytest

from pytest_procpar.compat.foreign_options import drop_maxfail, tell_internal_error
from pytest_procpar.compat.pytest_private.items import remember_hook_proxies
from pytest_procpar.compat.pytest_private.output import forget_fault_handler
from pytest_procpar.compat.pytest_private.session import (
    configure,
    run_main,
    session_from_config,
    set_basetemp,
    shared_basetemp,
    unconfigure,
)
from pytest_procpar.compat.pytest_private.streams import mend_capture
from pytest_procpar.compat.pytest_reports import raised
from pytest_procpar.compat.pytest_reports.statuses import tell_no_statuses
from pytest_procpar.core.model import WorkerOptions, worker_name
from pytest_procpar.core.protocol.server import Fork, Setup, StartRoot, Unsafe, fingerprint
from pytest_procpar.coverage_data.measuring import save_coverage, save_shared_coverage
from pytest_procpar.forking import file_positions, inherited_processes
from pytest_procpar.forking.fork import (
    default_signals,
    disregard_interrupts,
    forget_exit_handlers,
    let_setsid_work,
    run_exit_handlers,
)
from pytest_procpar.forking.heap import Heap
from pytest_procpar.ipc.board import Board
from pytest_procpar.ipc.inbox import WorkerLink
from pytest_procpar.ipc.link import Link
from pytest_procpar.isolation.isolating_runner import IsolatingRunner
from pytest_procpar.role import Role, take_role
from pytest_procpar.server.loop import StartOrder
from pytest_procpar.start_method.hazards import Hazards, UnsafeFork
from pytest_procpar.start_method.thread_warning import count_threads
from pytest_procpar.system.calls import adopt_socket, change_directory, end_process
from pytest_procpar.system.headroom import FIRST_TO_GO, REPLACEABLE, be_expendable
from pytest_procpar.worker.identity import Folder, Output, become_worker, identify, workers_of
from pytest_procpar.worker.marks import marked_tests
from pytest_procpar.worker.orphan import interrupted_without_peer
from pytest_procpar.worker.output import install_instruments, silence
from pytest_procpar.worker.runner import ItemRunner
from pytest_procpar.worker.session_reporter import SessionReporter
from pytest_procpar.worker.thread_pools import limit_thread_pools

__all__ = ["Assignment", "WorkerSession"]

#: The order that a process was made for, with the descriptors that came along.
Assignment: TypeAlias = tuple[StartOrder, list[int]]


class WorkerSession:
    """The session of one process. A process that a fork server forks returns from `run`, too, when it ends.

    :param assignment: what this process was made for, if that is known before it has collected.
    :param await_assignment: in a fork server: waits for orders. Returns None in the server when there will be
        no more, and in a process that was forked meanwhile, what it was made for.
    :param end_server: ends a fork server.
    :param hazards: in a fork server, collects what may show that forking is unsafe; None: nothing does.
    :param stdout: see `Output`.
    """

    def __init__(
        self,
        config: pytest.Config,
        options: WorkerOptions,
        board: Board,
        link: Link | WorkerLink | None = None,
        *,
        assignment: Assignment | None = None,
        await_assignment: Callable[[], Assignment | None] = lambda: None,
        end_server: Callable[[], NoReturn] = lambda: end_process(0),
        hazards: Hazards | None = None,
        stdout: int | None = None,
    ) -> None:
        self._config = config
        self._options = options
        self._board = board
        self._await_assignment = await_assignment
        self._end_server = end_server
        self._hazards = hazards
        #: How many threads this process has that are known to be no reason not to fork it.
        self.known_threads = 1
        self._output = Output(config, stdout)
        self._heap = Heap(freeze=options.freeze_heap)
        #: Whether the session has started and must be finished; the session, once it has collected.
        self._has_begun = False
        self._session: pytest.Session | None = None
        self._basetemp: Path | None = None
        self._slot = board.slot(0)
        #: The tests that run in a process of their own.
        self._alone: frozenset[int] = frozenset()
        self._order: StartOrder | None = None
        self._fds: list[int] = []
        self._worker: ItemRunner | None = None
        #: Whether it knows what it is before it configures: then the choices of its plugins are final.
        self._is_early = assignment is not None
        if assignment is not None:
            link = self._take(assignment)
        assert link is not None
        self._link = link
        self._reporter = SessionReporter(config, options.dist, link, self._slot)

    @property
    def has_collected(self) -> bool:
        """Whether there is a suite that workers can be forked with."""
        return self._session is not None

    def _take(self, assignment: Assignment) -> Link | WorkerLink:
        """Become what this process was made for; return the stream that comes with it."""
        self._order, fds = assignment
        is_worker = isinstance(self._order, Fork)
        take_role(self._config, Role.WORKER if is_worker else Role.PROBE)
        be_expendable(REPLACEABLE if is_worker else FIRST_TO_GO)
        if isinstance(self._order, Fork):
            self._slot = self._board.slot(self._order.slot)
            self._slot.belong_to_this_process()
            self._fds = fds[2:]
            return WorkerLink(fds[:2], self._board.preview(self._order.slot))
        return Link(adopt_socket(*fds))

    def run(self, setup: Setup) -> None:
        """Go through pytest's session protocol, like its `wrap_session`, except for who finishes what."""
        config = self._config
        self._heap.grow()
        workerinput = self._order.workerinput if self._order is not None else setup.inputs[0]
        folder = Folder(config, setup)
        become_worker(config, setup, workerinput, self._options.dist, self._hazards)
        if self._hazards is not None:
            self._hazards.begin()
        self._basetemp = Path(setup.basetemp) if setup.basetemp is not None else None
        self._output.hide()
        if isinstance(self._order, StartRoot):
            self._be_inert(self._order)
        session = session_from_config(config)
        if not isinstance(self._order, StartRoot):
            config.pluginmanager.register(self._reporter, "procpar-reporter")
        config.pluginmanager.register(self, "procpar-session")
        status: int = pytest.ExitCode.OK
        try:
            try:
                plugin = sys.modules["pytest_procpar.plugin"]
                run_main(
                    config, lambda: self._go_through(session, folder), plugin, forked=setup.recipe is None
                )
                status = self._exit_status(session)
            except UnsafeFork as unsafe:
                self._finish_unused(session, unsafe)
            except BaseException as error:
                if isinstance(self._order, StartRoot):
                    if not isinstance(error, KeyboardInterrupt):  # otherwise nothing wants it any more
                        traceback.print_exc()
                    end_process(1)
                status = self._reporter.ended_by(session, error)
        finally:
            if self._order is not None:
                self._end_worker(session, status)
            else:
                self._link.flush()
                self._await_assignment()
                self._end_server()

    def _go_through(self, session: pytest.Session, folder: Folder) -> None:
        self._collect(session, folder)
        self._config.hook.pytest_runtestloop(session=session)

    def _collect(self, session: pytest.Session, folder: Folder) -> None:
        config, hazards = self._config, self._hazards
        with interrupted_without_peer(self._link.fileno()):
            configure(config)
            self._output.show()
            if hazards is not None:
                hazards.check()
            config.hook.pytest_sessionstart(session=session)
            self._has_begun = True
            folder.follow()
            if hazards is not None:
                hazards.check()
            config.hook.pytest_collection(session=session)
            if hazards is not None:
                hazards.finish(item.nodeid for item in session.items)
                self.known_threads = count_threads()
        self._session = session
        marked = list(marked_tests(session.items, self._options.isolating_marks))
        self._alone = frozenset(range(len(session.items)) if self._options.isolate else marked)
        if not isinstance(self._order, StartRoot):
            self._reporter.collected(session, marked)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Replace pytest's loop: learn what this process is, and be that."""
        self._link.flush()  # the controller has work to do in the meantime
        save_shared_coverage()
        self._heap.settle()
        remember_hook_proxies(session)
        if self._order is None:
            file_positions.note()
            assignment = self._await_assignment()
            if assignment is None:
                self._end_server()
            self._link = self._take(assignment)
            identify(self._config, assignment[0].workerinput)
            forget_exit_handlers()
        assert self._order is not None
        limit_thread_pools(workers_of(self._order.workerinput), self._options.cpus)
        if isinstance(self._order, StartRoot):
            self._be_a_probe(session, self._order)
        self._reporter.speak_for_worker(self._link)
        self._slot.note("")  # drop its note about the collection
        self._start_worker(session).loop()
        return True

    def _finish_unused(self, session: pytest.Session, unsafe: UnsafeFork) -> None:
        """Finish a session that no worker will finish; then tell the controller."""
        try:
            if self._has_begun:
                self._config.hook.pytest_sessionfinish(session=session, exitstatus=pytest.ExitCode.OK)
        except Exception:
            traceback.print_exc()
        if self._hazards is not None:
            self._hazards.abandon()
        self._link.put(Unsafe(str(unsafe), unsafe.early))

    def _be_a_probe(self, session: pytest.Session, order: StartRoot) -> NoReturn:
        """Be the root of a checkpoint tree: a worker whose only listener is the prober that started it."""
        from pytest_procpar.worker.probe_process import ProbeProcess

        config = self._config
        if order.suite not in (None, fingerprint(item.nodeid for item in session.items)):
            sys.stderr.write("pytest-procpar: another collection than the first one: nothing is re-checked\n")
            end_process(1)
        if config.pluginmanager.is_registered(self._reporter):  # not if it has collected for itself
            config.pluginmanager.unregister(self._reporter)
        drop_maxfail(config)
        silence(config)
        tell_no_statuses(config)
        self._be_inert(order)
        if order.basetemp is not None:
            set_basetemp(config, Path(order.basetemp))
            shared_basetemp(config)  # otherwise every child would empty the folder first
        assert isinstance(self._link, Link)
        probe = ProbeProcess(session, self._link)
        config.pluginmanager.register(probe, "procpar-probe")
        config.hook.pytest_procpar_worker_forked(config=config, session=session)
        probe.serve()

    def _be_inert(self, order: StartRoot) -> None:
        """Silence plugins, and copy files before they change; a repeated call silences new plugins."""
        from pytest_procpar.compat.pytest_reports.listeners import silence_plugins
        from pytest_procpar.system.file_uses import note_uses
        from pytest_procpar.system.kept_files import keep_files

        config = self._config
        silence_plugins(config)
        spared = [] if self._basetemp is None else [self._basetemp]
        keep_files(order.kept, [config.rootpath, config.invocation_params.dir], spared)
        note_uses(order.kept, spared)

    # --- a worker ---

    def _start_worker(self, session: pytest.Session) -> ItemRunner:
        """Reset what must not be shared, and tell plugins that hold on to something else."""
        config, order = self._config, self._order
        assert order is not None
        os.setpgid(0, 0)
        default_signals(wakes=self._is_early)
        let_setsid_work()
        stacks = install_instruments(config, self._fds)
        if self._basetemp is not None and not self._is_early:
            set_basetemp(config, self._basetemp / f"popen-{worker_name(order.worker)}")
        assert isinstance(self._link, WorkerLink)
        held = (session, self._link, self._board, self._slot)
        limit = self._options.max_tests_per_worker
        if self._alone or limit:
            self._worker = IsolatingRunner(
                *held, self._reporter, stacks, self._alone, limit, self._options.fork_safe
            )
        else:
            self._worker = ItemRunner(*held)
        raised.install(config)
        config.pluginmanager.register(self._worker, "procpar-worker")
        config.hook.pytest_procpar_worker_forked(config=config, session=session)
        return self._worker

    def _exit_status(self, session: pytest.Session) -> int:
        fine = pytest.ExitCode.OK if session.testscollected else pytest.ExitCode.NO_TESTS_COLLECTED
        return pytest.ExitCode.TESTS_FAILED if session.testsfailed else fine

    def _end_worker(self, session: pytest.Session, status: int) -> None:
        """Finish the session when no more tests run, and end as a normal exit would."""
        disregard_interrupts()
        inherited_processes.give_up()
        assert isinstance(self._link, WorkerLink)
        worker = self._worker or ItemRunner(session, self._link, self._board, self._slot)
        worker.wait_for_finish()
        mend_capture(self._config)
        session.exitstatus = status
        output: dict[str, object] = self._config.workeroutput  # type: ignore[attr-defined]
        output.update(exitstatus=int(status), shouldfail=session.shouldfail, shouldstop=session.shouldstop)
        change_directory(session.startpath)
        try:
            if self._has_begun:
                self._config.hook.pytest_sessionfinish(session=session, exitstatus=status)
        except pytest.exit.Exception as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        except Exception:
            tell_internal_error(self._config)
        if self._has_begun:  # otherwise plugins have put nothing there, which their other half would miss
            worker.done(output)
        self._link.flush()
        forget_fault_handler(self._config)
        unconfigure(self._config)
        save_coverage()
        run_exit_handlers()
