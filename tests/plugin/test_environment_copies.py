"""Copies of the environment that a suite makes before there are workers: they tell each worker who it is."""

from __future__ import annotations

import sys

import pytest

from tests.conftest import Suite
from tests.plugin.test_identity_reads import said_method

#: How a conftest makes a copy that it keeps, and where that is.
KEPT = {
    "dict(os.environ)": "COPY",
    "{**os.environ, 'MODE': 'test'}": "COPY",
    "os.environ.copy()": "COPY",
    "collections.defaultdict(str, os.environ)": "COPY",
    "type('Settings', (), {'env': dict(os.environ), '__module__': __name__})": "COPY.env",
    "type('Settings', (), {'__init__': lambda self: setattr(self, 'env', dict(os.environ))})()": "COPY.env",
    "[1, dict(os.environ)]": "COPY[1]",
}
TEST = """
import conftest
from recorder import note
def test(worker_id): note("copy", told=conftest.{where}.get("PYTEST_XDIST_WORKER"), is_in=worker_id)
"""


@pytest.fixture(autouse=True)
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a run that no worker has started."""
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("copy", KEPT)
@pytest.mark.parametrize(
    "place", ["{copy}", "None\ndef pytest_configure(config):\n    global COPY\n    COPY = {copy}"]
)
def test_a_copy_tells_each_worker_who_it_is(suite: Suite, copy: str, place: str) -> None:
    suite.conftest("import collections, os\nCOPY = " + place.format(copy=copy))
    suite.tests(TEST.format(where=KEPT[copy]))
    finished = suite.run("-n2", "--dist=each")
    finished.assert_summary(passed=2)
    notes = [(note["told"], note["is_in"]) for note in finished.notes("copy")]
    assert sorted(notes) == [("gw0", "gw0"), ("gw1", "gw1")]
    assert said_method(finished) == "fork"


@pytest.mark.skipif(sys.platform != "linux", reason="nothing else says what is open")
def test_so_it_does_in_workers_that_configure_for_themselves(suite: Suite) -> None:
    suite.conftest("""
        import os
        COPY = dict(os.environ)
        def pytest_configure(config): config.own_pipe = os.pipe()
    """)
    suite.tests(TEST.format(where="COPY"))
    finished = suite.run("-n2", "--dist=each")
    finished.assert_summary(passed=2)
    assert all(note["told"] == note["is_in"] for note in finished.notes("copy"))
    assert said_method(finished).startswith("fork-early, since a pipe was opened")


@pytest.mark.parametrize(
    "copy",
    [
        "{k: v for k, v in os.environ.items() if not k.startswith('PYTEST_')}",
        "{k: os.environ[k] for k in ('PATH', 'PYTEST_VERSION')}; dict(os.environ)",
        "dict(os.environ); COPY.pop('PYTEST_XDIST_WORKER', None)",
    ],
    ids=["without pytest's", "a few", "without it"],
)
def test_what_has_left_the_identity_out_stays_without(suite: Suite, copy: str) -> None:
    suite.conftest(f"import os\nCOPY = {copy}")
    suite.tests(TEST.format(where="COPY"))
    finished = suite.run("-n2", "--dist=each")
    finished.assert_summary(passed=2)
    assert finished.facts("copy", "told") == [None, None]
    assert said_method(finished) == "fork"


#: A conftest whose copy of the environment fills in a file.
FILLED = """
    import collections, os
    ENV = collections.defaultdict(lambda: "master", os.environ)
    with open("{file}") as settings:
        NAME = settings.read().strip().format_map(ENV)
"""


@pytest.mark.parametrize("file", [".env", ".env.test", "settings.json", "app.ini", "config.yaml"])
def test_a_file_that_names_the_identity_is_seen(suite: Suite, file: str) -> None:
    suite.file(file, "db_{PYTEST_XDIST_WORKER}")
    suite.conftest(FILLED.format(file=file))
    suite.tests("import conftest\nfrom recorder import note\ndef test(): note('name', name=conftest.NAME)")
    finished = suite.run("-n2", "--dist=each")
    finished.assert_summary(passed=2)
    assert sorted(finished.facts("name", "name")) == ["db_gw0", "db_gw1"]
    reason = f"conftest.py:2 reads PYTEST_XDIST_WORKER, which {file} names, from a copy of os.environ"
    assert said_method(finished) == f"spawn, since {reason} while it is imported"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("settings.json", "{PYTEST_XDIST_WORKER_COUNT}"),
        ("settings.json", "{HOME}"),
        ("setup.cfg", "[tool]\nname = {PYTEST_XDIST_WORKER}"),
        ("notes.txt", "PYTEST_XDIST_WORKER"),
    ],
)
def test_another_file_is_no_reason(suite: Suite, file: str, text: str) -> None:
    suite.file(file, text)
    suite.conftest(FILLED.format(file=file))
    suite.trivial(2)
    finished = suite.run("-n2")
    finished.assert_summary(passed=2)
    assert said_method(finished) == "fork"


def test_such_a_file_is_no_reason_where_nothing_copies_the_environment(suite: Suite) -> None:
    suite.file(".env", "NAME=db_{PYTEST_XDIST_WORKER}")
    suite.conftest("import os\nHOME = os.environ.get('HOME')")
    suite.trivial(2)
    finished = suite.run("-n2")
    finished.assert_summary(passed=2)
    assert said_method(finished) == "fork"


#: What pydantic-settings does: it copies the environment without regard to case, and picks the fields.
SETTINGS_LIBRARY = """
    import os

    class BaseSettings:
        def __init__(self):
            given = {name.lower(): value for name, value in os.environ.items()}
            for field in self.__annotations__:
                setattr(self, field, given.get(field, "master"))
"""


@pytest.mark.parametrize(
    ("field", "method"),
    [
        (
            "pytest_xdist_worker",
            "spawn, since conftest.py:2 reads PYTEST_XDIST_WORKER from a copy of os.environ",
        ),
        ("home", "fork"),
    ],
)
def test_settings_whose_class_is_in_another_file_are_seen(suite: Suite, field: str, method: str) -> None:
    suite.file("pydantic_settings.py", SETTINGS_LIBRARY)
    suite.file(
        "app.py", f"from pydantic_settings import BaseSettings\nclass Settings(BaseSettings): {field}: str"
    )
    suite.conftest("import app\nsettings = app.Settings()")
    suite.trivial(2)
    finished = suite.run("-n2")
    finished.assert_summary(passed=2)
    assert said_method(finished).startswith(method)
