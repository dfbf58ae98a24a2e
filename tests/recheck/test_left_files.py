"""Of which tests it is tried whether files are to blame: what fresh processes would say is made up here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_procpar.core.inquiry.findings import Finding, Kind
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.inquiry.roots import Root
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.model import TestIndex
from pytest_procpar.fresh.fresh_run import FreshRun
from pytest_procpar.recheck.left_files import LeftFiles
from tests.core.pollution import ids

NODEIDS = [f"test_it.py::test_{place}" for place in range(8)]
PLAIN = [Finding(TestIndex(place), Kind.PLAIN) for place in range(8)]


class Suite:
    """Tests that all open one file; some of them fail because it is there, and the others always."""

    def __init__(self, folder: Path, by_file: Sequence[TestIndex], rootpath: Path | None = None) -> None:
        self.file = folder / "data.txt"
        self.file.write_text("left")
        self._by_file = by_file
        kept = folder / "kept"
        kept.mkdir()
        for nodeid in NODEIDS:
            note = kept / f"{NODEIDS.index(nodeid)}.used"
            note.write_text(json.dumps([str(self.file), nodeid, True]))
        run = RunRecord(None)
        run.collected(NODEIDS)
        config: Any = SimpleNamespace(
            invocation_params=SimpleNamespace(args=()), option=SimpleNamespace(), rootpath=rootpath or folder
        )
        self.left = LeftFiles(config, run, cast("Any", self._run), kept, folder)
        #: Of which test a process was asked first, for each.
        self.tried: list[TestIndex] = []

    def _run(self, words: Sequence[list[str]], limits: Sequence[float]) -> list[FreshRun]:
        (command,) = words
        (sequence,) = json.loads(Path(command[-1].partition("=")[2]).read_bytes())["sequences"]
        order = list(map(TestIndex, sequence["tests"]))
        if order[-1] not in self.tried:
            self.tried.append(order[-1])
        is_bad = self.file.exists() or order[-1] not in self._by_file
        ends = [Outcome.PASSED] * (len(order) - 1) + [Outcome.FAILED if is_bad else Outcome.PASSED]
        return [FreshRun(tuple((NODEIDS[test], word) for test, word in zip(order, ends, strict=True)))]


def test_who_fails_by_the_file_is_told_and_the_file_is_there_again(tmp_path: Path) -> None:
    suite = Suite(tmp_path, ids(1))
    found = suite.left.look(PLAIN[:2], (), lambda found: True)
    ((old, new),) = found.items()
    assert (old, new.kind, new.files) == (PLAIN[1], Kind.FILE_DEPENDENT, (str(suite.file),))
    assert suite.file.read_text() == "left"


def test_of_what_has_failed_in_the_same_way_one_that_was_tried_in_vain_is_enough(tmp_path: Path) -> None:
    suite = Suite(tmp_path, ())
    roots = [Root(ids(0, 1, 2, 3), "", ""), Root(ids(4, 5), "", "")]
    assert suite.left.look(PLAIN[:6], roots, lambda found: True) == {}
    assert suite.tried == list(ids(0, 4))


def test_after_some_roots_in_vain_no_more_are_tried(tmp_path: Path) -> None:
    suite = Suite(tmp_path, ids(7))
    assert suite.left.look(PLAIN, (), lambda found: True) == {}
    assert suite.tried == list(ids(0, 1, 2))


@pytest.mark.parametrize("more_if_found", [True, False])
def test_there_is_more_time_once_something_was_found(tmp_path: Path, more_if_found: bool) -> None:
    suite = Suite(tmp_path, ids(0, 1))
    found = suite.left.look(PLAIN[:2], (), lambda found: more_if_found or not found)
    assert len(found) == 1 + more_if_found


def test_a_file_that_is_neither_the_projects_nor_temporary_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    suite = Suite(tmp_path, ids(1), rootpath=tmp_path / "project")
    assert suite.left.look(PLAIN[:2], (), lambda found: True) == {}
    assert suite.tried == []
