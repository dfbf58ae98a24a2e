"""The fork server: the process that workers are forked from.

It is forked from the controller before anything is configured, and waits until the controller's own start has
produced what workers need. Then it goes through a session of its own up to the test loop and forks workers
that have the collected suite; or (``fork-early``) it stays as it is, and its children do all that themselves.
"""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable
from typing import NoReturn

import pytest

from pytest_procpar.compat.pytest_private.session import unconfigure
from pytest_procpar.core.evidence.installed import is_installed
from pytest_procpar.core.model import WorkerOptions
from pytest_procpar.core.protocol.server import Setup, ToServer
from pytest_procpar.coverage_data.measuring import leave_coverage
from pytest_procpar.forking.children import Children
from pytest_procpar.forking.fork import (
    default_signals,
    flush_stdio,
    forget_exit_handlers,
    fork,
    run_exit_handlers,
)
from pytest_procpar.ipc.board import Board
from pytest_procpar.ipc.link import Link
from pytest_procpar.role import Role, take_role
from pytest_procpar.server.loop import Server, StartOrder, await_setup
from pytest_procpar.server.session import Assignment, WorkerSession
from pytest_procpar.start_method.hazards import Hazards
from pytest_procpar.start_method.thread_warning import tell_of_threads, thread_warning
from pytest_procpar.system.calls import end_process
from pytest_procpar.system.descendants import descendants, is_childless, set_subreaper, wake_with_parent
from pytest_procpar.system.headroom import SECOND_TO_LAST, be_expendable
from pytest_procpar.worker.orphan import ending_with

__all__ = ["be_process", "serve_collected", "serve_early"]


def be_process(body: Callable[[], None]) -> NoReturn:
    """Run `body` in this process, and exit."""
    status = 0
    try:
        body()
    except KeyboardInterrupt:  # it came between the places that handle it; its sender knows
        status = int(pytest.ExitCode.INTERRUPTED)
    except BaseException:
        traceback.print_exc()
        status = 3
    finally:
        flush_stdio()
        end_process(status)


def _begin(config: pytest.Config, link: Link) -> tuple[Setup, list[ToServer]] | None:
    take_role(config, Role.FORK_SERVER)
    os.setpgid(0, 0)
    default_signals()
    be_expendable(SECOND_TO_LAST)
    forget_exit_handlers(configures=True)
    set_subreaper(True)  # a test's orphaned daemons become children of this process
    wake_with_parent()  # even while suspended, it has to notice that the controller is gone
    return await_setup(link)


def serve_early(config: pytest.Config, options: WorkerOptions, link: Link, board: Board) -> None:
    """Serve in the controller's state at the fork: workers configure and collect for themselves."""
    begun = _begin(config, link)
    if begun is None:
        return
    setup, told = begun
    has_started = not is_childless()
    assignment = Server(link, lambda order, fds: fork(has_started=has_started), told=told).serve()
    if assignment is not None:
        default_signals()
        WorkerSession(config, options, board, assignment=assignment).run(setup)


def serve_collected(
    config: pytest.Config,
    options: WorkerOptions,
    link: Link,
    board: Board,
    hazards: Hazards | None,
    controller: int,
) -> None:
    """Configure and collect once, and fork workers from there, for the controller with this pid.

    :param hazards: collects what may show that forking from the collected suite is unsafe; None: nothing
        does.
    """
    begun = _begin(config, link)
    if begun is None:
        return
    setup, told = begun
    server: Server | None = None

    is_told = has_started = False

    def start(order: StartOrder, fds: list[int]) -> int | None:
        nonlocal is_told
        if not worker_session.has_collected:
            return None
        if not is_told:
            warning = thread_warning(options.fork_safe, worker_session.known_threads)
            is_told = tell_of_threads(config, warning, when="collect")
        return fork(has_started=has_started)

    def await_assignment() -> Assignment | None:
        nonlocal server, has_started
        if server is None:
            has_started = not is_childless()
            older = descendants(os.getpid()) if has_started else ()
            server = Server(link, start, older, told)
        return server.serve()

    def end() -> NoReturn:
        # Do this first: plugins and exit handlers run next, and may take as long as they like.
        ending_with(controller, dismissed=server is not None and server.dismissed)
        be_process(lambda: _let_go(config))

    worker_session = WorkerSession(
        config, options, board, link, await_assignment=await_assignment, end_server=end, hazards=hazards
    )
    worker_session.run(setup)


def _let_go(config: pytest.Config) -> None:
    """Unconfigure, as the last step. The session is not finished: no test ran here."""
    with warnings.catch_warnings():
        # Workers issue the same warnings, and the collection's filters, still in force, may make these
        # errors.
        warnings.simplefilter("ignore")
        unconfigure(config)
    leave_coverage()
    run_exit_handlers()
    if not is_childless() and _would_finish(config):
        _end_programs()


def _would_finish(config: pytest.Config) -> bool:
    """Whether the suite ends in `pytest_sessionfinish` what it has started.

    A conftest or a plugin of its own has that hook, or an installed plugin has it and `pytest_sessionstart`.
    """
    starters = [impl.plugin for impl in config.hook.pytest_sessionstart.get_hookimpls()]
    for impl in config.hook.pytest_sessionfinish.get_hookimpls():
        package = str(getattr(impl.function, "__module__", "")).partition(".")[0]
        file = getattr(getattr(impl.function, "__code__", None), "co_filename", None)
        if package in ("_pytest", "pytest_procpar"):
            continue
        if impl.plugin in starters or (isinstance(file, str) and not is_installed(file)):
            return True
    return False


def _end_programs() -> None:
    """End the programs that plugins and conftests have started here, and have not ended by now.

    What `pytest_sessionstart` starts, `pytest_sessionfinish` ends. That hook is not called here: plugins
    write their reports in it, and would write the first worker's again, without any test. A program in a
    session of its own was started to outlive the run.
    """
    session = os.getsid(0)
    detached = [program.pid for program in descendants(os.getpid()).values() if program.session != session]
    Children().end_leftovers(detached)
