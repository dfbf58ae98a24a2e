"""Lets pytest go through a phase that has run (see `lean_tests`), and report it.

Its wrappers find what they would find after the test's own code: capture that has begun goes on, what has
been logged is put back, and the exception comes from the same place. What the test has changed for what
comes later does not count before that place: plugins that it has registered, marks that it has added, and
recorders of hook calls.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

import pytest
from _pytest import runner, skipping, timing
from pluggy import HookImpl

from pytest_procpar.compat.pytest_private.lean_capture import LeanLogs, Logged
from pytest_procpar.compat.pytest_private.lean_hooks import UsualHooks
from pytest_procpar.compat.pytest_private.tracebacks import hide_frames_in_reports

__all__ = ["Replay", "When"]

When: TypeAlias = Literal["setup", "call", "teardown"]


class Replay:
    """Lets pytest go through phases again.

    :param runners: see `lean_hooks.runners_of`.
    """

    def __init__(
        self,
        config: pytest.Config,
        runners: dict[str, HookImpl],
        hooks: UsualHooks,
        logs: LeanLogs,
    ) -> None:
        self._config = config
        self._runners = runners
        self._hooks = hooks
        self._logs = logs
        self._beginnings = Beginnings()

    def of(
        self,
        item: pytest.Function,
        when: When,
        errors: list[BaseException],
        logged: Logged | None,
        began: tuple[float, float],
        more: dict[str, pytest.Item | None],
    ) -> bool:
        """Go through a phase again, and return whether it has passed.

        :param errors: what the test's code has raised: one exception, or none.
        :param logged: what has been logged; None if the phase had not begun, so that its code has yet to run.
        :param began: when it began, in seconds since the epoch and by the performance counter.
        """
        __tracebackhide__ = True
        self._beginnings.began = began
        if not self._config.pluginmanager.hasplugin("procpar-lean"):
            self._config.pluginmanager.register(self._beginnings, "procpar-lean")
        hide_frames_in_reports(self._config)
        self._logs.leave()
        has_run = logged is not None or bool(errors)
        try:
            if not has_run:
                return runner.call_and_report(item, when, True, **more).passed
            return self._without_running(item, when, errors, logged, more)
        finally:
            self._beginnings.began = None

    def _without_running(
        self,
        item: pytest.Function,
        when: When,
        errors: list[BaseException],
        logged: Logged | None,
        more: dict[str, pytest.Item | None],
    ) -> bool:
        __tracebackhide__ = True
        name = f"pytest_runtest_{when}"
        impl, skip, caller = self._runners[name], self._runners["skip"], getattr(self._config.hook, name)
        manager = self._config.pluginmanager
        genuine, genuine_skip, impls, execute = (
            impl.function,
            skip.function,
            caller._hookimpls,
            manager._inner_hookexec,
        )

        def come_to_the_place() -> None:
            caller._hookimpls, manager._inner_hookexec = impls, execute
            if when == "call":
                item.stash[skipping.xfailed_key] = None

        caller._hookimpls, manager._inner_hookexec = self._hooks.of_phase(name), self._hooks.execute
        if when == "setup":
            skip.function = _has_no_marks  # type: ignore[misc]
        elif when == "call":  # neither None, in place of which pytest looks at the marks, nor a mark
            item.stash[skipping.xfailed_key] = False  # type: ignore[misc]
        impl.function = partial(self._again, errors, item, when, logged, come_to_the_place)  # type: ignore[misc]
        try:
            return runner.call_and_report(item, when, True, **more).passed
        finally:
            impl.function, skip.function = genuine, genuine_skip  # type: ignore[misc]
            caller._hookimpls, manager._inner_hookexec = impls, execute

    def _again(
        self,
        errors: list[BaseException],
        item: pytest.Function,
        when: When,
        logged: Logged | None,
        come_to_the_place: Callable[[], None],
        *more: pytest.Item | None,
    ) -> None:
        """Take the place of the code that has run."""
        __tracebackhide__ = True
        come_to_the_place()
        if logged is not None:
            self._logs.put_back(item, when, logged)
        if errors:
            error = errors.pop()
            try:
                raise error
            finally:
                del error


def _has_no_marks(item: pytest.Item) -> None:
    """Take the place of a look at the marks: when the test began, it had none of those that count."""


class Beginnings:
    """A plugin that lets a phase have begun when it did; registered when the first phase is handed over."""

    def __init__(self) -> None:
        #: When that phase began, in seconds since the epoch and by the performance counter, if there is one.
        self.began: tuple[float, float] | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> None:
        """Correct when the phase began."""
        if self.began is not None:
            (start, began), self.began = self.began, None
            call.start, call.duration = start, timing.perf_counter() - began
