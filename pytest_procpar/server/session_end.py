"""The end of a worker's session: what is reported, saved and torn down after the last test, in this order."""

from __future__ import annotations

import sys

import pytest

from pytest_procpar.compat.foreign_options import tell_internal_error
from pytest_procpar.compat.pytest_private.output import forget_fault_handler
from pytest_procpar.compat.pytest_private.session import unconfigure
from pytest_procpar.compat.pytest_private.streams import mend_capture
from pytest_procpar.coverage_data.measuring import save_coverage
from pytest_procpar.forking import inherited_processes
from pytest_procpar.forking.fork import disregard_interrupts, run_exit_handlers
from pytest_procpar.ipc.inbox import WorkerLink
from pytest_procpar.system.calls import change_directory
from pytest_procpar.worker.runner import ItemRunner

__all__ = ["end_worker", "exit_status"]


def exit_status(session: pytest.Session) -> int:
    """How a session ends whose test loop was not broken off."""
    fine = pytest.ExitCode.OK if session.testscollected else pytest.ExitCode.NO_TESTS_COLLECTED
    return pytest.ExitCode.TESTS_FAILED if session.testsfailed else fine


def end_worker(
    session: pytest.Session, status: int, worker: ItemRunner, link: WorkerLink, *, has_begun: bool
) -> None:
    """Finish the session when no more tests run, and end as a normal exit would.

    :param has_begun: whether the session has started, so that it must be finished.
    """
    config = session.config
    disregard_interrupts()
    inherited_processes.give_up()
    worker.wait_for_finish()
    mend_capture(config)
    session.exitstatus = status
    output: dict[str, object] = config.workeroutput  # type: ignore[attr-defined]
    output.update(exitstatus=int(status), shouldfail=session.shouldfail, shouldstop=session.shouldstop)
    change_directory(session.startpath)
    try:
        if has_begun:
            config.hook.pytest_sessionfinish(session=session, exitstatus=status)
    except pytest.exit.Exception as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
    except Exception:
        tell_internal_error(config)
    if has_begun:  # otherwise plugins have put nothing there, which their other half would miss
        worker.done(output)
    link.flush()
    forget_fault_handler(config)
    unconfigure(config)
    save_coverage()
    run_exit_handlers()
