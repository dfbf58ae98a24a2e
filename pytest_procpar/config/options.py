"""The command-line options and ini values: which there are, and what their help says."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from pytest_procpar.compat.pytest_private.session import add_short_option
from pytest_procpar.config.choices import DISTRIBUTIONS, RECHECKS, START_METHODS, has_pytest_forked
from pytest_procpar.config.parsing import (
    parse_count,
    parse_history,
    parse_leaks,
    parse_numprocesses,
    parse_recheck_order,
    parse_seconds,
)

if TYPE_CHECKING:
    import argparse

__all__ = ["add_own_options", "add_shared_options", "explain_unknown"]

_DIST_HELP = (
    "How tests are dealt to the workers. "
    "load: in ever smaller batches of neighbours; "
    "worksteal: an even share each; "
    "loadscope: all tests of a class, or module functions of a module, in one worker; "
    "loadfile: all tests of a file in one worker; "
    "loadgroup: tests with the same xdist_group mark in one worker; "
    "stable: all tests of a file, or with the same xdist_group mark, in the worker that a hash of the name "
    "picks, the same in every run; "
    "each: every test in every worker; "
    "no: in this process. "
    "Under all but stable a worker without tests takes over what others have not begun. "
    "Default: load, once workers are asked for."
)


def add_shared_options(parser: pytest.Parser) -> None:
    """Add the options that pytest-xdist defines too; called only where it does not."""
    group = parser.getgroup("procpar", "parallel execution on forked workers (procpar)")
    add_short_option(
        group, "-n", "--numprocesses", dest="numprocesses", metavar="N", type=parse_numprocesses,
        help="How many workers run tests: a number, 'auto' for at most one for each processor this process "
        "may use, 'logical' for their hardware threads, 0 for none: tests run in this process.",
    )  # fmt: skip
    group.addoption("--dist", choices=list(DISTRIBUTIONS), default="no", metavar="MODE", help=_DIST_HELP)
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
    """Add the options and ini values that only we have."""
    group = parser.getgroup("procpar", "parallel execution on forked workers (procpar)")
    group.addoption(
        "--hang-timeout", dest="hang_timeout", metavar="SECONDS", type=parse_seconds, default=None,
        help="How long a test may run with -n: past it, the stacks of all its threads are dumped, its "
        "process is ended, and the test is reported as hung. 0 for no limit. Default: the ini option "
        "procpar_hang_timeout.",
    )  # fmt: skip
    group.addoption(
        "--leaks", dest="leaks", nargs="?", const="report", default=None, type=parse_leaks,
        metavar="report|fail",
        help="Report what a test has left changed after its teardown: processes, threads, descriptors, "
        "temporary files, environment variables, the working directory, signal handlers, sys.path. With "
        "--leaks=fail these are failures.",
    )  # fmt: skip
    group.addoption(
        "--failure-output", dest="failure_output", choices=("final", "immediate"), default="final",
        help="When failures and errors are shown. final: after the last test, before anything is re-checked "
        "(default); immediate: each as soon as the test has failed.",
    )  # fmt: skip
    group.addoption(
        "--procpar-report", dest="procpar_report", metavar="FILE", default=None,
        help="Write every test's outcome, worker, phases, attempts and flags to this JSON file.",
    )  # fmt: skip
    group.addoption(
        "--procpar-advise", dest="procpar_advise", action="store_true", default=False,
        help="After the run, say where its time went, how many workers are worth having, and what to change "
        "first, in seconds to gain.",
    )  # fmt: skip
    group.addoption(
        "--procpar-try", dest="procpar_try", action="store_true", default=False,
        help="Run the suite without workers, with them, and once more to find tests that depend on others; "
        "then say what would change. Writes nothing.",
    )  # fmt: skip
    group.addoption(
        "--procpar-try-report", dest="procpar_try_report", metavar="FILE", default=None,
        help="The same, and write what has come of it to this JSON file.",
    )  # fmt: skip
    group.addoption(
        "--procpar-history", dest="procpar_history_tool", metavar="record|show|merge|prune",
        type=parse_history, default=None,
        help="The history of durations, which runs with -n record. record: record this run, too, if it "
        "has no -n; show: print the slowest tests and the dearest fixtures; merge: add the histories in "
        "the files that follow; prune: forget tests that no longer run. All but record run no test.",
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
        "files that read a worker's identity or make names, of the names of plugins, threads, libraries and "
        "modules, or a kind: sockets, pipes, event-loops, databases, shared-memory, children, files, "
        "native-threads, names.",
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
        "procpar_limit_thread_pools",
        "Give each worker its share of the processors for the thread pools of BLAS and OpenMP, unless "
        "their size is set.",
        type="bool",
        default=True,
    )
    parser.addini(
        "procpar_compact_reports",
        "With -n, make the reports of passed tests that pytest only counts when code looks for them, instead "
        "of keeping three objects for each test.",
        type="bool",
        default=True,
    )
    parser.addini(
        "procpar_lean_tests",
        "With -n, skip work around each phase of a test that nobody needs: calls of hooks that only pytest's "
        "own plugins implement, and reports of phases that passed with nothing to tell.",
        type="bool",
        default=True,
    )
    parser.addini(
        "procpar_history",
        "Where the history of durations is kept: a file (.json) or a folder, relative to the rootdir; off "
        "for none. Default: in pytest's cache.",
        default="",
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
    """Add the options for what happens after the run to find out why tests have failed."""
    group = parser.getgroup("procpar", "parallel execution on forked workers (procpar)")
    group.addoption(
        "--recheck", choices=RECHECKS, default=None,
        help="What to run again in throw-away processes, to tell tests that depend on others from those that "
        "just fail. failed: what failed, crashed or hung (the default with -n); known: only what earlier "
        "runs have found, to see what still holds; all: every test, alone and twice in a row, and all in the "
        "order of the collection, too; deep: also in the reverse order, and in one after another that bring "
        "each test after each other one, as far as there is time; none: nothing. Default: the ini option "
        "procpar_recheck.",
    )  # fmt: skip
    group.addoption(
        "--recheck-order", metavar="ORDER", type=parse_recheck_order, default=None,
        help="Run the suite once more in one process in this order, and look into what ends otherwise: "
        "reverse, random or random:SEED.",
    )  # fmt: skip
    group.addoption(
        "--recheck-budget", metavar="SECONDS", type=parse_seconds, default=None,
        help="How long the re-check may take. Default: little for what just fails; if there is something to "
        "search, as long as the run took, but at least 10 seconds.",
    )  # fmt: skip
    group.addoption(
        "--recheck-tests", metavar="N", type=parse_count(1), default=20,
        help="How many roots of failed tests are re-checked at most (default: 20).",
    )  # fmt: skip
    group.addoption(
        "--recheck-explain", action="store_true", default=False,
        help="Find out which state a polluter has changed, and which change makes the other test fail.",
    )  # fmt: skip
    group.addoption(
        "--recheck-suggest", metavar="FILE", default=None,
        help="Write a patch to FILE: fixtures that put back what polluters change, or marks, tried and "
        "found to help. Implies --recheck-explain.",
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
        "procpar_recheck",
        "What --recheck says when it is not given: failed (the default), known, all, deep or none.",
        default="failed",
    )


def _add_replay(group: pytest.OptionGroup) -> None:
    about: dict[str, object] = {
        "dest": "procpar_replay", "metavar": "FILE", "default": None,
        "help": "Run exactly the tests that ran in the run which wrote this report, in the same order and "
        "the same company: each worker's, or those of a plain run. FILE may also be a small list of nodeids.",
    }  # fmt: skip
    if importlib.util.find_spec("pytest_replay") is None:
        group.addoption("--replay", "--procpar-replay", **about)
    else:  # pytest-replay has a --replay of its own, and pytest exits if an option is defined twice
        group.addoption("--procpar-replay", **about)


#: Options that are common in parallel runs, by the beginnings of their names, and the packages that define
#: them.
_OF_OTHERS = {
    "--reruns": "pytest-rerunfailures",
    "--only-rerun": "pytest-rerunfailures",
    "--retries": "pytest-retry",
    "--timeout": "pytest-timeout",
    "--shard-id": "pytest-shard",
    "--num-shards": "pytest-shard",
    "--splits": "pytest-split",
    "--group": "pytest-split",
    "--cov": "pytest-cov",
    "--benchmark-": "pytest-benchmark",
    "--html": "pytest-html",
    "--json-report": "pytest-json-report",
    "--report-log": "pytest-reportlog",
    "--alluredir": "allure-pytest",
    "--random-order": "pytest-random-order",
    "--rsyncdir": "pytest-xdist",
    "--px": "pytest-xdist",
    "--looponfail": "pytest-xdist",
}
#: Options of runners of other languages, or of plugins that are not needed, and what to use instead.
_OF_NOBODY = {
    "--shard": "no option of pytest or a plugin of this run: pytest-shard has --num-shards and --shard-id, "
    "pytest-split has --splits and --group",
    "--instafail": "an option of pytest-instafail, which is not installed, or not loaded: "
    "--failure-output=immediate does the same",
}
_PREFIXES = (*_OF_OTHERS, *_OF_NOBODY)


def explain_unknown(parser: pytest.Parser, args: list[str], namespace: argparse.Namespace) -> None:
    """Make pytest's error about unknown options say which package has them.

    pytest lists the parser's extra information below the error. Call this once all plugins and initial
    conftests are loaded.
    """
    if not any(arg.startswith(_PREFIXES) for arg in args):
        return
    for arg in parser.parse_known_and_unknown_args(args, namespace)[1]:
        flag = arg.partition("=")[0]
        package = next((name for start, name in _OF_OTHERS.items() if flag.startswith(start)), None)
        if package is not None:
            told = (
                "an option of {}, which is not installed, or not loaded: install it, or leave the option out"
            )
            parser.extra_info[flag] = told.format(package)
        elif flag in _OF_NOBODY:
            parser.extra_info[flag] = _OF_NOBODY[flag]
