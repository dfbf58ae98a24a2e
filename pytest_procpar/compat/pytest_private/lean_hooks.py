"""What `lean_tests` has to know of hooks and nodes: who implements what, and whether a test changes marks."""

from __future__ import annotations

import pytest
from _pytest import runner, skipping, threadexception, unraisableexception
from _pytest.cacheprovider import LFPlugin
from _pytest.nodes import Node
from pluggy import HookImpl

from pytest_procpar.compat.foreign_options import shows_full_trace, shows_setups
from pytest_procpar.compat.pytest_private.newest import NEWEST_TRIED
from pytest_procpar.compat.pytest_reports.quiet_hooks import is_observed, module_of

__all__ = ["UsualHooks", "count_of", "runners_of"]

_OLDEST = (8, 4)
#: Stands for the worker's plugin, whose implementations are called directly.
_OURS = "the listener"
_AROUND = ("_pytest.logging", "_pytest.capture")
_AFTER = ("_pytest.runner", "_pytest.unraisableexception", "_pytest.threadexception")
#: Whose implementations the phases call, in this order.
_PHASES = {
    "pytest_runtest_setup": (*_AROUND, _OURS, "_pytest.skipping", *_AFTER),
    "pytest_runtest_call": (*_AROUND, "_pytest.skipping", _OURS, *_AFTER),
    "pytest_runtest_teardown": (*_AROUND, _OURS, *_AFTER),
}
#: Who may listen to the other hooks that are left out: they do nothing for a phase that has just passed.
_LISTENERS = {
    "pytest_runtest_logstart": {"_pytest.logging"},
    "pytest_runtest_logfinish": {"_pytest.logging", _OURS},
    "pytest_runtest_logreport": {"_pytest.main", "_pytest.logging", "_pytest.cacheprovider", _OURS},
    "pytest_runtest_makereport": {
        "_pytest.tmpdir", "_pytest.skipping", "_pytest.unittest", "_pytest.runner",
        "pytest_procpar.compat.pytest_private.lean_replay", "pytest_procpar.compat.pytest_private.tracebacks",
        "pytest_procpar.compat.pytest_reports.raised",
    },
}  # fmt: skip
#: What plugins replace that repeat tests.
_REPLACEABLE = ("runtestprotocol", "call_and_report", "check_interactive_exception", "CallInfo")


def runners_of(config: pytest.Config) -> dict[str, HookImpl] | None:
    """The implementations that run a phase or, first, a test; None if this pytest is not known.

    The last one, ``"skip"``, looks at a test's marks before its setup.
    """
    version = tuple(part for part in pytest.version_tuple[:2] if isinstance(part, int))
    if (
        not _OLDEST <= version <= NEWEST_TRIED
        or not hasattr(unraisableexception, "unraisable_exceptions")
        or not hasattr(threadexception, "thread_exceptions")
        or shows_setups(config)
        or shows_full_trace(config)  # with frames of ours
        or any(getattr(runner, name).__module__ != "_pytest.runner" for name in _REPLACEABLE)
        or unraisableexception.unraisable_exceptions not in config.stash  # their plugin is blocked
        or threadexception.thread_exceptions not in config.stash
    ):
        return None
    found: dict[str, HookImpl] = {}
    for name in ("pytest_runtest_protocol", *_PHASES):
        impls = [i for i in getattr(config.hook, name)._hookimpls if i.plugin is runner]
        if len(impls) != 1 or impls[0].function is not getattr(runner, name):
            return None
        found[name] = impls[0]
    skips = [i for i in config.hook.pytest_runtest_setup._hookimpls if i.plugin is skipping]
    if len(skips) != 1:
        return None
    return {**found, "skip": skips[0]}


class UsualHooks:
    """Knows who implements the hooks now.

    :param listener: the worker's plugin.
    """

    def __init__(self, config: pytest.Config, listener: object) -> None:
        self._config = config
        self._listener = listener
        self._manager = config.pluginmanager
        #: Calls a hook's implementations: pluggy's function, until somebody begins to record the calls.
        self.execute = self._manager._inner_hookexec
        self._failed_before = config.pluginmanager.getplugin("lfplugin")
        self._replaceable = [getattr(runner, name) for name in _REPLACEABLE]
        self._callers = [getattr(config.hook, name) for name in (*_PHASES, *_LISTENERS)]
        self._seen: list[list[HookImpl]] = []
        self._is_known = self._is_usual = False

    def look_again(self) -> None:
        """Find out anew, at the next test, who implements them."""
        self._is_known = False

    def of_phase(self, name: str) -> list[HookImpl]:
        """Who implemented the hook of a phase when the running test began."""
        return self._seen[[*_PHASES].index(name)]

    def are_usual(self) -> bool:
        """Whether only those implement them that are known here."""
        impls = [caller._hookimpls for caller in self._callers]
        if not self._is_known or impls != self._seen:
            self._seen = [[*each] for each in impls]
            self._is_usual, self._is_known = self._look(), True
        return (
            self._is_usual
            and not self.are_recorded()
            and [getattr(runner, name) for name in _REPLACEABLE] == self._replaceable
        )

    def are_recorded(self) -> bool:
        """Whether somebody has begun to record the calls of hooks."""
        return self._manager._inner_hookexec is not self.execute

    def has_failed_before(self, item: pytest.Item) -> bool:
        """Whether pytest's plugin for ``--lf`` wants to hear that a test has passed."""
        plugin = self._failed_before
        if plugin is None or not plugin.lastfailed:
            return False
        return getattr(item, "id", item.nodeid) in plugin.lastfailed

    def _look(self) -> bool:
        hook = self._config.hook
        for name, expected in _PHASES.items():
            found = tuple(map(self._module, reversed(getattr(hook, name)._hookimpls)))
            if found != expected:
                return False
        for name, allowed in _LISTENERS.items():
            if not allowed.issuperset(map(self._module, getattr(hook, name)._hookimpls)):
                return False
        known = self._failed_before is None or type(self._failed_before) is LFPlugin
        return known and not is_observed(self._config)

    def _module(self, impl: HookImpl) -> str:
        return _OURS if impl.plugin is self._listener else module_of(impl.plugin)


def count_of(nodes: list[Node]) -> tuple[int, int]:
    """How many marks and keywords the nodes have: keywords are added, and never removed."""
    marks = keywords = 0
    for node in nodes:
        marks += len(node.own_markers)
        keywords += len(node.keywords._markers)  # type: ignore[attr-defined]
    return marks, keywords
