"""Text of others, made harmless for a terminal."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.printable import listed, printable, printable_line, shell_command


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tests/test_a.py::test[é-日本-1]", "tests/test_a.py::test[é-日本-1]"),
        ("\x1b]0;title\x07\x1b[2J", r"\x1b]0;title\x07\x1b[2J"),
        ("over\rwritten\x9b31m", r"over\rwritten\x9b31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\udcff", r"\udcff"),
    ],
)
def test_what_acts_on_a_terminal_is_shown_as_its_escape(text: str, shown: str) -> None:
    assert printable(text) == printable_line(text) == shown


@given(st.text())
def test_what_is_harmless_stays_and_is_harmless_the_second_time(text: str) -> None:
    assert printable_line(printable(text)) == printable_line(text)
    assert "\x1b" not in printable(text)
    assert len(printable_line(text).splitlines()) <= 1
    assert printable(text).count("\n") == text.count("\n")


def test_a_printed_command_is_harmless_and_names_the_same_files_to_a_shell() -> None:
    words = [
        "plain", "two words", "it's", "", "é日本", "new\nline", "tab\t", "\x1b[31mred's\\",
        "\\n \x07$HOME`id`", os.fsdecode(b"\xff\xfe2"), "\u202egnp", "a\x1b0f",
    ]  # fmt: skip
    command = shell_command(["printf", r"%s\0", *words])
    assert printable_line(command) == command
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert done.stdout.split(b"\0")[:-1] == [os.fsencode(word) for word in words]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a, b"),
        (["a", "b", "c"], "a, b and 1 more"),
        (list("abcde"), "a, b and 3 more"),
    ],
)
def test_of_many_names_the_first_are_listed(names: str, text: str) -> None:
    assert listed(list(names), 2) == text
