"""The history of durations: what is kept of runs, merged, forgotten, written and read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pytest_procpar.core.history.durations import (
    EMPTY,
    KEPT,
    OF_SETTING,
    OF_TEST,
    DurationHistory,
    PastRun,
    Row,
    function_of,
    median,
    settings_of,
    smoothed,
)
from pytest_procpar.core.history.forecast import Forecast
from pytest_procpar.core.history.merging import merged
from pytest_procpar.core.history.pruning import MOST_TESTS, UNSEEN, pruned
from pytest_procpar.core.history.recording import MOST_MICROSECONDS
from pytest_procpar.core.history.schema import OtherVersion, Parsed, UnreadableHistory, parsed, written

NAMES = [f"{file}::{name}" for file in ("a.py", "b/c.py") for name in ("test", "test[1]", "T::test[x::y]")]


def history(
    runs: Iterable[tuple[str, int, Mapping[str, Row]]], settings: Iterable[str] = ()
) -> DurationHistory:
    """A history of runs: id, time, and the times of each test; each setting costs as much as the time."""
    return merged(
        DurationHistory(
            {1: PastRun(ident, time, len(tests))},
            {
                file: {
                    nodeid.partition("::")[2]: [1, *row]
                    for nodeid, row in tests.items()
                    if nodeid.startswith(f"{file}::")
                }
                for file in dict.fromkeys(nodeid.partition("::")[0] for nodeid in tests)
            },
            {key: [1, time * 1_000, 0] for key in settings},
        )
        for ident, time, tests in runs
    )


def meaning(known: DurationHistory) -> object:
    """What a history says, whatever numbers its runs have."""

    def told(row: Row, width: int) -> list[object]:
        cut = [row[at : at + width] for at in range(0, len(row), width)]
        return [(known.runs[number].ident, *times) for number, *times in cut]

    tests = {
        f"{file}::{name}": told(row, OF_TEST)
        for file, rows in known.tests.items()
        for name, row in rows.items()
    }
    settings = {key: told(row, OF_SETTING) for key, row in known.settings.items()}
    return sorted((past.ident, past.time, past.tests) for past in known.runs.values()), tests, settings


TIMES = st.lists(st.integers(0, MOST_MICROSECONDS), min_size=3, max_size=3)
#: What a run measured of each test; an empty list: that it was skipped.
MEASURED = st.dictionaries(st.sampled_from(NAMES), TIMES | st.just([]), min_size=1)
RUNS = st.lists(st.tuples(st.integers(0, 5), MEASURED), min_size=1, max_size=8).map(
    lambda runs: [(f"run {number}", time, tests) for number, (time, tests) in enumerate(runs)]
)
#: Runs, and which of them each of some histories knows.
SOME = RUNS.flatmap(
    lambda runs: st.lists(st.lists(st.sampled_from(runs), min_size=1), min_size=1, max_size=4).map(
        lambda parts: [history(part, ["a.py", ""]) for part in parts]
    )
)


@given(SOME)
def test_merging_depends_neither_on_order_nor_on_grouping_nor_on_repetition(
    some: list[DurationHistory],
) -> None:
    whole = meaning(merged(some))
    for order in list(permutations(some))[:6]:
        assert meaning(merged(order)) == whole
        one_by_one = EMPTY
        for each in order:
            one_by_one = merged([one_by_one, each])
        assert meaning(one_by_one) == whole
    assert meaning(merged([*some, merged(some), some[0]])) == whole


@given(RUNS)
def test_of_each_test_the_latest_runs_are_kept(
    runs: list[tuple[str, int, dict[str, Row]]],
) -> None:
    known = history(runs)
    for nodeid in NAMES:
        latest = [
            (ident, *tests[nodeid])
            for ident, _, tests in sorted(runs, key=lambda run: (run[1], run[0]), reverse=True)
            if nodeid in tests
        ]
        ran = [times for times in latest if len(times) > 1]
        row = known.row(nodeid)
        if not latest:
            assert row is None
        else:
            assert row is not None
            cut = [row[at : at + OF_TEST] for at in range(0, len(row), OF_TEST)]
            kept = [(known.runs[number].ident, *times) for number, *times in cut]
            assert kept == (ran[:KEPT] if ran else latest[:1]), (
                "what ran counts, and a skip only if nothing did"
            )


@given(SOME)
def test_what_is_written_is_read(some: list[DurationHistory]) -> None:
    known = merged(some)
    found = parsed(written(known))
    assert found.left_out == 0
    assert meaning(found.history) == meaning(known)
    assert written(found.history) == written(known)


# --- forgetting ---


@given(SOME, st.integers(0, 8))
def test_pruning_keeps_what_ran_last_and_no_more_than_it_may(some: list[DurationHistory], most: int) -> None:
    known = merged(some)
    after = pruned(known, most)
    kept = {f"{file}::{name}" for file, rows in after.tests.items() for name in rows}
    assert len(kept) <= most
    rows = {nodeid: row for nodeid in NAMES if (row := known.row(nodeid)) is not None}
    oldest = min((rows[nodeid][0] for nodeid in kept), default=None)
    if oldest is not None and len(kept) == min(most, len(rows)):
        assert all(rows[nodeid][0] <= oldest for nodeid in rows.keys() - kept)
    for nodeid in kept:
        assert after.row(nodeid) == rows[nodeid]
    parsed(written(after))  # no row has a run that is gone
    assert parsed(written(after)).left_out == 0
    assert after == pruned(known, most), "it is deterministic"


def whole(count: int, extra: Mapping[str, Row] | None = None) -> list[tuple[str, int, Mapping[str, Row]]]:
    tests = {nodeid: [1, 2, 3] for nodeid in NAMES}
    return [(f"{number:04}", number, {**tests, **(extra or {})}) for number in range(count)]


def test_a_test_is_forgotten_after_so_many_whole_runs_without_it() -> None:
    first = ("first", 0, {"gone.py::test": [1, 1, 1]})
    later = [(ident, time + 1, tests) for ident, time, tests in whole(UNSEEN + 10)]
    wanted = -(-UNSEEN * (len(NAMES) + 1) // len(NAMES))
    assert pruned(history([first, *later[: wanted - 1]], ["gone.py"])).row("gone.py::test") is not None
    after = pruned(history([first, *later[:wanted]], ["gone.py"]))
    assert after.row("gone.py::test") is None
    assert "gone.py" not in after.tests
    assert after.count == len(NAMES)


def test_runs_of_one_test_make_no_other_forgotten() -> None:
    runs = [*whole(1), *((f"x{n}", n, {NAMES[0]: [1, 1, 1]}) for n in range(1, UNSEEN + 20))]
    after = pruned(history(runs))
    assert after.count == len(NAMES)


def test_a_history_of_many_runs_stays_small() -> None:
    runs = [(f"{number:06}", number, {NAMES[0]: [1, 1, 1]}) for number in range(2_500)]
    after = pruned(history([*runs, ("whole", 0, {nodeid: [1, 1, 1] for nodeid in NAMES})]))
    assert len(after.runs) <= 1_001


def test_cheap_settings_are_dropped() -> None:
    known = history([("a", 0, {NAMES[0]: [1, 1, 1]}), ("b", 5, {NAMES[0]: [1, 1, 1]})], ["a.py", "gone.py"])
    assert set(pruned(known).settings) == {"a.py"}
    assert pruned(history([("a", 0, {NAMES[0]: [1, 1, 1]})], ["a.py"])).settings == {}


def test_what_is_too_large_loses_what_ran_long_ago() -> None:
    old = {f"old.py::test[{number}]": [1, 1, 1] for number in range(300)}
    new = {f"new.py::test[{number}]": [1, 1, 1] for number in range(100)}
    known = history([("a", 1, old), ("b", 2, new)])
    text = written(known, 6_000)
    assert len(text) <= 6_000
    left = parsed(text).history
    assert len(left.tests["new.py"]) == 100
    assert 20 < len(left.tests["old.py"]) < 250
    assert parsed(written(known, 10)).history.count == 0


def test_no_more_tests_are_kept_than_fit() -> None:
    rows = {f"test[{number}]": [1, 1, 1, 1] for number in range(MOST_TESTS + 5)}
    known = DurationHistory({1: PastRun("a", 1, len(rows))}, {"a.py": rows}, {})
    assert pruned(known).count == MOST_TESTS


# --- reading what may be anything ---

GOOD = written(history(whole(3), ["a.py", ""]))
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5) | st.just("1"), inner, max_size=4)
    ),
    max_leaves=20,
)


def read(text: bytes) -> Parsed | None:
    """What a text has; None if it is refused. Whatever is read can be used in every way."""
    try:
        found = parsed(text)
    except UnreadableHistory:
        return None
    known = found.history
    both = merged([known, history(whole(2), ["a.py"])])
    again = parsed(written(pruned(both)))
    assert again.left_out == 0
    for rows in known.tests.values():
        for row in rows.values():
            assert all(0 <= time <= MOST_MICROSECONDS for time in smoothed(row, OF_TEST))
    return found


@given(st.binary(max_size=200))
@example(b"\xff\xfe")
@example(b"[" * 100_000)
@example(b'{"format":"procpar-history","version":1' + b"9" * 5_000 + b"}")
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    read(text)


@given(st.integers(0, len(GOOD)))
def test_a_truncated_history_is_empty_damaged_or_whole(size: int) -> None:
    text = GOOD[:size]
    found = read(text)
    if found is None:
        with pytest.raises(UnreadableHistory) as raised:
            parsed(text)
        assert raised.value.ours or size < 27, "what begins as a history was one"
    elif size:
        assert found == parsed(GOOD)
    else:
        assert found == Parsed(EMPTY, 0)


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=3))
def test_a_history_with_other_bytes_in_it_is_read_or_refused(at: int, some: bytes) -> None:
    read(GOOD[:at] + some + GOOD[at + len(some) :])


@given(JSON, JSON, JSON)
def test_any_values_in_the_places_of_ours_are_read_or_refused(
    runs: object, settings: object, tests: object
) -> None:
    data = {"format": "procpar-history", "version": 1, "runs": runs, "settings": settings, "tests": tests}
    read(json.dumps(data).encode())


ROWS = st.lists(
    st.integers(-2, 4) | st.sampled_from([10**13, 10**13 + 1, 10**400, 1.5, float("nan"), True, None, "1"]),
    max_size=13,
)


@given(st.dictionaries(st.sampled_from(["test", "T::test", ""]), ROWS | JSON), st.lists(ROWS, max_size=2))
def test_rows_that_make_no_sense_are_left_out_and_the_others_are_not(
    rows: dict[str, object], more: list[object]
) -> None:
    data = json.loads(GOOD)
    data["tests"]["a.py"] |= rows
    data["settings"] |= {f"s{number}": row for number, row in enumerate(more)}
    found = read(json.dumps(data).encode())
    assert found is not None
    for nodeid in NAMES:
        if nodeid.partition("::")[2] not in rows:
            assert found.history.row(nodeid) == parsed(GOOD).history.row(nodeid)
    read_rows = len(found.history.tests.get("a.py", {})) + len(found.history.settings)
    assert read_rows + found.left_out >= len(data["tests"]["a.py"]) + len(data["settings"]) - len(more)


@pytest.mark.parametrize(
    ("row", "is_good"),
    [
        ([2, 1, 2, 3, 1, 1, 2, 3], True), ([2], True), ([3, 0, 0, 0], True),
        ([], False), ([1, 2], False), ([4, 1, 2, 3], False), ([1, 1, 2, 3, 2, 1, 2, 3], False),
        ([2, 1, 2, 3, 2, 1, 2, 3], False), ([1, -1, 2, 3], False), ([1, 1.0, 2, 3], False),
        ([1, True, 2, 3], False), ([1, 1, 2, 10**13 + 1], False), ([1, 1, 2, float("nan")], False),
        ([1, 1, 2, float("inf")], False), ("1", False), (None, False), ({}, False),
        ([3, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1], True), ([3, 1, 1, 1] * 4, False),
    ],
)  # fmt: skip
def test_what_a_row_may_be(row: object, is_good: bool) -> None:
    data = json.loads(GOOD)
    data["tests"] = {"a.py": {"test": row, "other": [3, 7, 7, 7]}}
    found = parsed(json.dumps(data).encode())
    assert found.left_out == (0 if is_good else 1)
    assert ("test" in found.history.tests["a.py"]) == is_good
    assert found.history.tests["a.py"]["other"] == [3, 7, 7, 7]


@pytest.mark.parametrize(
    ("text", "why", "ours"),
    [
        (b"hello", "is no history", False),
        (b"{}", "is no history", False),
        (b"[]", "is no history", False),
        (b'{"format":"procpar-report","version":1}', "is no history", False),
        (b'{"format":"procpar-history","version":2,"new":1}', "has version 2 of the schema", False),
        (b'{"format":"procpar-history","version":true}', "has version True of the schema", False),
        (b'{"format":"procpar-history"}', "has version None of the schema", False),
        (b'{"format":"procpar-history","version":1}', "is damaged", True),
        (b'{"format":"procpar-history","version":1,"runs":[],"settings":{},"tests":{}}', "is damaged", True),
        (b'{"format":"procpar-history","version":1,\n"runs"', "is damaged", True),
        (b'\xef\xbb\xbf {"format":"procpar-history"<<<<', "is damaged", True),
    ],
)
def test_what_is_no_history_is_refused_with_the_reason(text: bytes, why: str, ours: bool) -> None:
    with pytest.raises(UnreadableHistory) as raised:
        parsed(text)
    assert (str(raised.value), raised.value.ours) == (why, ours)
    assert isinstance(raised.value, OtherVersion) == ("version " in why)


def test_numbers_of_runs_need_not_follow_their_times() -> None:
    """As in a file that somebody has put together by hand."""
    known = history([("a", 1, {NAMES[0]: [1, 1, 1]}), ("b", 2, {NAMES[0]: [2, 2, 2]})])
    data = json.loads(written(known))
    data["runs"] = {"1": data["runs"]["2"], "2": data["runs"]["1"]}
    data["tests"]["a.py"]["test"] = [2, 1, 1, 1, 1, 2, 2, 2]
    assert meaning(parsed(json.dumps(data).encode()).history) == meaning(known)


def test_a_file_has_no_more_than_a_line_for_each_file_of_tests() -> None:
    assert GOOD.decode("ascii").splitlines()[:1] == ['{"format":"procpar-history","version":1,']
    assert len(GOOD.splitlines()) == 7
    odd = history([("a", 1, {'é"\udc80.py::test[\n]': [1, 1, 1]})])
    assert meaning(parsed(written(odd)).history) == meaning(odd)


# --- times ---


@pytest.mark.parametrize(
    ("row", "times"),
    [
        ([5], [0, 0, 0]),
        ([1, 7, 14, 21], [7, 14, 21]),
        ([2, 0, 30, 3, 1, 30, 0, 3], [10, 20, 3]),
        ([3, 7, 0, 0, 2, 0, 7, 0, 1, 0, 0, 7], [4, 2, 1]),
    ],
)
def test_the_latest_run_counts_twice_as_much_as_the_one_before(row: Row, times: list[float]) -> None:
    assert smoothed(row, OF_TEST) == pytest.approx(times)


@given(st.lists(st.floats(0, 100), min_size=1))
def test_the_median_has_as_many_values_on_either_side(values: list[float]) -> None:
    middle = median(values)
    below, above = sum(v < middle for v in values), sum(v > middle for v in values)
    assert max(below, above) <= len(values) / 2


@pytest.mark.parametrize(
    ("nodeid", "function", "settings"),
    [
        ("a.py::test", "a.py::test", ("", "a.py")),
        ("a.py::test[x::y[]", "a.py::test", ("", "a.py")),
        ("a.py::A::B::test[1]", "a.py::A::B::test", ("", "a.py", "a.py::A", "a.py::A::B")),
        ("[d]/a.py::A::test[1]", "[d]/a.py::A::test", ("", "[d]/a.py", "[d]/a.py::A")),
        ("README.md::README.md", "README.md::README.md", ("", "README.md")),
        ("file.yaml", "file.yaml", ("", "file.yaml")),
    ],
)
def test_what_a_test_shares_its_fixtures_with(nodeid: str, function: str, settings: tuple[str, ...]) -> None:
    assert function_of(nodeid) == function
    assert settings_of(function) == settings


# --- the documented schema ---

DOCS = Path(__file__).resolve().parents[2] / "docs"
SCHEMA = Draft202012Validator(json.loads((DOCS / "history.schema.json").read_text(encoding="utf-8")))


@given(SOME)
def test_what_is_written_follows_the_schema(some: list[DurationHistory]) -> None:
    Draft202012Validator.check_schema(SCHEMA.schema)
    SCHEMA.validate(json.loads(written(merged(some))))


def test_the_documented_example_is_as_it_would_be_written() -> None:
    (example,) = re.findall(
        r"```json\n(.*?)```", (DOCS / "history.md").read_text(encoding="utf-8"), re.DOTALL
    )
    SCHEMA.validate(json.loads(example))
    found = parsed(example.encode())
    assert found.left_out == 0
    assert written(found.history).decode() == example


@pytest.mark.parametrize("row", [[1, -1, 0, 0], [1, 1.5, 0, 0], [10**13 + 1], [], [1] * 16])
def test_the_schema_refuses_what_is_left_out(row: object) -> None:
    data = {**json.loads(GOOD), "tests": {"a.py": {"test": row}}}
    assert not SCHEMA.is_valid(data)
    assert parsed(json.dumps(data).encode()).left_out == 1


@pytest.mark.parametrize(
    ("more", "memory"), [([], 0), ([5], 5), ([0], None), ([-1], None), (["5"], None), ([5, 5], None)]
)
def test_how_much_memory_a_worker_had_is_kept_with_its_run(more: list[object], memory: int | None) -> None:
    data = {
        "format": "procpar-history", "version": 1, "runs": {"1": ["a", 7, 1, *more]}, "settings": {},
        "tests": {"a.py": {"test": [1, 1, 2, 3]}},
    }  # fmt: skip
    found = parsed(json.dumps(data).encode())
    assert [run.memory for run in found.history.runs.values()] == ([] if memory is None else [memory])
    assert SCHEMA.is_valid(data) == (memory is not None)
    if memory is not None:
        assert parsed(written(found.history)).history == found.history


def test_a_worker_is_expected_to_have_as_much_as_in_the_latest_runs_that_say_so() -> None:
    runs = {n: PastRun(str(n), n, 1, memory) for n, memory in enumerate((90, 0, 30, 20, 0, 10), 1)}
    assert Forecast(DurationHistory(runs, {}, {})).worker_memory() == 30
    assert Forecast(EMPTY).worker_memory() == 0


def test_whether_most_tests_are_known() -> None:
    known = Forecast(DurationHistory({}, {"a.py": {f"test[{n}]": [1, 0, 1, 0] for n in range(19)}}, {}))
    old = [f"a.py::test[{n}]" for n in range(19)]
    assert known.knows_most([*old, "b.py::test"])
    assert not known.knows_most([*old, "b.py::test", "a.py::test[99]"])
