"""The facts from which the number of workers follows: memory, other runs, and what goes wrong with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_procpar.core.model import RunOptions
from pytest_procpar.core.sizing.claims import Claim
from pytest_procpar.core.sizing.numbers import number_of, reason_of
from pytest_procpar.core.sizing.worth import Worth
from pytest_procpar.host import registry, staffing
from pytest_procpar.host.registry import Registry
from pytest_procpar.host.staffing import Staffing

MB = 1 << 20
FORKED_FROM = 7


def settings(workers: int = 8, elastic: int = 8, *, shares_host: bool = False) -> Any:
    options = RunOptions(workers=workers)
    return SimpleNamespace(
        workers=workers, elastic=elastic, shares_host=shares_host, dist=options.dist,
        run_options=lambda: options,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight processors, 100 MB left, and workers are forked from 200 MB."""
    monkeypatch.setattr(staffing, "headroom", lambda: 108 * MB)
    monkeypatch.setattr(staffing, "resident", lambda pid: 200 * MB)
    monkeypatch.setattr(staffing, "processors", lambda: 0xFF)
    monkeypatch.setattr(staffing, "quota_group", lambda: None)


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    place = tmp_path / "runtime"
    place.mkdir(mode=0o700)
    yield {"XDG_RUNTIME_DIR": str(place)}
    registry._has_place = False


def begin(
    staff: Staffing, parent: int | None = FORKED_FROM, measured: int = 0, known: Worth | None = None
) -> str:
    """The number that is begun with, and why."""
    limits = staff.begin(100, known, parent, measured, 0.0, grows=True)
    return f"{number_of(limits)} {reason_of(limits, 8)}".strip()


@pytest.mark.parametrize(
    ("parent", "measured", "begun"),
    [
        (FORKED_FROM, 0, "2 of 8 processors: memory for more is not left"),  # 50 MB each
        (FORKED_FROM, 20 * MB, "5 of 8 processors: memory for more is not left"),
        (FORKED_FROM, 200 * MB, "1 of 8 processors: memory for more is not left"),
        (FORKED_FROM, 5 * MB, "8"),
        (None, 0, "8"),
    ],
)
def test_no_more_are_started_than_have_memory(parent: int | None, measured: int, begun: str) -> None:
    assert begin(Staffing(settings(), {}), parent, measured) == begun


def test_a_number_that_the_user_has_given_is_not_changed(environ: dict[str, str]) -> None:
    staff = Staffing(settings(elastic=0, shares_host=True), environ)
    assert begin(staff, measured=900 * MB, known=Worth(1, 1.0)) == "8"
    assert staff.look(8, 1.0) is None
    staff.leave()


class OtherRun:
    """Another process, with a place among the runs."""

    def __init__(self, environ: dict[str, str], claim: Claim) -> None:
        heard, says = os.pipe()
        told, self._tells = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            try:
                os.close(self._tells)
                registry._has_place = False
                Registry(environ).tell(claim)
                os.write(says, b"x")
                os.read(told, 1)
            finally:
                os._exit(0)
        for fd in (says, told):
            os.close(fd)
        assert os.read(heard, 1) == b"x"
        os.close(heard)

    def end(self) -> None:
        os.close(self._tells)
        os.waitpid(self._pid, 0)


def test_other_runs_are_heeded_as_they_come_and_go(environ: dict[str, str]) -> None:
    other = OtherRun(environ, Claim(1, 8, 0xFF))
    staff = Staffing(settings(shares_host=True), environ)
    assert begin(staff, measured=MB) == "4 of 8 processors: shared with 1 other run"
    assert staff.look(100, 1.0) is None
    assert staff.deadline() is not None
    other.end()
    assert staff.look(100, 2.0) == 8
    assert staff.deadline() is None
    staff.leave()
    staff.leave()
    assert staff.look(100, 3.0) is None


def test_a_run_that_stands_still_leaves_its_processors_to_others(environ: dict[str, str]) -> None:
    staff = Staffing(settings(shares_host=True), environ)
    begin(staff, measured=MB)
    wants = []
    changes: tuple[Callable[[], None], ...] = (lambda: None, staff.idle, staff.go_on)
    for change in changes:
        change()
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            registry._has_place = False
            (claim,) = Registry(environ).others()
            os.write(writer, bytes([claim.want]))
            os._exit(0)
        os.waitpid(pid, 0)
        wants.append(os.read(reader, 1)[0])
        os.close(reader)
        os.close(writer)
    staff.leave()
    assert wants == [8, 1, 8]


def test_without_a_place_nothing_is_shared_and_the_reason_is_known(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    (Path(environ["XDG_RUNTIME_DIR"]) / "pytest-procpar").mkdir(mode=0o700)
    (Path(environ["XDG_RUNTIME_DIR"]) / "pytest-procpar" / "runs").mkdir()
    staff = Staffing(settings(shares_host=True), environ)
    assert begin(staff, measured=MB) == "8"
    assert staff.trouble == "Is a directory"
    assert staff.deadline() is None


def test_a_descriptor_that_somebody_has_closed_ends_the_sharing(environ: dict[str, str]) -> None:
    other = OtherRun(environ, Claim(1, 8, 0xFF))
    staff = Staffing(settings(shares_host=True), environ)
    begin(staff, measured=MB)
    assert staff._registry is not None
    os.close(staff._registry._fd)
    staff._registry._fd = -1
    assert staff.look(100, 1.0) == 8
    assert staff.look(100, 2.0) is None
    other.end()


def test_what_takes_longer_than_was_known_gets_all_that_memory_allows() -> None:
    staff = Staffing(settings(), {})
    known = Worth(2, 10.0)
    assert begin(staff, measured=20 * MB, known=known) == "2 of 8 processors: more would gain nothing"
    assert staff.deadline() == known.patience
    assert not staff.is_due(known.patience - 0.1)
    assert staff.is_due(known.patience)
    assert staff.look(50, known.patience) == 5
    assert staff.deadline() is None


def test_the_largest_quota_that_a_kernel_grants_is_no_error(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staffing, "quota_group", lambda: (1 << 34, 1 << 63))
    staff = Staffing(settings(shares_host=True), environ)
    assert begin(staff, measured=MB) == "8"
    assert staff.trouble is None
    staff.leave()
