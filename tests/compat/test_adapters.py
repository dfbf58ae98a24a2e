"""When plugins and libraries renew what processes must not share, and what is told if that fails."""

from __future__ import annotations

import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from pytest_procpar.compat.plugins import after_fork
from pytest_procpar.compat.plugins.renewal import Adapter
from pytest_procpar.role import Role, take_role


class Desk:
    """A process of this role, with adapters for modules ``one`` (loaded), ``two`` (loaded) and ``absent``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, role: Role = Role.WORKER) -> None:
        self.pid = 1
        self.renewed: list[tuple[str, bool]] = []
        self.failing: set[str] = set()
        self.warned: list[tuple[str, str]] = []
        self.config: Any = MagicMock()
        self.config.stash = pytest.Stash()
        take_role(self.config, role)
        monkeypatch.setattr(after_fork, "_getpid", lambda: self.pid)
        monkeypatch.setattr(after_fork, "_settled", 1)
        monkeypatch.setattr(
            after_fork, "tell_warning", lambda config, text, name: self.warned.append((name, text))
        )
        made = [
            Adapter(
                "One", "procpar_one", self._renewer("one"), lambda config: self.sockets("one"), tells=True
            ),
            Adapter("Two", "procpar_two", self._renewer("two"), lambda config: self.sockets("two")),
            Adapter(
                "Absent", "procpar_absent", self._renewer("absent"), lambda config: self.sockets("absent")
            ),
        ]
        monkeypatch.setattr(after_fork, "_ADAPTERS", tuple(made))
        for name in ("procpar_one", "procpar_two"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        self.open: dict[str, Any] = {}

    def _renewer(self, name: str) -> Any:
        def renew(config: object, throw_away: bool) -> None:
            self.renewed.append((name, throw_away))
            if name in self.failing:
                raise AttributeError("no _sock")

        return renew

    def sockets(self, name: str) -> Any:
        return self.open[name]


def test_nothing_is_renewed_in_the_process_that_has_begun_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch)
    after_fork.adapt(desk.config)
    assert desk.renewed == []


def test_a_forked_process_renews_what_is_loaded_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch)
    for desk.pid in (2, 2, 3):
        after_fork.adapt(desk.config)
    assert desk.renewed == [("one", False), ("two", False)] * 2


def test_a_throw_away_process_renews_whichever_it_was_forked_from(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, Role.PROBE)
    after_fork.adapt(desk.config)
    assert desk.renewed == [("one", True), ("two", True)]


def test_a_fresh_interpreter_that_is_thrown_away_silences_those_that_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(monkeypatch, Role.FRESH_PROBE)
    after_fork.adapt(desk.config)
    assert desk.renewed == [("one", True)]


def test_one_that_fails_costs_a_warning_and_the_others_are_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch)
    desk.pid, desk.failing = 2, {"one"}
    after_fork.adapt(desk.config)
    assert [name for name, _ in desk.renewed] == ["one", "two"]
    ((name, text),) = desk.warned
    assert name == "One"
    assert text == (
        "One could not be adapted to a forked worker: AttributeError: no _sock. It may share a connection or "
        "an identity with other workers; pytest_procpar_worker_forked is the hook to see to that."
    )


def test_the_open_sockets_are_known_of_what_is_loaded_whatever_is_wrong_with_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(monkeypatch)
    closed: Any = MagicMock()
    closed.fileno.side_effect = ValueError("closed")
    desk.open = {"two": [closed, object(), SimpleNamespace(fileno=lambda: 7)]}  # none are known of one
    assert after_fork.adapted_sockets(desk.config) == {7}


# --- introduce ---


@pytest.fixture
def rerunfailures(monkeypatch: pytest.MonkeyPatch) -> Any:
    module: Any = ModuleType("pytest_rerunfailures")
    module.works_with_current_xdist = lambda: None
    module.HAS_PYTEST_HANDLECRASHITEM = False
    monkeypatch.setitem(sys.modules, "pytest_rerunfailures", module)
    return module


@pytest.mark.parametrize("role", [Role.CONTROLLER, Role.WORKER])
def test_pytest_rerunfailures_is_told_that_it_can_work_with_us(
    monkeypatch: pytest.MonkeyPatch, rerunfailures: Any, role: Role
) -> None:
    desk = Desk(monkeypatch, role)
    after_fork.introduce(desk.config)
    assert rerunfailures.works_with_current_xdist() is True
    assert rerunfailures.HAS_PYTEST_HANDLECRASHITEM is True


@pytest.mark.parametrize("answer", [False, True])
def test_what_pytest_rerunfailures_knows_of_an_installed_xdist_stays(
    monkeypatch: pytest.MonkeyPatch, rerunfailures: Any, answer: bool
) -> None:
    rerunfailures.works_with_current_xdist = lambda: answer
    del rerunfailures.HAS_PYTEST_HANDLECRASHITEM
    after_fork.introduce(Desk(monkeypatch).config)
    assert rerunfailures.works_with_current_xdist() is answer
    assert not hasattr(rerunfailures, "HAS_PYTEST_HANDLECRASHITEM")


def test_what_conftests_have_opened_is_renewed_at_configure_except_in_the_main_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for role, renewed in (
        (Role.CONTROLLER, []),
        (Role.WORKER, [("one", False), ("two", False)]),
        (Role.FRESH_PROBE, [("one", True)]),
        (Role.PROBE, [("one", False), ("two", False)]),
    ):
        desk = Desk(monkeypatch, role)
        desk.pid = 2
        after_fork.introduce(desk.config)
        assert desk.renewed == renewed, role


def test_it_is_told_once_that_pytest_harvest_gathers_nothing_without_xdist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module: Any = ModuleType("pytest_harvest.xdist_api")
    monkeypatch.setitem(sys.modules, "pytest_harvest.xdist_api", module)
    desk = Desk(monkeypatch, Role.CONTROLLER)
    after_fork.introduce(desk.config)
    ((name, text),) = desk.warned
    assert name == "pytest-harvest"
    assert text.startswith(
        "pytest-harvest brings together what workers have harvested only if pytest-xdist is"
    )
    module.xdist_version = "3.8"
    after_fork.introduce(desk.config)
    after_fork.introduce(Desk(monkeypatch).config)
    assert len(desk.warned) == 1


# --- unfreeze ---


def test_hypothesis_gets_a_holder_that_is_not_frozen_while_it_has_no_generator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core: Any = ModuleType("hypothesis.core")
    old = threading.local()
    core.threadlocal = holder = SimpleNamespace(_hypothesis_global_random=1, _ThreadLocal__threadlocal=old)
    monkeypatch.setitem(sys.modules, "hypothesis.core", core)
    after_fork.unfreeze()
    assert holder._ThreadLocal__threadlocal is old  # it refers to a generator
    holder._hypothesis_global_random = None
    after_fork.unfreeze()
    assert holder._ThreadLocal__threadlocal is not old
    assert type(holder._ThreadLocal__threadlocal) is threading.local
    for odd in (SimpleNamespace(_hypothesis_global_random=None, _ThreadLocal__threadlocal=1), None):
        core.threadlocal = odd
        after_fork.unfreeze()  # another version: it is left alone
    assert sys.modules["hypothesis.core"].threadlocal is None
