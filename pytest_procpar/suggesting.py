"""Suggests what would keep a test from failing after its polluters: a fixture that puts proven state back.

What is suggested has been run: in fresh processes in which the polluter's file has that fixture, and nothing
on the disk has changed. Then the victim passed after its polluters, and after all that ran before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_procpar.compat.invocation import same_arguments
from pytest_procpar.core.insights import Change, Suggestion
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.patches import Insertion, free_name, imported_by, insertion_into, unified_diff
from pytest_procpar.core.probes import Word
from pytest_procpar.core.record import record
from pytest_procpar.core.remedies import SCOPES, Slot, fixture_for, is_module_in
from pytest_procpar.core.runrecord import RunRecord
from pytest_procpar.process.fresh import FreshRun, NotSeen
from pytest_procpar.process.rounds import Rounds
from pytest_procpar.replaykept import ReplayFiles, replay_by_index

__all__ = ["Suggester"]

#: What a fixture is called, if its file has nothing of that name.
_NAME = "put_back_shared_state"
#: So many victims of the same polluters are tried.
_MOST_VICTIMS = 3


@record
class _Draft:
    """A fixture for a file, by its path from the rootdir, and where it goes in what the file is by now."""

    file: str
    source: str
    fixture: str
    insertion: Insertion


class Suggester:
    """Makes suggestions, and tries them.

    :param run_record: what is known of the tests.
    :param run: runs commands in fresh processes.
    :param folder: for files that may go when this is over.
    """

    def __init__(self, config: pytest.Config, run_record: RunRecord, run: Rounds, folder: Path) -> None:
        self._config = config
        self._record = run_record
        self._run = run
        self._files = ReplayFiles(lambda: folder)
        #: What files would be with all that has been suggested so far, and what is new in them, by path.
        self._sources: dict[str, str] = {}
        self._fixtures: dict[str, str] = {}

    def suggest(
        self, cause: tuple[TestIndex, ...], victims: Sequence[TestIndex], changes: Sequence[Change]
    ) -> Suggestion | None:
        """What keeps these tests from failing after their polluters, with what was suggested before.

        :param changes: what the polluters change.
        """
        slots = [Slot(change.slot, change.way, change.module) for change in changes if change.proven]
        tried = victims[:_MOST_VICTIMS]
        for file in dict.fromkeys(self._record.file_of(test) for test in cause):
            for scope in SCOPES:
                draft = self._draft(file, slots, scope)
                if draft is not None and self._helps(draft, cause, tried):
                    return self._settle(draft)
        return None

    def _settle(self, draft: _Draft) -> Suggestion | None:
        diff = unified_diff(draft.file, draft.source, draft.insertion)
        if not diff:
            return None
        self._sources[draft.file] = draft.insertion.applied(draft.source)
        self._fixtures[draft.file] = self._added(draft)
        return Suggestion(draft.file, diff)

    # --- what to write ---

    def _draft(self, file: str, slots: Sequence[Slot], scope: str) -> _Draft | None:
        source = self._source(file)
        if source is None:
            return None
        own = next((slot.module for slot in slots if is_module_in(slot.module, file)), "")
        name = free_name(source, _NAME)
        known = imported_by(source)
        fixture = fixture_for(slots, own_module=own, scope=scope, name=name, imported=known)
        insertion = insertion_into(source, fixture) if fixture else None
        return None if insertion is None else _Draft(file, source, fixture, insertion)

    def _source(self, file: str) -> str | None:
        """A test file as it would be by now; None if it is none that can be changed."""
        if file in self._sources:
            return self._sources[file]
        path = self._config.rootpath / file
        root = str(self._config.rootpath.resolve())
        if path.suffix != ".py" or not path.resolve().is_relative_to(root):
            return None
        try:
            return path.read_bytes().decode()
        except (OSError, ValueError):
            return None

    def _added(self, draft: _Draft) -> str:
        return "\n\n".join([self._fixtures.get(draft.file, "import pytest"), draft.fixture])

    # --- whether it helps ---

    def _helps(self, draft: _Draft, cause: tuple[TestIndex, ...], victims: Sequence[TestIndex]) -> bool:
        """Whether the victims pass with it, and all else ends as it did."""
        after_cause = [(*cause, victim) for victim in victims]
        in_order = [(*self._before(victim), victim) for victim in victims]
        return self._all_pass(draft, after_cause, victims) and self._all_pass(draft, in_order, victims)

    def _before(self, victim: TestIndex) -> tuple[TestIndex, ...]:
        """What ran before the victim, if it has failed then, or else what precedes it."""
        if self._record.word(victim).bad:
            return self._record.before(victim)
        return self._record.preceding(victim)

    def _all_pass(
        self, draft: _Draft, orders: Sequence[tuple[TestIndex, ...]], victims: Sequence[TestIndex]
    ) -> bool:
        words = [self._words(order) for order in orders]
        files = {**self._fixtures, draft.file: self._added(draft)}
        added = tuple((str(self._config.rootpath / file), source) for file, source in files.items())
        runs = self._run(words, [0.0] * len(words), added=added)
        return all(self._is_fine(run, order, victims) for run, order in zip(runs, orders, strict=True))

    def _words(self, order: tuple[TestIndex, ...]) -> list[str]:
        path = self._files.write("suggestion", replay_by_index(self._record.ids, [order]))
        return same_arguments(self._config, ["--maxfail=0", f"--procpar-replay={path}"])

    def _is_fine(
        self, run: FreshRun | NotSeen, order: tuple[TestIndex, ...], victims: Sequence[TestIndex]
    ) -> bool:
        if isinstance(run, NotSeen) or [nodeid for nodeid, _ in run.tests] != [
            self._record.ids[test] for test in order
        ]:
            return False
        if run.tests[-1][1] is not Word.PASSED:
            return False
        pairs = zip(order, (word for _, word in run.tests), strict=True)
        return all(word.good or (word is self._record.word(t) and t not in victims) for t, word in pairs)
