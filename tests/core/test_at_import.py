"""The source of a module tells what it did when it was imported."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.evidence.at_import import names_made, reads


@pytest.mark.parametrize(
    "source",
    [
        "os.environ['W']", "X = os.environ.get('W', 'master')", "X = f\"db_{os.getenv('W')}\"",
        "if 'W' in os.environ: pass", "class S:\n    db = os.environ['W']",
        "def f():\n    return os.environ['W']\nX = f()", "def f(x=os.environ['W']): pass",
        "try:\n    X = os.environ['W']\nexcept KeyError: pass",
    ],
)  # fmt: skip
def test_a_read_is_seen(source: str) -> None:
    assert reads(source, "W") is not None


@pytest.mark.parametrize(
    "source",
    [
        "", "W = 'W'", "os.environ['W'] = 'gw0'", "del os.environ['W']",
        "def f():\n    return os.environ['W']",
        "f = lambda: os.environ['W']", "'W'", "os.environ['W2']", "x = (", "\0W",
    ],
)  # fmt: skip
def test_nothing_else_is_one(source: str) -> None:
    assert reads(source, "W") is None


def test_names_have_line_variable_and_call() -> None:
    source = """
import tempfile, uuid
from uuid import uuid4
def make(): return uuid.uuid4().hex
FOLDER = tempfile.mkdtemp()
if FOLDER:
    NAME: str = "q" + str(uuid4())
OTHER = len("x")
def later(): LATER = uuid4()
"""
    assert sorted(names_made(source)) == [(5, "FOLDER", "tempfile.mkdtemp()"), (7, "NAME", "uuid4()")]


@given(st.text())
def test_any_text_is_read(source: str) -> None:
    reads(source, "W")
    list(names_made(source))
