"""Failures of the same kind have one root, others have their own; and each failure has exactly one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.inquiry.roots import Failure, failure_of, normalised, resource_of, roots_of
from pytest_procpar.core.model import TestIndex


def report(
    message: str,
    *entries: tuple[str, int, list[str]],
    when: str = "call",
) -> dict[str, Any]:
    """A report of a failed phase, as pytest serializes it: entries are file, line and what is shown of it."""
    shown = [
        {"type": "ReprEntry", "data": {"lines": lines, "reprfileloc": {"path": path, "lineno": line}}}
        for path, line, lines in entries
    ]
    return {
        "when": when,
        "outcome": "failed",
        "longrepr": {
            "reprcrash": {"path": "/far/away.py", "lineno": 1, "message": message},
            "reprtraceback": {"reprentries": shown},
        },
    }


def failed(test: int, message: str, place: tuple[str, int] = ("test_it.py", 1), **more: str) -> Failure:
    kind = message.split(":")[0] if ": " in message else "AssertionError"
    return Failure(TestIndex(test), more.pop("phase", "call"), kind, message, place, **more)


def parted(*failures: Failure) -> list[tuple[int, ...]]:
    return [root.tests for root in roots_of(failures)]


# --- what a report tells ---


def test_a_failure_is_told_by_its_exception_and_the_line_that_raised_it() -> None:
    entries = [("test_it.py", 3, ["    def test(x):", ">       helper(x)"]), ("lib.py", 9, [">   raise X"])]
    failure = failure_of(TestIndex(4), report("lib.Broken: no such thing\nmore", *entries))
    assert failure == Failure(
        TestIndex(4), "call", "lib.Broken", "lib.Broken: no such thing", ("lib.py", 9), "", ""
    )


def test_an_assertion_has_no_type_in_its_message() -> None:
    assert failure_of(TestIndex(0), report("assert 1 == 2")).type == "AssertionError"
    assert failure_of(TestIndex(0), report("assert x: y")).type == "AssertionError"


@pytest.mark.parametrize(
    "shown", [["    @pytest.fixture", "    def db(request):", ">       raise OSError"], [">   raise OSError"]]
)
def test_an_error_of_a_fixture_names_it(shown: list[str]) -> None:
    data = report(
        "OSError: no", ("conftest.py", 5, shown), ("lib.py", 1, ["    def connect():"]), when="setup"
    )
    if len(shown) == 1:  # the short form of a traceback
        data["longrepr"]["reprtraceback"]["reprentries"][0]["data"]["reprfileloc"]["message"] = "in db"
    assert failure_of(TestIndex(0), data).fixture == "db"


@pytest.mark.parametrize(
    "longrepr", [None, "text: of its own", {}, {"reprcrash": None, "reprtraceback": {"reprentries": [3, {}]}}]
)
def test_a_report_that_lacks_something_tells_what_it_has(longrepr: object) -> None:
    failure = failure_of(TestIndex(2), {"when": "call", "outcome": "failed", "longrepr": longrepr})
    assert failure.test == 2
    assert failure.message == (longrepr if isinstance(longrepr, str) else "")


def test_a_fixture_that_nobody_knows_is_one_root() -> None:
    text = (
        "file /a/test_{0}.py, line {0}\n  def test_it(db):\nE       fixture 'db' not found\n>  available: x"
    )
    failures = [failure_of(TestIndex(i), {"when": "setup", "longrepr": text.format(i)}) for i in range(3)]
    assert {failure.message for failure in failures} == {"fixture 'db' not found"}
    assert parted(*failures) == [(0, 1, 2)]


@pytest.mark.parametrize("phase", ["setup", "call", "teardown"])
def test_what_the_style_of_the_traceback_leaves_out_is_told_beside_it(phase: str) -> None:
    data = report(
        "OSError: Address already in use", ("", 0, ["E   OSError: Address already in use"]), when=phase
    )
    data["procpar_raised"] = ["db", "/project/lib.py", 7, 'server.bind(("127.0.0.1", 8001))']
    failure = failure_of(TestIndex(0), data)
    assert failure.place == ("/project/lib.py", 7)
    assert failure.fixture == ("" if phase == "call" else "db")
    assert failure.resource == "port 8001"


@pytest.mark.parametrize("path", ["/project/sub/test_it.py", "sub/test_it.py", "../project/sub/test_it.py"])
@pytest.mark.parametrize(("root", "told"), [("/project", "sub/test_it.py"), ("/project/sub", "test_it.py")])
def test_files_are_told_from_the_rootdir_however_pytest_shows_them(path: str, root: str, told: str) -> None:
    data = report("ValueError: no", (path, 3, []))
    assert failure_of(TestIndex(0), data, root, "/project").place == (told, 3)


@pytest.mark.parametrize("path", ["/elsewhere/lib.py", "/project2/lib.py", "../lib.py"])
def test_files_elsewhere_are_told_as_pytest_shows_them(path: str) -> None:
    data = report("ValueError: no", (path, 3, []))
    assert failure_of(TestIndex(0), data, "/project", "/project").place == (path, 3)


# --- what belongs together ---


def test_errors_of_one_fixture_are_one_root_wherever_they_were_raised() -> None:
    one = [failed(i, f"OSError: [{i}] no", ("lib.py", i), phase="setup", fixture="db") for i in range(30)]
    other = failed(30, "OSError: [1] no", ("lib.py", 1), phase="setup", fixture="cache")
    assert parted(*one, other) == [tuple(range(30)), (30,)]
    root, _ = roots_of([*one, other])
    assert (root.where, root.alike) == ("in the fixture `db`", True)


def test_the_same_line_and_message_is_one_root_whatever_the_numbers() -> None:
    failures = [failed(i, f"assert {i} == {i + 1}") for i in range(3)]
    (root,) = roots_of(failures)
    assert (root.tests, root.where, root.alike) == ((0, 1, 2), "at test_it.py:1", False)


def test_assertions_of_different_lines_have_different_roots() -> None:
    failures = [failed(i, "assert False is True", ("test_it.py", i)) for i in range(60)]
    assert len(roots_of(failures)) == 60


def test_what_an_exception_says_counts_wherever_it_was_raised() -> None:
    message = "AttributeError: module 'lib' has no attribute 'run'"
    same = [failed(i, message, (f"test_{i}.py", 7)) for i in range(4)]
    other = failed(4, message.replace("run", "walk"), ("test_4.py", 7))
    assert parted(*same, other) == [(0, 1, 2, 3), (4,)]


def test_one_word_is_not_enough() -> None:
    assert parted(failed(0, "KeyError: 'id'", ("a.py", 1)), failed(1, "KeyError: 'id'", ("b.py", 1))) == [
        (0,),
        (1,),
    ]


def test_tests_that_want_the_same_port_have_one_root_that_names_it() -> None:
    lines = [f'>       server.bind(("127.0.0.1", {port}))' for port in (8001, 8001, 8002)]
    failures = [
        failure_of(TestIndex(i), report("OSError: [Errno 98] Address already in use", (f"{i}.py", i, [line])))
        for i, line in enumerate(lines)
    ]
    assert [failure.resource for failure in failures] == ["port 8001", "port 8001", "port 8002"]
    root, other = roots_of(failures)
    assert (root.tests, root.where, root.contention) == ((0, 1), "on port 8001", True)
    assert (other.tests, other.where) == ((2,), "on port 8002")


def test_tests_that_want_the_same_database_have_one_root_though_no_message_names_it() -> None:
    failures = []
    for i, name in enumerate(["shop.db", "shop.db", "more.db"]):
        data = report("sqlite3.OperationalError: database is locked", (f"{i}.py", i, []))
        failures.append(failure_of(TestIndex(i), data | {"procpar_held": f"/project/{name}"}, "/project"))
    root, other = roots_of(failures)
    assert (root.tests, root.where, root.contention) == ((0, 1), "on database shop.db", True)
    assert (other.tests, other.where) == ((2,), "on database more.db")
    named = report("BlockingIOError: [Errno 11] Resource temporarily unavailable: 'a.lock'")
    assert failure_of(TestIndex(0), named | {"procpar_held": "/b"}).resource == "file a.lock"


def test_a_file_that_is_missing_is_not_contended_for() -> None:
    (root,) = roots_of(
        [
            failure_of(
                TestIndex(0), report("FileNotFoundError: [Errno 2] No such file or directory: '/data/x'")
            )
        ]
    )
    assert (root.where, root.contention) == ("on file /data/x", False)


@pytest.mark.parametrize(
    ("kind", "message", "resource"),
    [
        ("OSError", "OSError: [Errno 98] error while binding ('::', 80): address already in use", "port 80"),
        ("ConnectionRefusedError", "Connection refused: localhost:5432", "port 5432"),
        ("E", 'E: database "shop" is being accessed by other users', "database shop"),
        ("FileExistsError", "FileExistsError: [Errno 17] File exists: '/data/lock'", "file /data/lock"),
        ("Timeout", "Timeout: The file lock '/data/lock' could not be acquired.", "file /data/lock"),
        ("FileExistsError", "FileExistsError: [Errno 17] File exists: 'out/lock'", "file out/lock"),
        ("ValueError", "ValueError: '/data/lock' is no number", ""),
        ("OSError", "OSError: [Errno 12] Cannot allocate memory", ""),
    ],
)
def test_a_resource_is_named_by_a_message(kind: str, message: str, resource: str) -> None:
    assert resource_of(kind, message) == resource


def test_what_differs_from_run_to_run_is_left_out_of_a_message() -> None:
    one = "<Thing at 0x7f00a1> in /tmp/pytest-of-me/pytest-3/test_a0/f, 12.5 of 30 'names'"
    other = "<Thing at 0x7fffff> in /tmp/pytest-of-me/pytest-14/test_b0/g, 3 of 4 'words'"
    assert normalised(one) == normalised(other)
    assert normalised(one, quotes=False) != normalised(other, quotes=False)


_FAILURES = st.lists(
    st.builds(
        Failure,
        st.integers(0, 50).map(TestIndex),
        st.sampled_from(["setup", "call"]),
        st.sampled_from(["AssertionError", "OSError", "lib.Broken"]),
        st.sampled_from(["", "assert 1 == 2", "OSError: no such thing", "lib.Broken: 'a' is not 'b'"]),
        st.sampled_from([("", 0), ("a.py", 1), ("b.py", 2)]),
        st.sampled_from(["", "db"]),
        st.sampled_from(["", "port 80"]),
    ),
    unique_by=lambda failure: failure.test,
)


@given(_FAILURES)
def test_every_failure_has_exactly_one_root(failures: list[Failure]) -> None:
    roots = roots_of(failures)
    told = [test for root in roots for test in root.tests]
    assert sorted(told) == sorted(failure.test for failure in failures)
    assert all(root.tests for root in roots)


@given(_FAILURES)
def test_what_has_failed_in_the_same_way_has_the_same_root(failures: list[Failure]) -> None:
    of_test = {test: root for root in roots_of(failures) for test in root.tests}
    for one in failures:
        for other in failures:
            if one.fixture and (one.phase, one.type, one.fixture) == (other.phase, other.type, other.fixture):
                assert of_test[one.test] is of_test[other.test]
