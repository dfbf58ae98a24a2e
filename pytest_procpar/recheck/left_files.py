"""Tries in fresh processes whether tests that just fail pass without files that other tests have left.

`core.inquiry.left_files` decides what to try and what follows from it; `system.file_uses` tells which files
tests use.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pytest_procpar.compat.pytest_private.command_line import same_arguments
from pytest_procpar.core.inquiry.findings import Finding
from pytest_procpar.core.inquiry.left_files import (
    FileAttempt,
    FileUse,
    Left,
    by_nodeid,
    candidates,
    find_left,
    told,
)
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.inquiry.roots import Root
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.fresh.fresh_run import FreshRun
from pytest_procpar.fresh.rounds import Rounds
from pytest_procpar.replay.kept import ReplayFiles, replay_by_index
from pytest_procpar.system.file_uses import uses_in, without

__all__ = ["LeftFiles"]

#: After this many roots for which no file was to blame, no more are tried.
_MOST_IN_VAIN = 3


class LeftFiles:
    """Makes the tries.

    :param run_record: what is known about the tests.
    :param run: runs commands in fresh processes.
    :param kept: the folder in which the processes of the re-check have noted what they used.
    :param folder: for files that may be deleted afterwards.
    """

    def __init__(
        self, config: pytest.Config, run_record: RunRecord, run: Rounds, kept: Path, folder: Path
    ) -> None:
        self._config = config
        self._record = run_record
        self._run = run
        self._kept = kept
        self._files = ReplayFiles(lambda: folder)
        # A file elsewhere, in a home folder for instance, may belong to another program: it stays where it
        # is.
        above = (config.rootpath, tempfile.gettempdir())
        self._movable = tuple(os.path.join(os.path.realpath(path), "") for path in above)

    def look(
        self, findings: Sequence[Finding], roots: Sequence[Root], in_time: Callable[[bool], bool]
    ) -> dict[Finding, Finding]:
        """The findings that replace some of these, by the finding that each replaces.

        :param roots: what failed in the same way: one test of a root that was tried in vain is enough.
        :param in_time: returns whether there is time for another test, given whether one was found to be due
            to a file.
        """
        of_root = {test: at for at, root in enumerate(roots) for test in root.tests}
        tests = by_nodeid(self._record.ids)
        noted = [
            (path, tests.get(nodeid), writes)
            for path, nodeid, writes in uses_in(self._kept)
            if path.startswith(self._movable)
        ]
        uses = [FileUse(path, test, writes) for path, test, writes in noted if test is not None]
        found: dict[Finding, Finding] = {}
        in_vain: set[object] = set()
        for finding in findings:
            root = of_root.get(finding.test, finding)
            files = candidates(finding, uses)
            if not files or root in in_vain:
                continue
            if len(in_vain) >= _MOST_IN_VAIN or not in_time(bool(found)):
                break
            left = self._try(finding, files, uses)
            if left is None:
                in_vain.add(root)
            else:
                found[finding] = told(finding, left)
        return found

    def _try(self, finding: Finding, files: Sequence[str], uses: Sequence[FileUse]) -> Left | None:
        search = find_left(finding.test, files, uses)
        try:
            attempt = next(search)
            while True:
                attempt = search.send(self._word(attempt))
        except StopIteration as stop:
            left: Left | None = stop.value
            return left

    def _word(self, attempt: FileAttempt) -> Outcome | None:
        """How the last test of an attempt ended; None if it could not be tried."""
        ids = self._record.ids
        path = self._files.write("left", replay_by_index(ids, [attempt.tests]))
        words = same_arguments(self._config, ["--maxfail=0", f"--procpar-replay={path}"])
        with without(attempt.without, self._kept) as are_gone:
            if not are_gone:
                return None
            (result,) = self._run([words], [self._record.limit(attempt.tests[-1])])
        if not isinstance(result, FreshRun) or [nodeid for nodeid, _ in result.tests] != [
            ids[test] for test in attempt.tests
        ]:
            return None
        return result.tests[-1][1]
