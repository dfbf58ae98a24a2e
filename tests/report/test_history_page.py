"""What `--procpar-history=show` prints."""

from __future__ import annotations

import time

import pytest

from pytest_procpar.core.history.durations import EMPTY, DurationHistory, PastRun
from pytest_procpar.history.page import page


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "localtime", time.gmtime)


def history(tests: int) -> DurationHistory:
    rows = {f"test[{number}]": [1, 1_000, number * 1_000_000, 500] for number in range(tests)}
    settings = {
        "": [1, 20_000, 0],
        "tests/test_db.py": [1, 3_000_000, 40_000],
        "tests/test_db.py::TestX": [1, 5_000, 0],
    }
    return DurationHistory({1: PastRun("a", 1_800_000_000, tests)}, {"tests/test_db.py": rows}, settings)


def test_the_slowest_and_the_dearest() -> None:
    assert (
        "\n".join(page(history(13), 80, 18)).splitlines()
        == """\
13 tests, 1 run, the latest on 2027-01-15 08:00
all tests: 78.0 s (set-up 0.013 s, call 78.0 s, teardown 0.006 s), without the fixtures below

slowest tests:
    12.0 s  tests/test_db.py::test[12]
    11.0 s  tests/test_db.py::test[11]
    10.0 s  tests/test_db.py::test[10]
   9.002 s  tests/test_db.py::test[9]
   8.002 s  tests/test_db.py::test[8]
            and 8 more

dearest fixtures of a module, a class or the session, set-up and teardown:
   3.040 s  tests/test_db.py
   0.020 s  (session)
   0.005 s  tests/test_db.py::TestX""".splitlines()
    )


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (40, 60), (20, 10), (200, 0), (1, 1)])
def test_there_is_as_much_as_there_is_room_for(columns: int, lines: int) -> None:
    shown = list(page(history(100), columns, lines))
    assert len(shown) <= max(lines - 1, 15)
    assert len(shown) >= min(lines - 4, 100)
    ranked = [line for line in shown if line.startswith("  ")]
    assert all(len(line) <= max(columns, 14) for line in ranked)


def test_a_long_name_keeps_its_ends_and_acts_on_no_terminal() -> None:
    rows = {f"test_{'x' * 200}[\x1b[31m]": [1, 0, 5, 0]}
    known = DurationHistory({1: PastRun("a", 0, 1)}, {"tests/test_a.py": rows}, {})
    (line,) = [line for line in page(known, 60, 24) if line.startswith("  ")]
    assert len(line) == 60
    assert line.startswith("   0.000 s  tests/te…")
    assert line.endswith(r"xx[\x1b[31m]")


def test_an_empty_history() -> None:
    assert list(page(EMPTY, 80, 24)) == ["0 tests, no run"]
