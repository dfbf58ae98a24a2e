"""The fork server: configures and collects once, forks workers from that state, and reaps them.

It is forked from the controller before anything is configured, waits until the controller's own start has
produced what workers are given, and then goes through a session of its own up to the test loop. There it
stays, a parent that runs no test.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pytest_procpar.compat.internals import (
    configure,
    session_from_config,
    set_basetemp,
    shared_basetemp,
    unconfigure,
)
from pytest_procpar.compat.items import remember_hook_proxies
from pytest_procpar.compat.output import forget_fault_handler, mute_reporter, redirect_stdio
from pytest_procpar.core.messages import (
    Fork,
    Forked,
    Ping,
    Plant,
    Pong,
    Quit,
    Reaped,
    Setup,
    Signal,
    Suspend,
)
from pytest_procpar.core.model import WorkerId, assert_never, worker_name
from pytest_procpar.process.board import Board
from pytest_procpar.process.children import Children
from pytest_procpar.process.covdata import leave_coverage, save_coverage, save_shared_coverage
from pytest_procpar.process.descendants import descendants, is_childless, set_subreaper
from pytest_procpar.process.fork import (
    default_signals,
    disregard_interrupts,
    flush_stdio,
    forget_exit_handlers,
    fork,
    let_setsid_work,
    run_exit_handlers,
)
from pytest_procpar.process.heap import Heap
from pytest_procpar.process.instruments import install_instruments, silence
from pytest_procpar.process.marks import marked_tests
from pytest_procpar.process.orphan import interrupted_without_peer
from pytest_procpar.process.relay import Relay
from pytest_procpar.process.stem import Stem
from pytest_procpar.process.system import (
    adopt_socket,
    change_directory,
    end_process,
    out_of_reach,
)
from pytest_procpar.process.transport import Link
from pytest_procpar.process.worker import Worker
from pytest_procpar.settings import Settings

__all__ = ["ForkServer"]

#: Options that must not make a worker act as a controller (as under pytest-xdist).
_WORKER_OPTIONS: dict[str, Any] = {
    "looponfail": False,
    "usepdb": False,
    "dist": "no",
    "distload": False,
    "numprocesses": None,
    "maxprocesses": None,
    "tx": [],
}


class ForkServer:
    """The fork server's process. `serve` never returns, in it or in the workers forked from it."""

    def __init__(self, config: pytest.Config, settings: Settings, link: Link, board: Board) -> None:
        self._config = config
        self._settings = settings
        self._link = link
        self._board = board
        self._children = Children()
        self._session: pytest.Session | None = None
        self._basetemp: Path | None = None
        self._real_stdout: int | None = None
        self._heap = Heap(freeze=settings.freeze_heap)
        self._slot = board.slot(0)
        #: The tests that run in a process of their own.
        self._alone: frozenset[int] = frozenset()
        #: The processes that were started before any worker, and end with what started them.
        self._older: frozenset[int] = frozenset()
        #: In a worker that was forked from the server, its id, and the descriptors of its black box.
        self._me: WorkerId | None = None
        self._instruments: list[int] = []
        self._worker: Worker | None = None

    def serve(self) -> NoReturn:
        """Be the fork server until there is nothing left to do, and exit."""
        status = 0
        try:
            os.setpgid(0, 0)
            default_signals()
            self._heap.grow()
            set_subreaper(True)  # what a test's daemon leaves behind comes to us
            setup = self._await_setup()
            if setup is not None:
                self._be_a_session(setup)
        except BaseException:
            traceback.print_exc()
            status = 3
        finally:
            flush_stdio()
            end_process(status)

    # --- a session up to the test loop ---

    def _await_setup(self) -> Setup | None:
        while True:
            messages, is_open = self._link.receive()
            for message in messages:
                if isinstance(message, Setup):
                    return message
                if isinstance(message, Quit):
                    return None
            if not is_open:
                return None

    def _be_a_session(self, setup: Setup) -> None:
        """Go through pytest's session protocol; like its `wrap_session`, but for who finishes what."""
        config = self._config
        self._become(setup)
        session = session_from_config(config)
        self._relay = relay = Relay(config, self._settings.dist, self._link, self._slot)
        config.pluginmanager.register(relay, "procpar-relay")
        config.pluginmanager.register(self, "procpar-server")
        status: int = pytest.ExitCode.OK
        try:
            try:
                with interrupted_without_peer(self._link.fileno()):
                    configure(config)
                    self._silence_reporter()
                    config.hook.pytest_sessionstart(session=session)
                    config.hook.pytest_collection(session=session)
                    self._session = session
                    relay.collected(session)
                config.hook.pytest_runtestloop(session=session)
                status = self._exit_status(session)
            except BaseException as error:
                status = relay.ended_by(session, error)
        finally:
            if self._me is not None:
                self._end_worker(session, status)
            else:
                self._link.flush()
                self._serve_until_quit()
                self._end_server()

    def _become(self, setup: Setup) -> None:
        """Take what the controller has prepared: environment, folders, identity, silence."""
        config = self._config
        os.environ.clear()
        os.environ.update(setup.environ)
        os.chdir(setup.cwd)
        for plugin in config.invocation_params.plugins or ():
            if not isinstance(plugin, str):  # an object of the caller's, which acts in the controller
                config.pluginmanager.unregister(plugin)
        for name, value in _WORKER_OPTIONS.items():
            setattr(config.option, name, value)
        config.option.loadgroup = self._settings.dist == "loadgroup"
        if setup.basetemp is not None:
            self._basetemp = Path(setup.basetemp)
        self._identify(setup.inputs[0])
        if self._basetemp is not None:
            config.option.basetemp = str(self._basetemp / f"popen-{setup.inputs[0]['workerid']}")
        self._hide_terminal()

    def _identify(self, workerinput: dict[str, Any]) -> None:
        """Take an identity: the fork server holds the first worker's until the fork."""
        current: dict[str, Any] | None = getattr(self._config, "workerinput", None)
        if current is None:
            self._config.workerinput = dict(workerinput)  # type: ignore[attr-defined]
            self._config.workeroutput = {}  # type: ignore[attr-defined]
        else:  # plugins keep references to it
            current.clear()
            current.update(workerinput)
        os.environ["PYTEST_XDIST_WORKER"] = workerinput["workerid"]
        os.environ["PYTEST_XDIST_WORKER_COUNT"] = str(workerinput["workercount"])
        os.environ["PYTEST_XDIST_TESTRUNUID"] = workerinput["testrunuid"]

    def _hide_terminal(self) -> None:
        null = os.open(os.devnull, os.O_RDWR)
        if self._config.option.capture == "no":
            # What tests print is wanted live; what plugins find at configure must not be a terminal.
            self._real_stdout = out_of_reach(os.dup(1))
        redirect_stdio(self._config, null, (0, 1))
        os.close(null)

    def _silence_reporter(self) -> None:
        mute_reporter(self._config, open(os.devnull, "w"))  # noqa: SIM115 (lives as long as the process)
        if self._real_stdout is not None:
            flush_stdio()
            redirect_stdio(self._config, self._real_stdout, (1,))

    # --- forking and reaping ---

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Serve in place of pytest's loop; what comes out of here is a worker."""
        self._link.flush()  # the controller has something to do meanwhile
        save_shared_coverage()
        self._heap.settle()
        remember_hook_proxies(session)
        everything = range(len(session.items)) if self._settings.isolate else None
        self._alone = frozenset(everything or marked_tests(session.items, self._settings.isolating_marks))
        self._older = frozenset() if is_childless() else frozenset(descendants(os.getpid()))
        worker = self._serve_until_quit()
        if worker is None:
            self._end_server()
        self._start_worker(session, worker).loop()
        return True

    def _serve_until_quit(self) -> WorkerId | None:
        """Fork, signal and reap as told, until told to quit or the controller is gone.

        Returns None in the server, and in every worker, freshly forked, its id.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with selectors.DefaultSelector() as selector:
            selector.register(self._link, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select(self._children.poll_seconds)]
                if self._link in ready:
                    go_on = self._obey(selector)
                    if self._me is not None:
                        return self._me
                    if not go_on:
                        self._children.kill_all()
                        self._children.end_leftovers(self._older)
                        return None
                for dead in self._children.reap():
                    if dead.fd is not None:
                        selector.unregister(dead.fd)
                        os.close(dead.fd)
                    self._link.put(Reaped(dead.worker, dead.status, None, dead.peak_memory))
                self._link.flush()

    def _obey(self, selector: selectors.BaseSelector) -> bool:
        messages, is_open = self._link.receive()
        for message in messages:
            match message:
                case Fork() | Plant():
                    self._fork(message, selector)
                    if self._me is not None:
                        return True
                case Signal(worker, signum, group):
                    self._children.signal(worker, signum, group=group)
                case Ping():
                    self._link.put(Pong())
                case Suspend():
                    self._suspend()
                case Quit():
                    return False
                case Setup():
                    raise AssertionError("the fork server has been set up already")
                case _:
                    assert_never(message)
        return is_open

    def _suspend(self) -> None:
        self._children.signal_all(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        self._children.signal_all(signal.SIGCONT)

    def _fork(self, order: Fork | Plant, selector: selectors.BaseSelector) -> None:
        fds = self._link.take_fds(5 if isinstance(order, Fork) else 1)
        pid = -1
        if self._session is not None:  # else there is no suite to run; the controller knows
            try:
                pid = fork()
            except OSError as error:
                self._link.put(Reaped(order.worker, 0, f"could not be forked: {error}"))
        if pid == 0:
            selector.close()
            if isinstance(order, Plant):
                self._become_branch(order, *fds)
            self._become_worker(order, *fds)
            return
        for fd in fds:
            os.close(fd)
        if pid > 0:
            pidfd = self._children.add(order.worker, pid)
            if pidfd is not None:
                selector.register(pidfd, selectors.EVENT_READ)
            self._link.put(Forked(order.worker, pid))

    def _become_worker(self, order: Fork, stream: int, *instruments: int) -> None:
        self._children.forget()
        self._link.close()
        self._link = Link(adopt_socket(stream))
        self._me = order.worker
        self._slot = self._board.slot(order.slot)
        self._slot.belong_to_this_process()
        self._instruments = [*instruments]
        self._relay.speak_for_worker(self._link)
        self._identify(order.workerinput)

    def _become_branch(self, order: Plant, stream: int) -> NoReturn:
        """Be the root of a tree of throw-away processes: a worker that nobody hears but who planted it."""
        from pytest_procpar.process.branch import Branch

        config, session = self._config, self._session
        assert session is not None
        self._children.forget()
        self._link.close()
        config.pluginmanager.unregister(self._relay)
        config.option.maxfail = 0
        self._identify(order.workerinput)
        forget_exit_handlers()
        silence(config)
        if order.basetemp is not None:
            set_basetemp(config, Path(order.basetemp))
            shared_basetemp(config)  # else every child would empty the folder first
        branch = Branch(session, Link(adopt_socket(stream)))
        config.pluginmanager.register(branch, "procpar-branch")
        config.hook.pytest_procpar_worker_forked(config=config, session=session)
        branch.serve()

    def _end_server(self) -> NoReturn:
        """Let go of what configure started, last of all. It is no session's end: no test ran here."""
        status = 0
        try:
            unconfigure(self._config)
            leave_coverage()
            run_exit_handlers()
        except BaseException:
            traceback.print_exc()
            status = 3
        end_process(status)

    # --- the worker's side of the fork ---

    def _start_worker(self, session: pytest.Session, worker: WorkerId) -> Worker:
        """Reset what must not be shared, and tell everybody who holds on to something else."""
        config = self._config
        os.setpgid(0, 0)
        default_signals()
        let_setsid_work()
        forget_exit_handlers()
        stacks = install_instruments(config, self._instruments)
        if self._basetemp is not None:
            set_basetemp(config, self._basetemp / f"popen-{worker_name(worker)}")
        held = (session, self._link, self._board, self._slot)
        limit = self._settings.max_tests_per_worker
        if self._alone or limit:
            self._worker = Stem(*held, self._relay, stacks, self._alone, limit)
        else:
            self._worker = Worker(*held)
        config.pluginmanager.register(self._worker, "procpar-worker")
        config.hook.pytest_procpar_worker_forked(config=config, session=session)
        return self._worker

    def _exit_status(self, session: pytest.Session) -> int:
        if session.testsfailed:
            return pytest.ExitCode.TESTS_FAILED
        return pytest.ExitCode.OK if session.testscollected else pytest.ExitCode.NO_TESTS_COLLECTED

    def _end_worker(self, session: pytest.Session, status: int) -> None:
        """Finish the session, once nobody runs tests any more, and end as a normal exit would."""
        assert self._me is not None
        disregard_interrupts()
        worker = self._worker or Worker(session, self._link, self._board, self._slot)
        worker.wait_for_finish()
        session.exitstatus = status
        output: dict[str, Any] = self._config.workeroutput  # type: ignore[attr-defined]
        output.update(exitstatus=int(status), shouldfail=session.shouldfail, shouldstop=session.shouldstop)
        change_directory(session.startpath)
        try:
            self._config.hook.pytest_sessionfinish(session=session, exitstatus=status)
        except pytest.exit.Exception as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        except Exception:
            self._config.notify_exception(pytest.ExceptionInfo.from_current(), self._config.option)
        worker.done(output)
        forget_fault_handler(self._config)
        unconfigure(self._config)
        save_coverage()
        run_exit_handlers()
