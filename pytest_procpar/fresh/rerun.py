"""A fresh pytest process that runs tests again as an inert worker, and reports how they ended to its starter.

It is started with the command that is about to be printed, and with an order in its environment. Plugins see
a worker, from before they are configured. Options that write reports are dropped; files that change all the
same are copied first (see `system.kept_files`). The process knows neither why these tests run nor what should
come out.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_procpar.compat.foreign_options import parse_again, set_basetemp_option, write_no_log_file
from pytest_procpar.compat.pytest_private.command_line import inert_arguments, known_options
from pytest_procpar.compat.pytest_private.output import redirect_stdio
from pytest_procpar.compat.pytest_private.session import set_arguments, set_basetemp, set_ini
from pytest_procpar.compat.pytest_reports.listeners import silence_plugins
from pytest_procpar.compat.pytest_reports.unseen import leave_out_tracebacks
from pytest_procpar.compat.xdist.options import tell_worker
from pytest_procpar.config.settings import shared_cpus
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.model import Dist, ReportData, StartMethod, WorkerInput
from pytest_procpar.core.protocol.wire import Decoder, Encoder, loads
from pytest_procpar.core.record import fields, record
from pytest_procpar.replay.file import pinned_keys
from pytest_procpar.role import Role, take_role
from pytest_procpar.system.calls import getpid, out_of_reach
from pytest_procpar.system.file_uses import note_uses
from pytest_procpar.system.genuine import write
from pytest_procpar.system.kept_files import keep_files
from pytest_procpar.worker.identity import identify, worker_environment, workers_of
from pytest_procpar.worker.marks import ISOLATES
from pytest_procpar.worker.thread_pools import limit_thread_pools

if TYPE_CHECKING:
    from pytest_procpar.start_method.suspect_objects import Inherited

__all__ = ["ORDER", "RerunSetup", "become_inert", "environment", "framed"]

#: The environment variable that names the file with an order.
ORDER = "PROCPAR_RERUN"

#: How long a description of what went wrong may be, in characters.
_TROUBLE = 300

# Tests replace the originals.
_write, _dumps = write, json.dumps


@record
class RerunSetup:
    """What a fresh process has to know.

    ``kept`` is the folder for copies of the project's files; ``basetemp`` and ``cache`` replace those of the
    run (``basetemp`` is empty for the usual folder). The process writes lines to the file ``report``, see
    `Rerun`. If it begins together with others, it waits until ``gate``, a fifo, can be opened; otherwise
    ``gate`` is empty.

    If ``forked`` is not empty, it is a start method, and the tests run in processes that are forked as its
    workers are: one for each of ``siblings``, which are the ``workerinput`` of the others, and one more, the
    only one that reports. Each runs its sequence of the replay. Under ``spawn`` the process knows its
    identity from the start and forks once it has collected, as workers do for tests with processes of their
    own.

    ``reports`` says whether to write what pytest reports, too. ``added`` is source to run in the modules of
    test files, as if it stood there: path and source of each. ``isolates`` says whether tests with the mark
    for a process of their own get one here, too; ``grouped`` says to run the tests only if all are one group
    (``--dist=loadgroup``). ``words`` replace the arguments that it was started with; empty: they stay.
    """

    workerinput: WorkerInput
    report: str
    kept: str
    basetemp: str
    cache: str
    gate: str
    forked: str = ""
    siblings: tuple[WorkerInput, ...] = ()
    freeze_heap: bool = False
    reports: bool = False
    added: tuple[tuple[str, str], ...] = ()
    isolates: bool = False
    grouped: bool = False
    words: tuple[str, ...] = ()


def framed(order: RerunSetup) -> bytes:
    """An order as it stands in its file."""
    return Encoder().frame(tuple(getattr(order, name) for name in fields(RerunSetup)))


def environment(order: RerunSetup, path: Path) -> dict[str, str]:
    """The environment variables to add for a fresh process whose order is, or will be, in `path`."""
    # Whatever inline-snapshot changed in a test's source would be put back, but a worker of the run changes
    # nothing.
    others = {"INLINE_SNAPSHOT_DEFAULT_FLAGS": "disable", ORDER: str(path)}
    if order.forked not in (
        "",
        StartMethod.SPAWN.value,
    ):  # the initial conftests of a forked worker are imported before it has an identity
        return others
    return {**worker_environment(order.workerinput), **others}


def become_inert(early_config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    """Take the order out of the environment and obey it; call this before conftests are loaded.

    If the order is a fifo, this waits for somebody to write to it.

    :param args: what pytest will parse; changed in place.
    """
    (body,) = Decoder().feed(Path(os.environ.pop(ORDER)).read_bytes())
    order = RerunSetup(*cast("tuple[Any, ...]", loads(body)))
    roots = {early_config.rootpath, early_config.invocation_params.dir}
    spared = [path for path in (order.basetemp, order.cache, order.report) if path]
    keep_files(order.kept, list(roots), spared)
    note_uses(order.kept, spared)
    take_role(early_config, Role.FRESH_PROBE)
    early_config.workerinput = dict(order.workerinput)  # type: ignore[attr-defined]
    early_config.workeroutput = {}  # type: ignore[attr-defined]
    if order.words:
        set_arguments(early_config, args, order.words)
    args[:] = inert_arguments(args, known_options(parser))
    parse_again(early_config, parser, args)
    early_config.pluginmanager.register(Rerun(order), "procpar-rerun")
    silence_plugins(early_config)


class Rerun:
    """The plugin of such a process.

    It writes JSON lists, one a line: "began" with a nodeid, "ended" with a nodeid and an `Outcome`, "trouble"
    with the reason why tests could not run, "ready" before it waits for others, and "told" as the last one.
    If reports are wanted, "reported" comes before "ended", with a nodeid and the reports in an encoded frame.
    After a fork, "likely" has a nodeid and the inherited object that the test touches.
    """

    def __init__(self, order: RerunSetup) -> None:
        self._order = order
        self._config: pytest.Config
        self._pid = getpid()
        self._report = out_of_reach(os.open(order.report, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        self._words: set[Outcome] = set()
        self._data: list[ReportData] = []
        if order.reports:  # imported now, since tests may replace what an import needs
            from pytest_procpar.compat.pytest_reports.reports import report_to_data

            self._to_data = report_to_data
        #: The number of this process among the forked ones; None if it was not forked.
        self._number: int | None = None
        self._inherited: Inherited | None = None

    def _tell(self, *line: str) -> None:
        if getpid() == self._pid and not self._number:  # neither a test's own child nor a sibling
            _write(self._report, f"{_dumps(line)}\n".encode())

    # --- being forked ---

    def _fork(self, config: pytest.Config, *, configures: bool) -> None:
        """Go on in processes that are forked from this one, as workers are; this one only waits for them."""
        from pytest_procpar.fresh.forked import go_on_forked
        from pytest_procpar.start_method.suspect_objects import Inherited

        parent = getpid()
        self._number = number = go_on_forked(1 + len(self._order.siblings), configures=configures)
        self._pid = getpid()
        if not number:
            with suppress(Exception):  # a hint is not worth trouble with objects of the suite
                self._inherited = Inherited(parent)
        if number:
            self._be_sibling(config, self._order.siblings[number - 1], configures=configures)

    def _be_sibling(self, config: pytest.Config, workerinput: WorkerInput, *, configures: bool) -> None:
        identify(config, workerinput)
        if self._order.basetemp:
            path = Path(self._order.basetemp).with_name(f"popen-{workerinput['workerid']}")
            set_basetemp_option(config, str(path))
            if not configures:
                set_basetemp(config, path)

    def _keep_own(self, session: pytest.Session) -> None:
        """Leave the tests of the other processes to these."""
        keys = pinned_keys(session.config)
        if self._number is not None and keys is not None:
            items = [item for item, key in zip(session.items, keys, strict=True) if key == str(self._number)]
            session.items[:] = items

    # --- being a worker ---

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> None:
        """Set the options of a worker, and use none of the run's files."""
        os.environ.update(worker_environment(self._order.workerinput))
        tell_worker(config, loadgroup=False)
        write_no_log_file(config)
        if self._order.basetemp:
            set_basetemp_option(config, self._order.basetemp)
        set_ini(config, "cache_dir", self._order.cache)
        if self._order.forked == StartMethod.FORK_EARLY.value:
            self._fork(config, configures=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Silence plugins that have been registered in the meantime."""
        silence_plugins(session.config)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Run the tests; if there are other processes, begin together with them."""
        self._config = config = session.config
        null = os.open(os.devnull, os.O_RDWR)
        redirect_stdio(config, null, (1, 2), out_of_reach)
        os.close(null)
        silence_plugins(config)
        if not self._order.reports:
            leave_out_tracebacks(config)
        if self._order.forked in (StartMethod.FORK.value, StartMethod.SPAWN.value):
            from pytest_procpar.forking.heap import Heap

            Heap(freeze=self._order.freeze_heap).settle()
            self._fork(config, configures=False)
        self._keep_own(session)
        workers = workers_of(self._order.workerinput)
        limit_thread_pools(workers, shared_cpus(config, workers))
        config.stash[ISOLATES] = self._order.isolates
        if self._order.grouped and _is_divided(session.items):
            self._tell("trouble", "--dist=loadgroup would not keep these together")
            session.items.clear()
        config.hook.pytest_procpar_worker_forked(config=config, session=session)
        if self._order.gate:
            self._tell("ready")
            os.close(os.open(self._order.gate, os.O_RDONLY))
        try:
            result = yield
        except (session.Failed, session.Interrupted):
            self._tell("told")
            raise
        except BaseException as error:
            self._tell("trouble", f"{type(error).__name__}: {error}"[:_TROUBLE])
            raise
        self._tell("told")
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_pycollect_makemodule(self, module_path: Path) -> Generator[None, pytest.Module, pytest.Module]:
        """Add to a test file the source that is only for this process, before pytest looks for fixtures."""
        module = yield
        for source in (source for path, source in self._order.added if path == str(module_path)):
            with suppress(Exception, pytest.skip.Exception):  # pytest's own import raises it as well
                exec(compile(source, str(module_path), "exec"), vars(module.obj))
        return module

    # --- reports ---

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Report that a test has begun, and how it ended."""
        self._words, self._data = set(), []
        self._tell("began", item.nodeid)
        if self._inherited is not None:
            self._tell_likely(item, self._inherited.of_test)
        result = yield
        word = next(
            (word for word in (Outcome.FAILED, Outcome.SKIPPED) if word in self._words), Outcome.PASSED
        )
        if self._order.reports:
            self._tell("reported", item.nodeid, base64.b64encode(Encoder().frame(self._data)).decode())
        self._tell("ended", item.nodeid, word.value)
        return result

    def _tell_likely(self, item: pytest.Item, find: Callable[[pytest.Item], str]) -> None:
        with suppress(Exception):
            what = find(item)
            if what:
                self._tell("likely", item.nodeid, what)

    @pytest.hookimpl(tryfirst=True)
    def pytest_exception_interact(self, node: pytest.Item, call: pytest.CallInfo[object]) -> None:
        """Report which inherited object a failure's traceback has met."""
        inherited, excinfo = self._inherited, call.excinfo
        if inherited is not None and excinfo is not None and isinstance(node, pytest.Item):
            self._tell_likely(node, lambda item: inherited.of_traceback(excinfo.tb, item))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a phase of the running test ended."""
        if self._order.reports:
            self._data.append(self._to_data(self._config, report))
        if report.failed:
            self._words.add(Outcome.FAILED)
        elif report.skipped and not hasattr(report, "wasxfail"):
            self._words.add(Outcome.SKIPPED)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Report a collector that failed."""
        if report.failed:
            lines = str(report.longrepr).strip().splitlines() or [""]
            error = next((line for line in lines if line.startswith("E ")), lines[-1])
            self._tell("trouble", f"{report.nodeid} cannot be collected: {error.lstrip('E ')}"[:_TROUBLE])

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Report an internal error of pytest or a plugin."""
        self._tell("trouble", f"internal error: {excinfo.exconly(tryshort=True)}"[:_TROUBLE])


def _is_divided(items: list[pytest.Item]) -> bool:
    """Whether ``--dist=loadgroup`` would let different workers run these tests."""
    from pytest_procpar.worker.grouping import grouping_keys

    return len(set(grouping_keys(items, Dist.LOADGROUP) or ())) > 1
