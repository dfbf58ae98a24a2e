"""What processes note in common memory is there after them, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from pytest_procpar.ipc.journal import Journal


@pytest.fixture
def journal() -> Iterator[Journal]:
    made = Journal()
    yield made
    made.close()


def _in_a_child(work: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def test_what_a_dead_process_has_noted_is_there_once(journal: Journal) -> None:
    os.waitpid(_in_a_child(lambda: journal.append(("a", {"file": {1, 2}}))), 0)
    assert journal.read() == [("a", {"file": {1, 2}})]
    assert journal.read() == []
    journal.append("more")
    assert journal.read() == ["more"]


def test_records_of_several_processes_do_not_mix(journal: Journal) -> None:
    def note(number: int) -> None:
        for i in range(200):
            journal.append((number, i, "x" * 5000))

    pids = [_in_a_child(partial(note, number)) for number in range(4)]
    for pid in pids:
        os.waitpid(pid, 0)
    found = journal.read()
    assert len(found) == 800
    for number in range(4):
        assert [i for which, i, _ in found if which == number] == list(range(200))


def test_a_record_that_was_cut_short_is_left_out(journal: Journal) -> None:
    journal._mark = (
        b"t" + journal._mark[1:]
    )  # with which "first" would end, where its last letter was cut off
    journal.append("first")
    whole = os.pread(journal._fd, 1000, 0)
    for cut in range(1, len(whole)):
        os.write(journal._fd, whole[:cut])
        journal.append("between")
    assert journal.read() == ["first", *["between"] * (len(whole) - 1)]


def test_what_cannot_be_written_is_said() -> None:
    journal = Journal()
    journal.close()
    assert not journal.append("lost")


def test_where_no_file_can_be_in_memory_it_is_on_disk_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> int:  # as in a container that does not allow it
        raise PermissionError(name)

    monkeypatch.setattr(os, "memfd_create", refuse, raising=False)
    journal = Journal()
    assert os.fstat(journal._fd).st_nlink == 0
    assert journal.append("first")
    assert journal.read() == ["first"]
    journal.close()
