"""The file that ``--replay`` reads: a report with its sequences, or a small file that somebody wrote.

Knows nothing of items, of workers, or of what a sequence is used for. ``docs/report.md`` explains the
formats.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from pytest_procpar.core.record import record

__all__ = [
    "KEYS", "REPLAY", "REPLAY_FORMAT", "REPORT_FORMAT", "VERSION", "Mention", "Replay", "pinned_keys",
    "read_replay",
]  # fmt: skip

#: The formats that can be read, and the version of each.
REPORT_FORMAT, REPLAY_FORMAT, VERSION = "procpar-report", "procpar-replay", 1

#: A file with more bytes than this is not read: the report of a hundred thousand tests has a fifth of that.
_LARGEST = 1 << 28

#: A nodeid, and how many tests with the same nodeid come before the one that is meant. If there are not as
#: many, counting goes on from the first of them again: that is how a file names a test that runs several
#: times.
Mention: TypeAlias = tuple[str, int]


@record
class Replay:
    """What to run: the tests of each process, in their order; no sequence is empty."""

    path: str
    sequences: list[list[Mention]]


#: What this run replays, if anything.
REPLAY = pytest.StashKey[Replay]()

#: The key of each collected item's sequence.
KEYS = pytest.StashKey[list[str]]()


def pinned_keys(config: pytest.Config) -> list[str] | None:
    """The key of each collected item's sequence, which is its worker's number; None if this is no replay."""
    return config.stash.get(KEYS, None)


class _Unusable(ValueError):
    """What is wrong with a file, and what to do about it."""


def read_replay(value: str) -> Replay:
    """The sequences in the file `value`, a report or a replay file.

    :raises pytest.UsageError: naming the option, the file and what is wrong with it.
    """
    from pytest_procpar.system.files import read  # which a run without a replay need not import

    path = os.path.abspath(os.path.expanduser(os.path.expandvars(value)))
    try:
        data = json.loads(read(Path(path), _LARGEST).decode("utf-8"))
        sequences = [tests for tests in _sequences(data) if tests]
        if not sequences:
            raise _Unusable("it names no test that ran")
    except _Unusable as error:
        reason = str(error)
    except OSError as error:
        reason = f"it cannot be read ({error.strerror or error})"
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or JSON nested too deeply
        reason = f"it is no JSON, or damaged ({error})"
    else:
        return Replay(value, sequences)
    raise pytest.UsageError(
        f"--replay: {value!r} cannot be replayed: {reason}: give a report that --procpar-report wrote, "
        f"or a file of the format {REPLAY_FORMAT}"
    )


def _sequences(data: Any) -> list[list[Mention]]:
    kind = data.get("format") if isinstance(data, dict) else None
    if kind not in (REPORT_FORMAT, REPLAY_FORMAT):
        raise _Unusable(f"its format is {kind!r}")
    if data.get("version") != VERSION:
        raise _Unusable(f"its version is {data.get('version')!r}, and only {VERSION} is known here")
    if "sequences" not in data:
        raise _Unusable("it has no sequences; reports of older versions of pytest-procpar have none")
    listed = [_tests_of(entry, place) for place, entry in enumerate(_list(data["sequences"], "sequences"))]
    if kind == REPORT_FORMAT:
        return _resolve(listed, _list(data.get("tests"), "tests"))
    return _number(listed)


def _tests_of(entry: object, place: int) -> list[object]:
    if not isinstance(entry, dict):
        raise _Unusable(f"sequence {place} is {_short(entry)}, and no object with worker and tests")
    return _list(entry.get("tests"), f"tests of sequence {place}")


def _list(value: object, name: str) -> list[object]:
    if not isinstance(value, list):
        raise _Unusable(f"its {name} are {_short(value)}, and no list")
    return value


def _number(sequences: list[list[object]]) -> list[list[Mention]]:
    """Number the mentions: the n-th mention of a nodeid in a file means the n-th test that has it."""
    earlier: Counter[str] = Counter()
    numbered: list[list[Mention]] = []
    for tests in sequences:
        numbered.append([])
        for nodeid in tests:
            if not isinstance(nodeid, str):
                raise _Unusable(f"a test is {_short(nodeid)}, and no nodeid")
            numbered[-1].append((nodeid, earlier[nodeid]))
            earlier[nodeid] += 1
    return numbered


def _resolve(sequences: list[list[object]], tests: list[object]) -> list[list[Mention]]:
    """The tests that a report's indices stand for."""
    nodeids: dict[int, str] = {}
    for test in tests:
        index, nodeid = (test.get("index"), test.get("nodeid")) if isinstance(test, dict) else (None, None)
        if not isinstance(index, int) or not isinstance(nodeid, str):
            raise _Unusable(f"the test {_short(test)} has no index or no nodeid")
        nodeids[index] = nodeid
    earlier: Counter[str] = Counter()
    mentions: dict[int, Mention] = {}
    for index, nodeid in sorted(nodeids.items()):
        mentions[index] = (nodeid, earlier[nodeid])
        earlier[nodeid] += 1
    resolved: list[list[Mention]] = []
    for tests_of_one in sequences:
        resolved.append([])
        for index in tests_of_one:
            if type(index) is not int or index not in mentions:
                raise _Unusable(
                    f"it lists the test {_short(index)} in a sequence, and has no test with that index"
                )
            resolved[-1].append(mentions[index])
    return resolved


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
