"""The pytest plugin: options, hooks and fixtures, and the moment at which a parallel run is started.

Imported by every pytest run wherever this package is installed, so it imports next to nothing.
"""

from __future__ import annotations

import copy
import importlib.util
import os
import sys
from collections.abc import Generator
from types import ModuleType
from typing import Any

import pytest

__all__: list[str] = []

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


def _add_options(parser: pytest.Parser) -> None:
    """The options that pytest-xdist defines too: added only where it does not."""
    from pytest_procpar.compat.internals import add_short_option
    from pytest_procpar.core.model import Dist
    from pytest_procpar.settings import parse_count, parse_numprocesses

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


def _add_own_options(parser: pytest.Parser) -> None:
    """The options and ini values that only we have."""
    from pytest_procpar.settings import START_METHODS, has_pytest_forked, parse_count, parse_seconds

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
    from pytest_procpar.core.order import parse_order
    from pytest_procpar.settings import RECHECKS, parse_count, parse_seconds

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


def _xdist_is_loaded(pluginmanager: pytest.PytestPluginManager) -> bool:
    """Whether pytest-xdist's own plugin is there, under whichever name it was loaded."""
    module = sys.modules.get("xdist.plugin")
    return module is not None and pluginmanager.is_registered(module)


def _register_shim(pluginmanager: pytest.PytestPluginManager) -> None:
    """Stand in for pytest-xdist: its hooks, its fixtures, and its name unless that is blocked."""
    from pytest_procpar.compat import xdist_hooks, xdist_shim

    pluginmanager.add_hookspecs(xdist_hooks)
    if pluginmanager.register(xdist_shim, "xdist") is None:
        pluginmanager.register(xdist_shim, "procpar-xdist-shim")
    # A conftest may ask for it by this name, and would have the options defined a second time.
    pluginmanager.register(ModuleType("xdist.plugin"), "xdist.plugin")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options, unless pytest-xdist is there to add them: that is known only when all are loaded."""
    _add_own_options(parser)
    if importlib.util.find_spec("xdist") is None:
        _add_options(parser)
        _register_shim(pluginmanager)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None]:
    """Add the options late if pytest-xdist is installed but not loaded (``-p no:xdist``, no autoload)."""
    if not hasattr(early_config.known_args_namespace, "numprocesses"):
        _add_options(parser)
        _register_shim(early_config.pluginmanager)
        early_config.known_args_namespace = parser.parse_known_args(
            args, namespace=copy.copy(early_config.option)
        )
    if _xdist_is_loaded(early_config.pluginmanager):
        from pytest_procpar.beside import EarlyCount

        early_config.pluginmanager.register(EarlyCount(), "procpar-early-count")
    known = early_config.known_args_namespace
    if (known.isolate or known.max_tests_per_worker) and not known.numprocesses:
        known.numprocesses = 1  # pytest-cov, for one, asks here whether there will be workers
    if not known.numprocesses and not known.tx:
        return (yield)
    from pytest_procpar.process.hazards import tripwire

    with tripwire(early_config):
        return (yield)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Define our hooks."""
    from pytest_procpar import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Start a parallel run if one is asked for; pytest then goes on, in the controller."""
    from pytest_procpar.settings import read_settings

    if config.option.procpar_report is not None:
        from pytest_procpar.report.jsonreport import check_path

        check_path(config.option.procpar_report)
    if config.option.procpar_replay is not None:
        from pytest_procpar.process.replay import install as install_replay
        from pytest_procpar.replayfile import read_replay

        install_replay(config, read_replay(config.option.procpar_replay))
    if hasattr(config, "workerinput"):  # a worker of pytest-xdist's
        return
    if _xdist_is_loaded(config.pluginmanager):
        from pytest_procpar.beside import left_to_xdist, needs_own_workers

        left, wanted = left_to_xdist(config), needs_own_workers(config)
        if left is not None and wanted is not None:
            raise pytest.UsageError(f"{wanted}: this run is left to pytest-xdist, which alone has {left}")
        if left is not None:
            return
    settings = read_settings(config)
    if settings is not None:
        from pytest_procpar.beside import check_name

        check_name(config)
        from pytest_procpar.session import start

        start(config, settings)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known, parallel run or not, and start what was asked for beside running tests."""
    from pytest_procpar.settings import has_pytest_forked

    if not _xdist_is_loaded(config.pluginmanager):
        config.addinivalue_line(
            "markers",
            "xdist_group(name): tests with the same name run in the same worker under --dist=loadgroup.",
        )
    config.addinivalue_line(
        "markers",
        "hang_timeout(seconds): how long a test may run with -n, whatever --hang-timeout says; 0: no limit.",
    )
    config.addinivalue_line(
        "markers", "isolated: the test, or each test of the class or module, runs in a process of its own."
    )
    if not has_pytest_forked():
        config.addinivalue_line("markers", "forked: the same as isolated.")
    in_worker = hasattr(config, "workerinput")
    if in_worker or config.pluginmanager.hasplugin("dsession"):
        from pytest_procpar.compat.carried import install as install_carriers

        install_carriers(config)
        from pytest_procpar.compat.adapters import introduce

        introduce(config)
    if config.option.procpar_report is not None and not in_worker:
        from pytest_procpar.report.jsonreport import install as install_report

        install_report(config, config.option.procpar_report)
    if config.option.leaks is not None:
        from pytest_procpar.report.leaks import LeakSummary

        if not in_worker:
            config.pluginmanager.register(LeakSummary(config), "procpar-leak-summary")
        if not in_worker and not config.pluginmanager.hasplugin("dsession"):
            from pytest_procpar.process.leaks import install as install_leaks

            install_leaks(config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Without workers: give marked tests a process of their own."""
    config = session.config
    is_plain = not hasattr(config, "workerinput") and not config.pluginmanager.hasplugin("dsession")
    debugs = getattr(config.option, "usepdb", False) or getattr(config.option, "trace", False)
    if is_plain and hasattr(os, "fork") and not debugs and not config.option.collectonly:
        from pytest_procpar.process.marks import marked_tests
        from pytest_procpar.settings import isolating_marks

        marked = frozenset(marked_tests(session.items, isolating_marks()))
        if marked:
            from pytest_procpar.marked import install as install_marked

            install_marked(session, marked)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say who runs the tests if that may be in doubt, and that a re-check was asked for and cannot be had."""
    from pytest_procpar.settings import wants_recheck

    lines = []
    if config.option.numprocesses == 0 and wants_recheck(config):
        lines.append("procpar: nothing is re-checked with -n 0")
    if _xdist_is_loaded(config.pluginmanager):
        from pytest_procpar.beside import headline

        ours = getattr(sys.modules.get("pytest_procpar.session"), "Controller", ())
        line = headline(config, is_ours=isinstance(config.pluginmanager.getplugin("dsession"), ours))
        lines += [line] if line is not None else []
    return lines


@pytest.hookimpl(tryfirst=True)
def pytest_procpar_worker_forked(config: pytest.Config) -> None:
    """Renew what plugins must not share, before others ask them; look for leaks, if that was asked for."""
    from pytest_procpar.compat.adapters import adapt

    adapt(config)
    if config.option.leaks is not None:
        from pytest_procpar.process.leaks import install

        install(config)


@pytest.hookimpl(trylast=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The processors this process may use: affinity and cgroup quota counted in."""
    from pytest_procpar.process.cpus import count_cpus

    def warn(message: str) -> None:
        config.issue_config_time_warning(pytest.PytestWarning(message), stacklevel=2)

    return count_cpus(logical=config.option.numprocesses == "logical", environ=os.environ, warn=warn)
