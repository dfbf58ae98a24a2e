"""Tests that have failed in the same way: what they have in common is their root, as far as reports tell.

Pure, and a guess: it is made from what pytest has reported, before anything is tried. Failures have the same
root in any of these cases: the same line has raised them, with the same kind of message; they are errors of
the same fixture; their messages name the same port, file or database that could not be had; an exception
other than an assertion says the same at some length, wherever it was raised. An assertion's message says
little, so for assertions only the line counts.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from posixpath import join, normpath
from typing import TypeAlias

from pytest_procpar.core.inquiry.contention import PORT, file_of, is_contended
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.record import record

__all__ = ["Failure", "Root", "failure_of", "message_of", "normalised", "resource_of", "roots_of"]

#: How much of a message counts, in characters.
_MOST = 500
#: A message with at least this many words may tell what is wrong wherever it is raised.
_TELLING = 2

_ASSERTIONS = ("AssertionError", "Failed", "IndexError", "StopIteration")
_TYPE = re.compile(r"((?:[A-Za-z_]\w*\.)*[A-Z_a-z]\w*)(?::\s|$)")
_DEFINED = re.compile(r">?\s*(?:async )?def (\w+)\(")

_VARYING: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"0x[0-9a-fA-F]+"), "0x#"),
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"/(?:private/)?(?:var/)?(?:tmp|folders)/[^\s'\",:)]*"), "<tmp>"),
    (re.compile(r"pytest-of-[^\s'\",:)]*"), "<tmp>"),
    (re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?"), "#"),
)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")

_PORT = re.compile(r"\bport[ =:]{1,3}(\d{1,5})\b|[\w\]:'\"]['\"]?[,:] ?(\d{2,5})\b", re.IGNORECASE)
_DATABASE = re.compile(r"\bdatabase[ :]{1,2}['\"]([^'\"]+)['\"]", re.IGNORECASE)
_PATH = re.compile(r"['\"]((?:/|[A-Za-z]:\\)[^'\"\n]+)['\"]")

_Place: TypeAlias = tuple[str, int]


@record
class Failure:
    """How a test has failed, by its report: the phase, the exception's type and its message's first line.

    ``place`` is the file and line where it was raised; the file is relative to the rootdir if it is below
    that. ``fixture`` is the function that has failed if it was not a test. ``resource`` is what could not be
    had, in words: "port 8080".
    """

    test: TestIndex
    phase: str = ""
    type: str = ""
    message: str = ""
    place: _Place = ("", 0)
    fixture: str = ""
    resource: str = ""


@record
class Root:
    """Tests that have failed in the same way: where, in words ("in the fixture `db`"), and with what message.

    They are ``alike`` if the same fixture has failed, and in ``contention`` if they wanted something that
    only one process at a time can have: the same port, database or file.
    """

    tests: tuple[TestIndex, ...]
    where: str
    message: str
    alike: bool = False
    contention: bool = False


def failure_of(test: TestIndex, data: Mapping[str, object], root: str = "", here: str = "") -> Failure:
    """What the report of a failed phase tells, as pytest serializes it; what it lacks is empty.

    Where pytest leaves out what was raised where, ``procpar_raised`` has it: see
    `compat.pytest_reports.raised`. ``procpar_held`` has the file that could not be had: see
    `system.contended`.

    :param root: the rootdir; paths below it are made relative to it.
    :param here: the folder that pytest's relative paths start from.
    """
    phase, longrepr = str(data.get("when") or ""), data.get("longrepr")
    told = longrepr if isinstance(longrepr, dict) else {}
    crash = _crash(told)
    text = message_of(data)
    line = text.splitlines()[0] if text else ""
    entries = _entries(told)
    place = _place(entries[-1]) if entries else ("", 0)
    function = "" if phase == "call" or not entries else _function(entries[0])
    lines = "\n".join(line[1:] for entry in entries[-1:] for line in _lines(entry) if line.startswith(">"))
    raised = data.get("procpar_raised")
    if entries and not place[0] and isinstance(raised, list):
        name, path, lineno, lines = raised
        place, function = (path, lineno), "" if phase == "call" else name
    elif not place[0]:
        place = (str(crash.get("path") or ""), _number(crash.get("lineno")))
    found = _TYPE.match(line)
    kind = found[1] if found and not line.startswith("assert ") else "AssertionError" if told else ""
    place = (_from(root, here, place[0]), place[1])
    resource = resource_of(kind, text, lines)
    held = _from(root, here, str(data.get("procpar_held") or ""))
    if held and not resource and is_contended(text):
        resource = f"{'database' if 'database' in text else 'file'} {held}"
    return Failure(test, phase, kind, line, place, function, resource)


def message_of(data: Mapping[str, object]) -> str:
    """The beginning of the message in the report of a failed phase, as pytest serializes it."""
    longrepr = data.get("longrepr")
    told = longrepr if isinstance(longrepr, dict) else {}
    return str(_crash(told).get("message") or ("" if told else _marked(longrepr))).strip()[:_MOST]


def _crash(told: Mapping[str, object]) -> Mapping[str, object]:
    crash = told.get("reprcrash")
    return crash if isinstance(crash, dict) else {}


def _from(root: str, here: str, path: str) -> str:
    """A path relative to `root`, if it is below that."""
    if not root or not path:
        return path
    whole, above = normpath(join(here, path)), join(root, "")
    return whole.removeprefix(above) if whole.startswith(above) else path


def _marked(longrepr: object) -> str:
    """What is wrong, from a report that is mere text: the lines that pytest marks, or else all lines."""
    text = str(longrepr or "")
    marked = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")]
    return "\n".join(marked) or text


def _entries(told: Mapping[str, object]) -> list[Mapping[str, object]]:
    traceback = told.get("reprtraceback")
    entries = traceback.get("reprentries") if isinstance(traceback, dict) else None
    found = [entry.get("data") for entry in entries or () if isinstance(entry, dict)]
    return [data for data in found if isinstance(data, dict)]


def _place(entry: Mapping[str, object]) -> _Place:
    location = entry.get("reprfileloc")
    location = location if isinstance(location, dict) else {}
    return str(location.get("path") or ""), _number(location.get("lineno"))


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _lines(entry: Mapping[str, object]) -> list[str]:
    lines = entry.get("lines")
    return [str(line) for line in lines] if isinstance(lines, (list, tuple)) else []


def _function(entry: Mapping[str, object]) -> str:
    """The function that an entry of a traceback shows, in pytest's long or short form."""
    for line in _lines(entry):
        if found := _DEFINED.match(line):
            return found[1]
    location = entry.get("reprfileloc")
    message = str(location.get("message") or "") if isinstance(location, dict) else ""
    return message[3:] if message.startswith("in ") else ""


def resource_of(kind: str, message: str, source: str = "") -> str:
    """The port, database or file that a system exception names, in words; empty if it names none.

    :param source: the line that raised it, which may name what the message does not.
    """
    if PORT in message or "onnection refused" in message:
        for text in (message, source):
            if port := _PORT.search(text):
                return f"port {port[1] or port[2]}"
    if database := _DATABASE.search(message):
        return f"database {database[1]}"
    system = kind.endswith(("OSError", "IOError", "ExistsError", "NotFoundError", "PermissionError"))
    path = _PATH.search(message) if system or is_contended(message) else None
    file = path[1] if path else file_of(message)
    return f"file {file}" if file else ""


def normalised(message: str, *, quotes: bool = True) -> str:
    """A message without what differs from test to test: numbers, addresses, ids, temporary paths.

    :param quotes: leave out quoted text, too.
    """
    for pattern, instead in _VARYING:
        message = pattern.sub(instead, message)
    return _QUOTED.sub("'...'", message) if quotes else message


def _keys(failure: Failure) -> Iterator[Hashable]:
    """What failures of one root have in common: any one of these keys."""
    phase, kind = failure.phase, failure.type
    if failure.fixture:
        yield "fixture", phase, failure.fixture, kind
        return  # another fixture's errors are another root, wherever both were raised
    if failure.resource and is_contended(failure.message):
        yield "resource", failure.resource
        return  # and so is another resource: the message for another port has the same words
    if failure.place[0]:
        yield "place", phase, kind, failure.place, normalised(failure.message)
    if failure.resource:
        yield "resource", failure.resource
    telling = len(failure.message.split(":", 1)[-1].split()) >= _TELLING
    if telling and kind.rsplit(".", 1)[-1] not in _ASSERTIONS:
        yield "message", phase, kind, normalised(failure.message, quotes=False)


def roots_of(failures: Iterable[Failure]) -> tuple[Root, ...]:
    """The roots, in the order of their first failures; each failure has one root."""
    groups: list[list[Failure]] = []
    known: dict[Hashable, list[Failure]] = {}
    for failure in failures:
        keys = list(_keys(failure))
        group = next((known[key] for key in keys if key in known), None)
        if group is None:
            groups.append(group := [])
        group.append(failure)
        for key in keys:
            known.setdefault(key, group)
    return tuple(map(_root, groups))


def _root(group: list[Failure]) -> Root:
    first = group[0]
    tests = tuple(dict.fromkeys(failure.test for failure in group))
    where, alike, contention = "", False, False
    if first.fixture:
        where, alike = f"in the fixture `{first.fixture}`", True
    elif first.resource and all(failure.resource == first.resource for failure in group):
        where = f"on {first.resource}"
        contention = is_contended(first.message)
    elif first.place[0] and all(failure.place == first.place for failure in group):
        where = f"at {first.place[0]}:{first.place[1]}"
    return Root(tests, where, first.message, alike, contention)
