"""The command-line options and ini values: which there are, and what they say of themselves."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from pytest_procpar.compat.internals import add_short_option
from pytest_procpar.core.model import Dist
from pytest_procpar.core.order import parse_order
from pytest_procpar.settings import RECHECKS, START_METHODS, has_pytest_forked
from pytest_procpar.values import parse_count, parse_numprocesses, parse_seconds

__all__ = ["add_own_options", "add_shared_options"]

_DIST_HELP = (
    "How tests are dealt to the workers. "
    "load: in ever smaller batches of neighbours; "
    "worksteal: an even share each; "
    "loadscope: all tests of a class, or module functions of a module, in one worker; "
    "loadfile: all tests of a file in one worker; "
    "loadgroup: tests with the same xdist_group mark in one worker; "
    "each: every test in every worker; "
    "no: in this process. "
    "Under all of them a worker without tests takes over what others have not begun. "
    "Default: load, once workers are asked for."
)


def add_shared_options(parser: pytest.Parser) -> None:
    """The options that pytest-xdist defines too: added only where it does not."""
    group = parser.getgroup("procpar", "parallel execution on forked workers (procpar)")
    add_short_option(
        group, "-n", "--numprocesses", dest="numprocesses", metavar="N", type=parse_numprocesses,
        help="How many workers run tests: a number, 'auto' for the processors this process may use, "
        "'logical' for their hardware threads, 0 for none: tests run in this process.",
    )  # fmt: skip
    group.addoption("--dist", choices=[d.value for d in Dist], default="no", metavar="MODE", help=_DIST_HELP)
    add_short_option(
        group, "-d", dest="distload", action="store_true", default=False, help="Same as --dist=load."
    )
    group.addoption(
        "--maxprocesses", metavar="N", type=parse_count(1), default=None, help="No more workers than this."
    )
    group.addoption(
        "--max-worker-restart", dest="maxworkerrestart", metavar="N", type=parse_count(0), default=None,
        help="How many crashed workers are replaced at most; the tests that then cannot run are reported "
        "as not run. Default: all of them.",
    )  # fmt: skip
    group.addoption(
        "--maxschedchunk", metavar="N", type=parse_count(1), default=None,
        help="No more than N tests are dealt to a worker at once under --dist=load.",
    )  # fmt: skip
    group.addoption(
        "--loadscope-reorder", dest="loadscopereorder", action="store_true", default=True,
        help="Deal the largest groups first under --dist=loadscope, loadfile and loadgroup (default).",
    )  # fmt: skip
    group.addoption(
        "--no-loadscope-reorder", dest="loadscopereorder", action="store_false",
        help="Deal groups in the order in which they were collected.",
    )  # fmt: skip
    group.addoption(
        "--tx", action="append", default=[], metavar="SPEC",
        help="Another spelling of -n: 'popen' for one worker, '4*popen' for four.",
    )  # fmt: skip
    group.addoption(
        "--testrunuid", default=None, metavar="ID",
        help="The id of the run that the testrun_uid fixture gives. Default: a random one.",
    )  # fmt: skip


def add_own_options(parser: pytest.Parser) -> None:
    """The options and ini values that only we have."""
    group = parser.getgroup("procpar", "parallel execution on forked workers (procpar)")
    group.addoption(
        "--hang-timeout", dest="hang_timeout", metavar="SECONDS", type=parse_seconds, default=None,
        help="How long a test may run with -n: past it, the stacks of all its threads are dumped, its "
        "process is ended, and the test is reported as hung. 0 for no limit. Default: the ini option "
        "procpar_hang_timeout.",
    )  # fmt: skip
    group.addoption(
        "--leaks", dest="leaks", nargs="?", const="report", default=None, choices=["report", "fail"],
        help="Report what a test has left changed after its teardown: processes, threads, descriptors, "
        "temporary files, environment variables, the working directory, signal handlers, sys.path. With "
        "--leaks=fail these are failures.",
    )  # fmt: skip
    group.addoption(
        "--procpar-report", dest="procpar_report", metavar="FILE", default=None,
        help="Write every test's outcome, worker, phases, attempts and flags to this JSON file.",
    )  # fmt: skip
    _add_recheck_options(parser)
    _add_replay(group)
    isolate_help = (
        "Run every test in a process of its own, forked from the collected suite, one at a time without -n."
    )
    group.addoption("--isolate", dest="isolate", action="store_true", default=False, help=isolate_help)
    if not has_pytest_forked():
        group.addoption("--forked", dest="isolate", action="store_true", help="Same as --isolate.")
    group.addoption(
        "--max-tests-per-worker", dest="max_tests_per_worker", metavar="K", type=parse_count(1), default=None,
        help="Renew each worker's process, from the collected suite, after K tests.",
    )  # fmt: skip
    group.addoption(
        "--start-method", dest="start_method", choices=START_METHODS, default=None,
        help="How workers are started. fork: from one process that has collected the suite; fork-early: from "
        "one that has configured nothing, each collects for itself; spawn: fresh interpreters; auto: the "
        "first of these that is safe. Default: the ini option procpar_start_method.",
    )  # fmt: skip
    parser.addini(
        "procpar_start_method", "What --start-method says when it is not given (auto).", default="auto"
    )
    parser.addini(
        "procpar_fork_safe",
        "What --start-method=auto is to think safe though it looks otherwise, a line each: patterns of the "
        "files that read a worker's identity, of the names of plugins and threads, or the word sockets.",
        type="linelist",
        default=[],
    )
    parser.addini(
        "procpar_freeze_heap",
        "Exempt what exists before the workers are forked from garbage collection in them. Saves most of "
        "a large suite's collection time; turn it off for tests that look for objects made at import.",
        type="bool",
        default=True,
    )
    parser.addini(
        "procpar_hang_timeout", "How many seconds a test may run with -n; 0 for no limit (the default).",
        default="0",
    )  # fmt: skip
    parser.addini(
        "procpar_quiet_seconds",
        "With -n, say which tests are running when none has ended for this many seconds; 0 for never.",
        default="60",
    )


def _add_recheck_options(parser: pytest.Parser) -> None:
    """The options of what happens after the run to find out why tests have failed."""
    group = parser.getgroup("procpar", "parallel execution on forked workers (procpar)")
    group.addoption(
        "--recheck", choices=RECHECKS, default=None,
        help="What to run again in throw-away processes, to tell tests that depend on others from those that "
        "just fail. failed: what failed, crashed or hung (the default with -n); all: every test, alone and "
        "twice in a row, too; none: nothing. Default: the ini option procpar_recheck.",
    )  # fmt: skip
    group.addoption(
        "--recheck-order", metavar="ORDER", type=parse_order, default=None,
        help="Run the suite once more in one process in this order, and look into what ends otherwise: "
        "reverse, random or random:SEED.",
    )  # fmt: skip
    group.addoption(
        "--recheck-budget", metavar="SECONDS", type=parse_seconds, default=None,
        help="How long the re-check may take. Default: as long as the run took, but at least 10 seconds.",
    )  # fmt: skip
    group.addoption(
        "--recheck-tests", metavar="N", type=parse_count(1), default=20,
        help="How many failed tests are re-checked at most (default: 20).",
    )  # fmt: skip
    group.addoption(
        "--recheck-explain", action="store_true", default=False,
        help="Find out which state a polluter has changed, and which change makes the other test fail.",
    )  # fmt: skip
    group.addoption(
        "--recheck-cleaners", action="store_true", default=False,
        help="Find the tests that undo what a polluter has done.",
    )  # fmt: skip
    group.addoption(
        "--recheck-strict", action="store_true", default=False,
        help="Let the run fail if the re-check finds a test that depends on others or is flaky.",
    )  # fmt: skip
    parser.addini(
        "procpar_recheck", "What --recheck says when it is not given: failed (the default), all or none.",
        default="failed",
    )  # fmt: skip


def _add_replay(group: pytest.OptionGroup) -> None:
    about: dict[str, Any] = {
        "dest": "procpar_replay", "metavar": "FILE", "default": None,
        "help": "Run exactly the tests that ran in the run which wrote this report, in the same order and "
        "the same company: each worker's, or those of a plain run. FILE may also be a small list of nodeids.",
    }  # fmt: skip
    if importlib.util.find_spec("pytest_replay") is None:
        group.addoption("--replay", "--procpar-replay", **about)
    else:  # it has a --replay of its own, and pytest ends when an option is defined twice
        group.addoption("--procpar-replay", **about)
