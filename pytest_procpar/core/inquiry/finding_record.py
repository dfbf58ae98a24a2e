"""A finding as plain data, for programs: what `pytest_procpar_findings` passes and the JSON report holds."""

from __future__ import annotations

from typing import TypedDict

__all__ = ["ChangeRecord", "CommandRecord", "FindingRecord", "RootRecord", "TallyRecord", "TestName"]


class TestName(TypedDict):
    """A test."""

    nodeid: str
    index: int


class TallyRecord(TypedDict):
    """How often the test failed under some conditions."""

    under: str
    failed: int
    runs: int


class _Tried(TypedDict, total=False):
    runs: int
    reason: str


class CommandRecord(_Tried):
    """A command, how the test should end, and how it ended in a fresh process (null: not tried).

    ``runs`` is there if that depends on which process is faster: how often the command was tried until it
    ended as expected. ``reason`` is there if something kept the command from being tried.
    """

    command: str
    expected: str
    outcome: str | None


class ChangeRecord(TypedDict):
    """State that a polluter changes, and whether putting it back is proven to make the test pass."""

    slot: str
    before: str
    after: str
    proven: bool


class RootRecord(TypedDict):
    """What several tests that have failed in the same way have in common.

    It has the first of them, how many there are, where they failed in words (empty: not all at the same
    place), and the message of the first.
    """

    first: TestName
    tests: int
    where: str
    message: str


class _More(TypedDict, total=False):
    since: str
    runs: int
    cleaners: list[TestName]
    state: list[ChangeRecord]
    root: RootRecord
    files: list[str]
    patch: str


class FindingRecord(_More):
    """A finding. What was not asked for is absent.

    ``since`` is the day (ISO 8601) on which it was first found, and ``runs`` is how many runs found it, this
    one included; both are there if the project's cache keeps the finding.
    """

    kind: str
    flagged: bool
    collection_dependent: bool
    test: TestName
    causes: list[TestName]
    beside: list[TestName]
    message: str
    note: str
    tallies: list[TallyRecord]
    commands: list[CommandRecord]
