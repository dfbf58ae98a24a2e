"""Suggests what would keep a test from failing because of others: a fixture that restores state, or marks.

Every suggestion has been run: in fresh processes where the file has that fixture or mark, while nothing on
the disk has changed. There the victim passed after its polluters, and after all that ran before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pytest_procpar.compat.pytest_private.command_line import same_arguments
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.recheck.patches import (
    Insertion,
    applied,
    decorations,
    free_name,
    imported_by,
    insertion_into,
    unified_diff,
)
from pytest_procpar.core.recheck.remedies import SCOPES, Slot, fixture_for, is_module_in
from pytest_procpar.core.recheck.result import StateChange, Suggestion
from pytest_procpar.core.record import record
from pytest_procpar.fresh.fresh_run import FreshRun, NotSeen
from pytest_procpar.fresh.rounds import Rounds
from pytest_procpar.replay.kept import ReplayFiles, replay_by_index

__all__ = ["Suggester"]

#: The name of a fixture, unless its file has something with that name.
_NAME = "put_back_shared_state"
#: How many victims of the same polluters are tried at most.
_MOST_VICTIMS = 3


#: The marks that give a test a process of its own, and that let tests share a worker.
_ISOLATED = "pytest.mark.isolated"
_GROUP = 'pytest.mark.xdist_group("{name}")'
#: How many tests at most get a mark for the same thing.
_MOST_MARKS = 5


@record
class _Draft:
    """What is new in a file, given by its path from the rootdir, and where it goes in the current text.

    ``added`` is source that does the same when it is run in the module.
    """

    file: str
    source: str
    added: str
    insertions: tuple[Insertion, ...]


class Suggester:
    """Makes suggestions, and tries them.

    :param run_record: what is known about the tests.
    :param run: runs commands in fresh processes.
    :param folder: for files that may be deleted afterwards.
    """

    def __init__(self, config: pytest.Config, run_record: RunRecord, run: Rounds, folder: Path) -> None:
        self._config = config
        self._record = run_record
        self._run = run
        self._files = ReplayFiles(lambda: folder)
        #: By path: what files would be with all suggestions so far, and what these add to them.
        self._sources: dict[str, str] = {}
        self._fixtures: dict[str, str] = {}

    def suggest(
        self, cause: tuple[TestIndex, ...], victims: Sequence[TestIndex], changes: Sequence[StateChange]
    ) -> Suggestion | None:
        """What keeps these tests from failing after their polluters, on top of what was suggested before.

        :param changes: what the polluters change.
        """
        slots = [Slot(change.slot, change.way, change.module) for change in changes if change.proven]
        tried = victims[:_MOST_VICTIMS]
        for file in dict.fromkeys(self._record.file_of(test) for test in cause):
            for scope in SCOPES if slots else ():
                draft = self._draft(file, slots, scope)
                if draft is not None and self._helps([draft], cause, tried):
                    return self._settle([draft])
        marked: list[tuple[TestIndex, ...]] = [(test,) for test in reversed(cause)]
        if len(tried) == len(victims):
            marked.append(tuple(victims))
        return self._isolate(marked, cause, tried)

    def _isolate(
        self,
        sets: Sequence[tuple[TestIndex, ...]],
        cause: tuple[TestIndex, ...],
        victims: Sequence[TestIndex],
    ) -> Suggestion | None:
        """Marks that give the tests of one of these sets processes of their own; None if none helps."""
        for marked in sets:
            drafts = self._marks(marked, _ISOLATED)
            if drafts and self._helps(drafts, cause, victims, isolates=True):
                return self._settle(drafts)
        return None

    def group(
        self, tests: Sequence[TestIndex], beside: Sequence[TestIndex], concurrency: int = 1
    ) -> Suggestion | None:
        """What keeps tests from running beside those that make them fail: one group, which shares a worker.

        The trial does what ``--dist=loadgroup`` makes of that: one process runs the group, in either order
        and after what ran before, and once more while others run what else ran at the same time.

        :param tests: the tests that fail; the first is the one that was looked into.
        :param concurrency: how many processes may run at the same time.
        """
        test, together = tests[0], sorted({*tests, *beside})
        drafts = self._marks(together, _GROUP.format(name=self._name_of(test)))
        others = [other for other in together if other != test]
        orders = [(*others, test), (test, *others)]
        before = tuple(sorted({*self._before(test), *together}))
        sides = [tuple(one for one in side if one not in together) for side in self._record.beside(test)]
        company = [side for side in sides if side][: concurrency - 1]
        # Two such processes at the same time would meet each other.
        helps = bool(drafts) and (
            self._all_pass(drafts, orders, tests, alone=True, grouped=True)
            and self._all_pass(drafts, [before], tests)
            and (not company or self._all_pass(drafts, [orders[0]], tests, company=company))
        )
        return self._settle(drafts, grouped=True) if helps else None

    def _settle(self, drafts: Sequence[_Draft], *, grouped: bool = False) -> Suggestion | None:
        diffs = [unified_diff(draft.file, draft.source, *draft.insertions) for draft in drafts]
        if not all(diffs):
            return None
        for draft in drafts:
            self._sources[draft.file] = applied(draft.source, *draft.insertions)
            self._fixtures[draft.file] = self._added(draft)
        return Suggestion("".join(diffs), grouped)

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
        return None if insertion is None else _Draft(file, source, fixture, (insertion,))

    def _marks(self, tests: Sequence[TestIndex], mark: str) -> list[_Draft]:
        """Drafts that give each of these tests a mark, one for each file; empty if they cannot be written."""
        names: dict[str, list[str]] = {}
        for test in tests:
            file, _, name = self._record.ids[test].split("[", 1)[0].partition("::")
            known = names.setdefault(file, [])
            if (dotted := name.replace("::", ".")) not in known:
                known.append(dotted)
        drafts = []
        if sum(map(len, names.values())) > _MOST_MARKS:
            return []
        for file, dotted_names in names.items():
            source = self._source(file)
            found = None if source is None else decorations(source, dotted_names, mark)
            if source is None or found is None:
                return []
            lines = [f"{name} = {mark}({name})" for name in dotted_names]
            drafts.append(_Draft(file, source, "\n".join(["import pytest", *lines, ""]), found))
        return drafts

    def _name_of(self, test: TestIndex) -> str:
        """The name of a group of tests: that of one of them."""
        return self._record.ids[test].split("[", 1)[0].rpartition("::")[2]

    def _source(self, file: str) -> str | None:
        """A test file with the suggestions so far; None if it is not a file that can be changed."""
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
        return "\n\n".join([self._fixtures.get(draft.file, "import pytest"), draft.added])

    # --- whether it helps ---

    def _helps(
        self,
        drafts: Sequence[_Draft],
        cause: tuple[TestIndex, ...],
        victims: Sequence[TestIndex],
        *,
        isolates: bool = False,
    ) -> bool:
        """Whether the victims pass with the drafts, and everything else ends as it did."""
        after_cause = [(*cause, victim) for victim in victims]
        in_order = [(*self._before(victim), victim) for victim in victims]
        return all(
            self._all_pass(drafts, orders, victims, isolates=isolates) for orders in (after_cause, in_order)
        )

    def _before(self, victim: TestIndex) -> tuple[TestIndex, ...]:
        """What ran before the victim, if it failed in the run; otherwise what precedes it as collected."""
        if self._record.word(victim).bad:
            return self._record.before(victim)
        return self._record.preceding(victim)

    def _all_pass(
        self,
        drafts: Sequence[_Draft],
        orders: Sequence[tuple[TestIndex, ...]],
        victims: Sequence[TestIndex],
        *,
        isolates: bool = False,
        alone: bool = False,
        grouped: bool = False,
        company: Sequence[tuple[TestIndex, ...]] = (),
    ) -> bool:
        """Whether the victims pass in each of these orders.

        :param grouped: also check that all tests of an order are in one group.
        :param company: what runs at the same time, each in a process of its own; how it ends does not matter.
        """
        words = [self._words(order) for order in (*orders, *company)]
        files = {**self._fixtures, **{draft.file: self._added(draft) for draft in drafts}}
        runs = self._run(
            words,
            [0.0] * len(words),
            added=self._added_to(files),
            isolates=isolates,
            alone=alone,
            grouped=grouped,
            together=bool(company),
        )
        return all(self._is_fine(run, order, victims) for run, order in zip(runs, orders, strict=False))

    def _added_to(self, files: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """By the files' absolute paths, what is added to them."""
        return tuple((str(self._config.rootpath / file), source) for file, source in files.items())

    def _words(self, order: tuple[TestIndex, ...]) -> list[str]:
        path = self._files.write("suggestion", replay_by_index(self._record.ids, [order]))
        return same_arguments(self._config, ["--maxfail=0", f"--procpar-replay={path}"])

    def _is_fine(
        self, run: FreshRun | NotSeen, order: tuple[TestIndex, ...], victims: Sequence[TestIndex]
    ) -> bool:
        """Whether the victims have passed, and all others ended well or as they do without the drafts."""
        words = self._words_of(run, order)
        if words is None:
            return False
        odd = {}
        for at, (test, word) in enumerate(zip(order, words, strict=True)):
            if test in victims:
                if word is not Outcome.PASSED:
                    return False
            elif not word.good and word is not self._record.word(test):
                odd[at] = word
        if not odd:
            return True
        # Perhaps they are victims, too, whose polluters ran on another worker.
        (before,) = self._run([self._words(order)], [0.0], added=self._added_to(self._fixtures))
        were = self._words_of(before, order)
        return were is not None and all(were[at] is word for at, word in odd.items())

    def _words_of(self, run: FreshRun | NotSeen, order: tuple[TestIndex, ...]) -> list[Outcome] | None:
        """How the tests of an order have ended; None if they have not all run in it."""
        if isinstance(run, NotSeen) or [nodeid for nodeid, _ in run.tests] != [
            self._record.ids[test] for test in order
        ]:
            return None
        return [word for _, word in run.tests]
