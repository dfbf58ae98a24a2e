"""What all options for workers come to, and what plugins then read: without a process."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pytest_procpar
from pytest_procpar.compat.xdist.options import (
    hide_workers,
    show_workers,
    tell_distribution,
    tell_worker,
    tell_workers,
)
from pytest_procpar.config.given import given, read_early, read_given
from pytest_procpar.config.settings import fork_safe
from pytest_procpar.config.workers import Distribution, read_distribution
from pytest_procpar.replay.file import REPLAY, Replay

DEFAULTS: dict[str, Any] = {
    "numprocesses": None, "dist": "no", "distload": False, "tx": [], "maxprocesses": None, "isolate": False,
    "max_tests_per_worker": None, "recheck": None, "recheck_order": None, "recheck_explain": False,
    "recheck_cleaners": False, "recheck_strict": False, "recheck_suggest": None, "usepdb": False,
    "trace": False,
}  # fmt: skip

NOBODY, NONE = None, 0


def config(sequences: int = 0, auto: object = 3, **options: object) -> Any:
    """A config with these options, for a replay of so many sequences if there are any."""
    stash = pytest.Stash()
    if sequences:
        stash[REPLAY] = Replay("file", [[("test", 0)]] * sequences)
    manager = SimpleNamespace(subset_hook_caller=lambda name, without: lambda config: auto)
    return SimpleNamespace(
        option=SimpleNamespace(**{**copy.deepcopy(DEFAULTS), **options}), stash=stash, pluginmanager=manager
    )


@pytest.mark.parametrize(
    ("options", "workers", "dist"),
    [
        ({}, NOBODY, "no"),
        ({"distload": True}, NOBODY, "load"),
        ({"dist": "loadfile"}, NOBODY, "loadfile"),
        ({"numprocesses": 0, "dist": "loadfile", "distload": True}, NONE, "no"),
        ({"numprocesses": 2}, 2, "load"),
        ({"numprocesses": 2, "dist": "loadfile"}, 2, "loadfile"),
        ({"numprocesses": 2, "dist": "loadfile", "distload": True}, 2, "load"),
        ({"numprocesses": 9, "maxprocesses": 4}, 4, "load"),
        ({"numprocesses": "auto"}, 3, "load"),
        ({"numprocesses": "logical", "maxprocesses": 2}, 2, "load"),
        ({"numprocesses": "auto", "auto": 0}, NONE, "no"),
        ({"numprocesses": "auto", "usepdb": True}, NONE, "no"),
        ({"tx": ["popen", "4*popen"]}, 5, "load"),
        ({"tx": ["4*popen"], "numprocesses": 2}, 2, "load"),
        ({"tx": ["4*popen"], "numprocesses": 0}, NONE, "no"),
        ({"recheck_explain": True}, 1, "load"),
        ({"recheck_explain": True, "numprocesses": 0}, NONE, "no"),
        ({"recheck_explain": True, "recheck": "none"}, NOBODY, "no"),
        ({"isolate": True}, 1, "load"),
        ({"isolate": True, "numprocesses": 0, "dist": "loadfile"}, 1, "load"),
        ({"max_tests_per_worker": 5, "numprocesses": 2}, 2, "load"),
        ({"sequences": 1}, NOBODY, "no"),
        ({"sequences": 3}, 3, "load"),
        ({"sequences": 3, "numprocesses": 0}, NONE, "no"),
        ({"sequences": 3, "numprocesses": 8, "dist": "loadfile", "maxprocesses": 2}, 3, "load"),
        ({"sequences": 1, "numprocesses": 8}, 1, "load"),
        ({"sequences": 1, "recheck_explain": True}, NOBODY, "no"),
        ({"sequences": 1, "isolate": True}, 1, "load"),
    ],
    ids=str,
)
def test_what_the_options_come_to(options: dict[str, Any], workers: int | None, dist: str) -> None:
    asked = config(**options)
    before = copy.deepcopy(vars(asked.option))
    frozen = read_given(asked)
    found = read_distribution(asked, frozen)
    assert found == Distribution(workers, dist)
    assert vars(asked.option) == before, "reading has written"
    if found.differs_from(frozen):
        tell_distribution(asked, found.workers, found.dist)
    option = asked.option
    assert option.dist == dist
    told = (before["numprocesses"], before["tx"]) if workers is None else (workers, ["popen"] * workers)
    assert (option.numprocesses, option.tx) == told
    assert read_distribution(asked, read_given(asked)) == found, "who reads it again finds something else"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"numprocesses": -1}, "-n: invalid value -1: give"),
        ({"numprocesses": "auto", "auto": "many"}, "-n: invalid value 'many': give"),
        ({"numprocesses": 10_001}, "-n: invalid value: 10001 workers"),
        ({"tx": ["10001*popen"]}, "--tx: invalid value: 10001 workers"),
        ({"maxprocesses": 0}, "--maxprocesses: invalid value 0: give"),
    ],
    ids=str,
)
def test_a_mistake_is_told_with_option_and_value(options: dict[str, Any], message: str) -> None:
    asked = config(**options)
    with pytest.raises(pytest.UsageError, match=re.escape(message)):
        read_distribution(asked, read_given(asked))


def test_what_was_asked_for_first_holds_for_the_rest_of_the_run() -> None:
    run = config(numprocesses=4, tx=["popen"], leaks="report")
    first = given(run)
    run.option.leaks = None
    run.option.tx.append("popen")
    tell_distribution(run, 2, "load")
    assert given(run) is first
    assert (first.numprocesses, first.dist, first.tx, first.leaks) == (4, "no", ("popen",), "report")
    assert read_given(run).leaks is None, "who comes before the others looks for itself"


def test_what_conftests_change_later_is_not_what_was_asked_for_early() -> None:
    run = config(recheck="none")
    run.known_args_namespace = SimpleNamespace(**vars(run.option))
    early = read_early(run)
    run.option.recheck = run.known_args_namespace.recheck = "all"
    assert read_early(run) is early
    assert (early.recheck, given(run).recheck) == ("none", "all")


@pytest.mark.parametrize(
    ("options", "is_only"),
    [
        ({"numprocesses": 1}, True),
        ({"isolate": True}, True),
        ({"isolate": True, "numprocesses": 0}, True),
        ({"isolate": True, "numprocesses": 2}, False),
        ({"numprocesses": "auto"}, False),
        ({"numprocesses": 1, "tx": ["popen"]}, False),
        ({"numprocesses": 1, "maxworkerrestart": None}, False),
        ({"numprocesses": 1, "recheck": "failed"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_names_are_safe_where_no_second_process_can_meet_them(options: dict[str, Any], is_only: bool) -> None:
    run = config(**{"recheck": "none", "maxworkerrestart": 0, **options})
    run.known_args_namespace = run.option
    run.getini = {"procpar_fork_safe": ["x.py"]}.get
    assert fork_safe(run) == (("x.py", "names") if is_only else ("x.py",))


def test_an_installed_xdist_sees_no_workers_while_it_is_configured() -> None:
    run = config(numprocesses=2)
    tell_workers(run, 2)
    hide_workers(run)
    assert (run.option.numprocesses, run.option.tx) == (2, [])
    show_workers(run, 2)
    assert (run.option.numprocesses, run.option.tx) == (2, ["popen", "popen"])


@pytest.mark.parametrize("loadgroup", [True, False])
def test_a_worker_is_no_controller(loadgroup: bool) -> None:
    run = config(numprocesses=2, dist="loadgroup", distload=True, tx=["popen"], maxprocesses=2, usepdb=True)
    tell_worker(run, loadgroup=loadgroup)
    assert {name: getattr(run.option, name) for name in DEFAULTS} == DEFAULTS
    assert (run.option.loadgroup, run.option.looponfail) == (loadgroup, False)


def test_options_of_xdist_are_written_in_one_place() -> None:
    names = "numprocesses|maxprocesses|dist|distload|tx|loadgroup|looponfail"
    writes = re.compile(rf"\boption\.({names})\b(?!\()[^=\n]*(?<![=!<>])=(?!=)|setattr\([\w.]*option\b")
    package = Path(pytest_procpar.__file__).parent
    found = {
        str(path.relative_to(package)) for path in package.rglob("*.py") if writes.search(path.read_text())
    }
    assert found == {"compat/xdist/options.py"}
