"""Replaces the collected tests by those of a replay, in its order, even if other plugins reorder them.

Acts where the suite is collected: in the fork server, or in the one process of a plain run. Does not know how
tests reach their workers: it says which sequence each test belongs to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable

import pytest

from pytest_procpar.compat.foreign_options import drop_last_failed, runs_last_failed
from pytest_procpar.compat.pytest_private.items import copy_item
from pytest_procpar.core.printable import listed, printable_line
from pytest_procpar.replay.file import KEYS, REPLAY, Replay

__all__ = ["install"]

#: How many tests are named where naming all would be too many.
_NAMED = 5


def install(config: pytest.Config, replay: Replay, asked: object = None, limit: object = None) -> None:
    """Make this run, and whatever is forked from it, a replay. Call this before `pytest_configure`.

    ``--lf`` leaves tests out while files are collected, where we could not get them back. So it is turned
    off.

    :param asked: what ``-n`` says, and
    :param limit: what ``--maxprocesses`` says, where a header tells what gives way.
    """
    notes = _notes(len(replay.sequences), asked, limit, is_lf=runs_last_failed(config))
    drop_last_failed(config)
    config.stash[REPLAY] = replay
    config.pluginmanager.register(_Replayer(config, replay, notes), "procpar-replay")


def _notes(sequences: int, asked: object, limit: object, *, is_lf: bool) -> list[str]:
    """The lines that say which options of the command line a replay changes."""
    notes = ["--lf does nothing here: the file says which tests run"] if is_lf else []
    if asked == 0 and sequences > 1:
        notes.append(f"-n 0: the {sequences} sequences run one after the other in this process")
    elif isinstance(asked, int) and asked not in (0, sequences):
        notes.append(f"-n {asked} gives way: {_count(sequences, 'worker')}, one for each sequence")
    elif isinstance(limit, int) and limit < sequences and asked != 0:
        notes.append(f"--maxprocesses={limit} gives way: {sequences} workers, one for each sequence")
    return notes


class _Replayer:
    """The plugin that acts once all others have changed the collection."""

    def __init__(self, config: pytest.Config, replay: Replay, notes: list[str]) -> None:
        self._config = config
        self._replay = replay
        self._notes = notes
        #: What was collected; None until nothing can change it any more.
        self._collected: list[pytest.Item] | None = None
        #: The nodeids of the file that others have deselected, as often as the file names them.
        self._left_out: list[str] = []

    def pytest_report_header(self) -> list[str]:
        """Say what is replayed, and what that changes of the command line."""
        sequences = self._replay.sequences
        tests = sum(map(len, sequences))
        head = f"{self._replay.path}: {_count(len(sequences), 'sequence')}, {_count(tests, 'test')}"
        return [printable_line(f"replay: {line}") for line in (head, *self._notes)]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None]:
        """Note which tests there are, before anything is deselected."""
        collected = [*items]
        yield
        self._collected = collected

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Replace the items, unless the collection did not reach its end.

        In this hook, since a conftest found while files are collected has its wrappers around ours.

        :raises pytest.UsageError: if tests of the file were not collected.
        """
        if self._collected is None:
            return
        there, known = _by_nodeid(session.items), _by_nodeid(self._collected)
        mentioned = [nodeid for tests in self._replay.sequences for nodeid, _ in tests]
        missing = list(dict.fromkeys(n for n in mentioned if n not in there and n not in known))
        # A file that cannot be collected is reported as always, and ends the run or is left out, as asked.
        if missing and not session.testsfailed:
            raise pytest.UsageError(self._complaint(missing))
        self._left_out = [n for n in mentioned if n not in there and n in known]
        self._replace(session, there)

    def _replace(self, session: pytest.Session, there: dict[str, list[pytest.Item]]) -> None:
        items: list[pytest.Item] = []
        keys: list[str] = []
        used: set[int] = set()
        for number, tests in enumerate(self._replay.sequences):
            for nodeid, nth in tests:
                if nodeid in there:
                    item = there[nodeid][nth % len(there[nodeid])]
                    # pytest keeps a node set up for the next test if that is the same object.
                    items.append(copy_item(item) if id(item) in used else item)
                    used.add(id(item))
                    keys.append(str(number))
        deselected = [item for item in session.items if id(item) not in used]
        session.items[:] = items
        self._config.stash[KEYS] = keys
        if deselected:
            self._config.hook.pytest_deselected(items=deselected)

    def _complaint(self, missing: list[str]) -> str:
        return (
            f"--replay: {_count(len(missing), 'test')} of {self._replay.path!r} "
            f"{'was' if len(missing) == 1 else 'were'} not collected: {_named(missing)}: collect what was "
            "collected then (the same paths and rootdir, the same code), or take these out of the file"
        )

    def pytest_report_collectionfinish(self) -> list[str]:
        """Say which tests are not replayed."""
        if not self._left_out:
            return []
        return [
            f"replay: {_count(len(self._left_out), 'test')} of the file left out, since another option or a "
            f"conftest deselected them: {_named(self._left_out)}"
        ]


def _by_nodeid(items: Iterable[pytest.Item]) -> dict[str, list[pytest.Item]]:
    found: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        found[item.nodeid].append(item)
    return dict(found)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _named(nodeids: list[str]) -> str:
    return printable_line(listed(nodeids, _NAMED))
