"""Merges histories. The result does not depend on their order, nor on how often each of them is merged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_procpar.core.history.durations import (
    KEPT,
    OF_SETTING,
    OF_TEST,
    DurationHistory,
    PastRun,
    Row,
)

__all__ = ["merged"]


def merged(histories: Iterable[DurationHistory]) -> DurationHistory:
    """All that is known in any of these histories."""
    all_of_them = list(histories)
    places = _common_runs(all_of_them)
    numbers = {past.ident: number for number, past in enumerate(places, 1)}
    tests: dict[str, dict[str, Row]] = {}
    settings: dict[str, Row] = {}
    for history in all_of_them:
        renumbered = {old: numbers[past.ident] for old, past in history.runs.items()}
        if all(old == new for old, new in renumbered.items()):
            renumbered = {}
        for file, rows in history.tests.items():
            _add(tests.setdefault(file, {}), rows, renumbered, OF_TEST)
        _add(settings, history.settings, renumbered, OF_SETTING)
    return DurationHistory(dict(enumerate(places, 1)), tests, settings)


def _common_runs(histories: Iterable[DurationHistory]) -> list[PastRun]:
    """The runs that any of them knows, in their order."""
    known: dict[str, PastRun] = {}
    for history in histories:
        for past in history.runs.values():
            other = known.get(past.ident)
            if other is None or (past.time, past.tests) > (other.time, other.tests):
                known[past.ident] = past
    return sorted(known.values(), key=lambda past: past.place)


def _add(known: dict[str, Row], rows: Mapping[str, Row], renumbered: Mapping[int, int], width: int) -> None:
    """Add rows to those that are known, with the new numbers of their runs; none: they keep them."""
    if renumbered:
        rows = {name: _renumbered(row, renumbered, width) for name, row in rows.items()}
    if not known:
        known.update(rows)
        return
    for name, row in rows.items():
        other = known.get(name)
        known[name] = row if other is None else _joined(other, row, width)


def _renumbered(row: Row, renumbered: Mapping[int, int], width: int) -> Row:
    new = row.copy()
    new[::width] = [renumbered[number] for number in row[::width]]
    return new


def _joined(one: Row, other: Row, width: int) -> Row:
    """The latest of what two rows have; that a test was skipped counts if nothing else is known."""
    if len(one) == 1 or len(other) == 1:
        return max(one, other, key=lambda row: (len(row), row[0]))
    if one[0] < other[0]:
        one, other = other, one
    if one[-width] > other[0]:  # all of it is later
        return (one + other)[: KEPT * width]
    measured = {tuple(row[at : at + width]) for row in (one, other) for at in range(0, len(row), width)}
    by_run = {times[0]: times for times in sorted(measured)}
    latest = [by_run[number] for number in sorted(by_run, reverse=True)[:KEPT]]
    return [number for times in latest for number in times]
