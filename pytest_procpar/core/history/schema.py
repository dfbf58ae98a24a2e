"""A history as text: one JSON object, documented in ``docs/history.md``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, pairwise
from operator import gt
from typing import cast

from pytest_procpar.core.history.durations import (
    EMPTY,
    KEPT,
    OF_SETTING,
    OF_TEST,
    DurationHistory,
    PastRun,
    Row,
)
from pytest_procpar.core.history.merging import merged
from pytest_procpar.core.history.pruning import pruned
from pytest_procpar.core.history.recording import MOST_MICROSECONDS
from pytest_procpar.core.record import record

__all__ = [
    "FORMAT",
    "MOST_BYTES",
    "VERSION",
    "OtherVersion",
    "Parsed",
    "UnreadableHistory",
    "parsed",
    "written",
]

#: The file's format and the version of its schema.
FORMAT, VERSION = "procpar-history", 1
#: A file is not written larger than this: 100,000 tests with nodeids of a usual length fit.
MOST_BYTES = 16 << 20
#: What every file of ours begins with.
_MARK = f'{{"format":"{FORMAT}"'
#: More than any of ours; beyond these a file is not ours.
_LATEST_TIME, _LONGEST_IDENT = 1 << 53, 64


class UnreadableHistory(ValueError):
    """A text is no history. The message says why, in words that follow "it".

    :param ours: whether it was one.
    """

    def __init__(self, why: str, *, ours: bool) -> None:
        super().__init__(why)
        self.ours = ours


class OtherVersion(UnreadableHistory):
    """It is a history that another version of this package has written."""


@record
class Parsed:
    """A history, and how many of its entries were left out since they make no sense."""

    history: DurationHistory
    left_out: int


def written(history: DurationHistory, most: int = MOST_BYTES) -> bytes:
    """The history as text, with a line for each file; what ran long ago is left out if it is too large."""
    text = _to_text(history)
    while len(text) > most and history.count:
        fitting = int(history.count * 0.9 * most / len(text))
        history = pruned(history, fitting)
        text = _to_text(history)
    return text.encode("ascii")


def _to_text(history: DurationHistory) -> str:
    runs = {
        str(number): [past.ident, past.time, past.tests, *([past.memory] if past.memory else ())]
        for number, past in history.runs.items()
    }
    files = [f"{_dumped(file)}:{_dumped(rows)}" for file, rows in sorted(history.tests.items())]
    return "".join((
        f'{_MARK},"version":{VERSION},\n"runs":{json.dumps(runs, separators=(",", ":"))},\n',
        f'"settings":{_dumped(history.settings)},\n"tests":{{\n', ",\n".join(files), "\n}}\n",
    ))  # fmt: skip


def _dumped(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def parsed(text: bytes) -> Parsed:
    """The history that a text is; an empty text is an empty one.

    :raises UnreadableHistory: if it is none.
    """
    if not text.strip():
        return Parsed(EMPTY, 0)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        ours = text.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_MARK.encode())
        raise UnreadableHistory("is damaged" if ours else "is no history", ours=ours) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise UnreadableHistory("is no history", ours=False)
    version = data.get("version")
    if version != VERSION or type(version) is not int:
        raise OtherVersion(f"has version {str(version)[:20]} of the schema", ours=False)
    parts = [data.get(name) for name in ("runs", "settings", "tests")]
    if not all(isinstance(part, dict) for part in parts):
        raise UnreadableHistory("is damaged", ours=True)
    return _checked(*cast("list[dict[str, object]]", parts))


def _checked(runs: dict[str, object], settings: dict[str, object], tests: dict[str, object]) -> Parsed:
    past, left_out = _runs(runs)
    good, bad = _rows(settings, OF_SETTING, past)
    files: dict[str, Mapping[str, Row]] = {}
    left_out += bad
    for file, rows in tests.items():
        if not isinstance(rows, dict):
            left_out += 1
            continue
        left, bad = _rows(rows, OF_TEST, past)
        left_out += bad
        if left:
            files[file] = left
    good = {key: row for key, row in good.items() if len(row) > 1}
    history = DurationHistory(past, files, good)
    return Parsed(history if _is_ordered(past) else merged([_sorted(history)]), left_out)


def _runs(data: Mapping[str, object]) -> tuple[dict[int, PastRun], int]:
    """The runs by number, and how many make no sense."""
    found: dict[int, PastRun] = {}
    idents: set[str] = set()
    for number, value in data.items():
        match value:
            case [str() as ident, int() as time, int() as tests, *more] if (
                0 < len(ident) <= _LONGEST_IDENT
                and ident not in idents
                and 0 <= time <= _LATEST_TIME
                and 0 <= tests <= _LATEST_TIME
                and _is_memory(more)
                and len(number) < 16
                and number.isdecimal()
                and number.isascii()
                and int(number) not in found
            ):
                found[int(number)] = PastRun(ident, int(time), int(tests), *cast("list[int]", more))
                idents.add(ident)
    return found, len(data) - len(found)


def _is_memory(more: Sequence[object]) -> bool:
    """Whether that is what may follow in a run: nothing, or how much memory a worker had."""
    return not more or (len(more) == 1 and type(more[0]) is int and 0 < more[0] <= _LATEST_TIME)


def _is_ordered(runs: Mapping[int, PastRun]) -> bool:
    places = [runs[number].place for number in sorted(runs)]
    return all(map(gt, places[1:], places))


def _sorted(history: DurationHistory) -> DurationHistory:
    """The history of a file whose numbers do not follow its runs' times: with rows in the order of these."""

    def in_order(row: Row, width: int) -> Row:
        times = [row[at : at + width] for at in range(0, len(row), width)]
        times.sort(key=lambda some: history.runs[some[0]].place, reverse=True)
        return list(chain.from_iterable(times))

    tests = {
        file: {name: in_order(row, OF_TEST) for name, row in rows.items()}
        for file, rows in history.tests.items()
    }
    settings = {key: in_order(row, OF_SETTING) for key, row in history.settings.items()}
    return DurationHistory(history.runs, tests, settings)


def _rows(
    data: Mapping[str, object], width: int, runs: Mapping[int, PastRun]
) -> tuple[Mapping[str, Row], int]:
    """The rows that make sense, and how many do not. Most often all do: that is found out for all at once."""
    if _all_alike(data.values(), width, runs):
        return cast("Mapping[str, Row]", data), 0
    good = {name: cast("Row", row) for name, row in data.items() if _all_alike([row], width, runs)}
    return good, len(data) - len(good)


def _all_alike(rows: Iterable[object], width: int, runs: Mapping[int, PastRun]) -> bool:
    """Whether all of these are rows that make sense, and as long as each other."""
    some = list(rows)
    if set(map(type, some)) != {list}:
        return False
    lists = cast("list[Sequence[object]]", some)
    length, *others = set(map(len, lists))
    if others or not (length == 1 or (length % width == 0 and 0 < length <= KEPT * width)):
        return False
    flat = list(chain.from_iterable(lists))
    if set(map(type, flat)) != {int}:
        return False
    numbers = cast("list[int]", flat)
    by_run = [numbers[at::length] for at in range(0, length, width)]
    if min(numbers) < 0 or max(numbers) > MOST_MICROSECONDS or not set(chain(*by_run)) <= runs.keys():
        return False
    return all(all(map(gt, one, next_one)) for one, next_one in pairwise(by_run))
