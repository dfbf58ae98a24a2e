"""What we need of pytest that it does not offer in public, each in a function that says why.

Written against pytest 8.2 to 9.2. No other module of ours imports `_pytest`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn, TextIO

import pytest
from _pytest.capture import CaptureManager, FDCapture, FDCaptureBinary
from _pytest.config.argparsing import OptionGroup

__all__ = [
    "add_short_option", "alive_nodes", "configure", "late_teardown", "mute_reporter", "own_capture",
    "raise_interrupt", "redirect_stdio", "session_from_config", "set_basetemp", "shared_basetemp",
    "unconfigure", "watch_teardown",
]  # fmt: skip


# --- starting and ending a session ----------------------------------------------------------------


def add_short_option(group: OptionGroup, *names: str, **attributes: Any) -> None:
    """Add an option with a lowercase short name, which `addoption` reserves for pytest."""
    group._addoption(*names, **attributes)


def session_from_config(config: pytest.Config) -> pytest.Session:
    """A new session; pytest's own `wrap_session` would finish it in the fork server."""
    session: pytest.Session = pytest.Session.from_config(config)
    session.exitstatus = pytest.ExitCode.OK
    return session


def configure(config: pytest.Config) -> None:
    """Call `pytest_configure` of every plugin."""
    config._do_configure()


def unconfigure(config: pytest.Config) -> None:
    """Call `pytest_unconfigure` of every plugin, and the config's cleanups, once."""
    config._ensure_unconfigure()


def raise_interrupt(place: tuple[str, int] | None) -> NoReturn:
    """Raise a KeyboardInterrupt that seems to come from `place`, a file and a line from 1.

    pytest prints where an interrupt came from; that was in another process, in a test.
    """
    if place is not None:
        filename, line = place
        exec(compile("\n" * (line - 1) + "raise KeyboardInterrupt", filename, "exec"))
    raise KeyboardInterrupt


# --- output ---------------------------------------------------------------------------------------


def _fd_captures(config: pytest.Config) -> Iterable[FDCapture | FDCaptureBinary]:
    manager = config.pluginmanager.getplugin("capturemanager")
    if not isinstance(manager, CaptureManager) or manager._global_capturing is None:
        return
    capturing = manager._global_capturing
    for capture in (capturing.in_, capturing.out, capturing.err):
        if isinstance(capture, (FDCapture, FDCaptureBinary)):
            yield capture


def redirect_stdio(config: pytest.Config, source: int, targets: Iterable[int]) -> None:
    """Let the standard descriptors in `targets` be copies of `source`, while captured and after.

    What pytest's capture goes back to when suspended is a saved copy, so that is replaced too.
    """
    wanted = set(targets)
    captured = {c.targetfd: c for c in _fd_captures(config)}
    for target in wanted:
        capture = captured.get(target)
        if capture is None or capture._state != "started":
            os.dup2(source, target)
        if capture is not None:
            os.dup2(source, capture.targetfd_save, inheritable=False)


def own_capture(config: pytest.Config) -> None:
    """Give this process capture files of its own.

    A capture file is one open file description: after a fork all processes would write to it, and each
    would read half of the others' output. The new file takes the old one's descriptor number, so every
    reference to it stays good.
    """
    for capture in _fd_captures(config):
        if capture.targetfd == 0:
            continue
        descriptor = capture.tmpfile.fileno()
        with tempfile.TemporaryFile(buffering=0) as fresh:
            os.dup2(fresh.fileno(), descriptor, inheritable=False)
        if capture._state == "started":
            os.dup2(descriptor, capture.targetfd)


def mute_reporter(config: pytest.Config, sink: TextIO) -> None:
    """Let the terminal reporter of a process that owns no terminal write to `sink`, and run no test hooks.

    Plugins expect the reporter to be there; nobody sees what it would format for every test.
    """
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None:
        return
    reporter._tw._file = sink
    for name in ("pytest_runtest_logstart", "pytest_runtest_logreport", "pytest_runtest_logfinish"):
        caller = getattr(config.hook, name)
        if any(impl.plugin is reporter for impl in caller.get_hookimpls()):
            caller._remove_plugin(reporter)


# --- temporary directories ------------------------------------------------------------------------


def set_basetemp(config: pytest.Config, basetemp: Path) -> None:
    """Let ``tmp_path`` of this process live under `basetemp`, unless it does already."""
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is None or factory._given_basetemp == basetemp:
        return
    factory._given_basetemp = basetemp
    factory._basetemp = None


def shared_basetemp(config: pytest.Config) -> str | None:
    """The controller's base temporary directory, made if need be; workers have theirs inside it."""
    factory = getattr(config, "_tmp_path_factory", None)
    return None if factory is None else str(factory.getbasetemp())


# --- set-up state ---------------------------------------------------------------------------------


def alive_nodes(session: pytest.Session) -> list[object]:
    """The nodes that are set up, outermost first."""
    return list(session._setupstate.stack)


def watch_teardown(
    session: pytest.Session, decide: Callable[[pytest.Item | None], pytest.Item | pytest.Session | None]
) -> None:
    """Let `decide` say, when a test is torn down, for which next node things are kept alive.

    pytest wants the next item when a test starts; by the time it is torn down we know better, since it
    may have been taken back or have come meanwhile. `decide` gets what pytest was going to use.
    """
    state = session._setupstate
    teardown = type(state).teardown_exact

    def teardown_exact(nextitem: pytest.Item | None) -> None:
        teardown(state, decide(nextitem))  # type: ignore[arg-type]

    state.teardown_exact = teardown_exact  # type: ignore[method-assign]


def late_teardown(item: pytest.Item, keep: pytest.Item | pytest.Session | None) -> pytest.TestReport | None:
    """Tear down, after `item` has finished, what only stayed alive for a test that did not come.

    A report for `item` if that failed, else None. Not by `pytest_runtest_teardown`: that hook has been
    called for this item, and plugins undo things in it that they can undo once only.
    """
    capture = item.config.pluginmanager.getplugin("capturemanager")
    context = capture.item_capture("teardown", item) if isinstance(capture, CaptureManager) else nullcontext()
    teardown = type(item.session._setupstate).teardown_exact
    with context:
        call = pytest.CallInfo.from_call(
            lambda: teardown(item.session._setupstate, keep),  # type: ignore[arg-type]
            when="teardown",
            reraise=(pytest.exit.Exception, KeyboardInterrupt),
        )
    if call.excinfo is None:
        return None
    report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
    return report
