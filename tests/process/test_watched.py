"""Who asks a workerinput for what differs between workers is found out, through a copy, too."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pytest_procpar.start_method.project.watched_mappings import WatchedInput
from pytest_procpar.start_method.tripwire import Tripwire

pytestmark = pytest.mark.python_dependent

FIRST = {
    "workerid": "gw0", "workercount": 2, "mainargv": ["pytest"], "ident": "db0", "ports": [1, 2],
    "first": True,
}  # fmt: skip
SECOND = {
    "workerid": "gw1", "workercount": 2, "mainargv": ["pytest"], "ident": "db1", "ports": [3, 4],
    "second": True,
}  # fmt: skip

#: What differs between the two, and what only one of them has.
DIFFERENT = ("workerid", "ident", "ports")
ONES = ("first", "second")
EQUAL = ("workercount", "mainargv", "nowhere")

Watched = tuple[WatchedInput, list[str], list[frozenset[str]]]

READS: list[Callable[[Any, str], object]] = [
    lambda given, key: given[key],
    lambda given, key: given.get(key),
    lambda given, key: given.get(key, "main"),
    lambda given, key: given.pop(key, None),
    lambda given, key: given.setdefault(key, "main"),
]

#: Copies that are watched, and others.
COPIES: list[Callable[[Any], Any]] = [
    lambda given: given.copy(),
    copy.copy,
    copy.deepcopy,
    lambda given: given | {},
    lambda given: {"more": 1} | given,
    lambda given: given.copy().copy(),
]
PLAIN_COPIES: list[Callable[[Any], Any]] = [
    dict,
    lambda given: {**given},
    lambda given: dict(**given),
    lambda given: dict(given.items()),
    lambda given: dict(zip(given.keys(), given.values(), strict=True)),
    lambda given: json.loads(json.dumps(given)),
    lambda given: pickle.loads(pickle.dumps(given)),
]


@pytest.fixture
def watched() -> Watched:
    asked: list[str] = []
    taken: list[frozenset[str]] = []
    return WatchedInput(dict(FIRST), [dict(FIRST), dict(SECOND)], asked.append, taken.append), asked, taken


@pytest.mark.parametrize("key", [*DIFFERENT, "first"])
@pytest.mark.parametrize("read", READS)
def test_who_asks_for_what_differs_is_noted(
    watched: Watched, read: Callable[[Any, str], object], key: str
) -> None:
    given, asked, _ = watched
    read(given, key)
    assert set(asked) == {key}


@pytest.mark.parametrize("read", READS)
def test_who_asks_for_what_only_another_worker_has_is_noted(
    watched: Watched, read: Callable[[Any, str], object]
) -> None:
    given, asked, _ = watched
    with suppress(KeyError):
        read(given, "second")
    assert asked == ["second"]


@pytest.mark.parametrize("key", EQUAL)
@pytest.mark.parametrize("read", READS)
def test_who_asks_for_what_is_equal_is_not(
    watched: Watched, read: Callable[[Any, str], object], key: str
) -> None:
    given, asked, _ = watched
    with suppress(KeyError):
        read(given, key)
    assert asked == []


@pytest.mark.parametrize("key", ONES)
def test_whether_a_key_is_there_tells_of_the_worker_if_not_all_have_it(watched: Watched, key: str) -> None:
    given, asked, _ = watched
    assert (key in given) is (key == "first")
    assert asked == [key]


@pytest.mark.parametrize("key", [*DIFFERENT, *EQUAL])
def test_whether_a_key_is_there_tells_nothing_else(watched: Watched, key: str) -> None:
    given, asked, taken = watched
    assert (key in given) is (key != "nowhere")
    assert len(given) == len(FIRST)
    assert bool(given)
    assert given == FIRST
    assert not asked
    assert not taken


@pytest.mark.parametrize("make", COPIES)
def test_a_copy_is_watched_and_to_make_it_is_no_read(watched: Watched, make: Callable[[Any], Any]) -> None:
    given, asked, taken = watched
    made = make(given)
    assert not asked
    assert not taken
    assert {**FIRST, "more": made.get("more")} == {**made, "more": made.get("more")}
    asked.clear()
    assert made["ident"] == "db0"
    assert asked == ["ident"]
    made["ident"] = "other"
    assert dict.get(given, "ident") == "db0"


def test_a_deep_copy_is_one(watched: Watched) -> None:
    given, _, _ = watched
    ports = copy.deepcopy(given)["ports"]
    assert isinstance(ports, list)
    ports.append(3)
    assert given == FIRST


@pytest.mark.parametrize("make", PLAIN_COPIES)
def test_a_plain_copy_is_told_with_all_that_differs_and_is_no_read(
    watched: Watched, make: Callable[[Any], Any]
) -> None:
    given, asked, taken = watched
    made = make(given)
    assert type(made) is dict
    assert made == FIRST
    assert asked == []
    assert set(taken) <= {frozenset([*DIFFERENT, *ONES])}
    assert taken or make is PLAIN_COPIES[-1]  # what is pickled goes to another process


def test_whoever_has_gone_through_the_keys_and_asks_then_is_noted(watched: Watched) -> None:
    given, asked, _ = watched
    dict(given)
    assert next(iter(given)) == "workerid"
    assert given["workerid"] == "gw0"
    assert asked == ["workerid"]


def test_the_workers_id_tells_of_the_worker_even_if_there_is_one_only() -> None:
    asked: list[str] = []
    given = WatchedInput(dict(FIRST), [dict(FIRST)], asked.append, lambda keys: None)
    assert given["ident"] == "db0"
    assert given["workerid"] == "gw0"
    assert asked == ["workerid"]


def test_nothing_else_is_different_from_a_dictionary(watched: Watched) -> None:
    given, _, _ = watched
    plain = dict(FIRST)
    for change in (
        lambda d: d.pop("ident"), lambda d: d.popitem(), lambda d: d.setdefault("new", 1),
        lambda d: d.update(a=1), lambda d: list(d.items()), lambda d: list(d.values()),
        lambda d: list(d.keys()), lambda d: list(reversed(d)), lambda d: d | {"b": 2}, lambda d: {"b": 2} | d,
        lambda d: repr(d), lambda d: d.get("c"), lambda d: d.pop("c", 5), lambda d: d.clear(),
    ):  # fmt: skip
        assert change(given) == change(plain)
        assert given == plain
    for unlike in (lambda d: d | 3, lambda d: 3 | d, lambda d: d["c"], lambda d: d.pop("c")):
        with pytest.raises((TypeError, KeyError)):
            unlike(given)  # type: ignore[no-untyped-call]


# --- with a tripwire ---


@pytest.fixture
def wire() -> Iterator[Tripwire]:
    made = Tripwire()
    made.lay()
    yield made
    made.cut()


def test_a_read_is_noted_with_its_place_and_the_key(wire: Tripwire) -> None:
    given = wire.watched(dict(FIRST), [dict(FIRST), dict(SECOND)])
    namespace: dict[str, Any] = {"__name__": "conftest", "given": given}
    exec(compile("\ngiven['ident']", "/there/conftest.py", "exec"), namespace)
    assert wire.first is not None
    assert (wire.first.file, wire.first.line, wire.first.what) == (
        "/there/conftest.py", 2, 'workerinput["ident"]'
    )  # fmt: skip


@pytest.mark.parametrize(
    ("uses", "is_noted"),
    [
        ("IDENT = COPY['ident']", True),
        ("def connect(ident, **others): ...", True),
        ("COUNT = COPY['workercount']", False),
        ("def later(config):\n    return config.workerinput['ident']", False),
    ],
)
def test_a_plain_copy_counts_if_its_file_looks_such_a_key_up(
    wire: Tripwire, tmp_path: Path, uses: str, is_noted: bool
) -> None:
    given = wire.watched(dict(FIRST), [dict(FIRST), dict(SECOND)])
    file = tmp_path / "conftest.py"
    file.write_text(f"COPY = dict(given)\n{uses}\n")
    pytests: dict[str, Any] = {"__name__": "_pytest.pathlib"}
    exec("def import_module(code, namespace): exec(code, namespace)", pytests)
    code = compile(file.read_text(), str(file), "exec")
    pytests["import_module"](code, {"__name__": "conftest", "given": given})
    assert (wire.first is not None) is is_noted
    if wire.first is not None:
        assert wire.first.what == 'workerinput["ident"] from a copy'


def test_nothing_is_noted_when_the_wire_is_cut(wire: Tripwire) -> None:
    given = wire.watched(dict(FIRST), [dict(FIRST), dict(SECOND)])
    wire.cut()
    assert given["workerid"] == "gw0"
    assert given.copy()["ident"] == "db0"
    assert wire.first is None
