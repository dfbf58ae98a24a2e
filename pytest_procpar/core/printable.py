"""Escapes text from files, file names and other processes, so that it cannot act on a terminal.

Only for the lines that we add: what pytest writes stays as under plain pytest.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from functools import cache

__all__ = ["listed", "printable", "printable_line", "shell_command"]

#: Control characters, those that change the direction of text, line separators, and lone surrogates.
_HARMFUL = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"
    r"\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
)
#: What may stand in a text, but not in a line.
_BREAKS = r"\n\t"


@cache
def _harmful(more: str = "") -> re.Pattern[str]:
    """Finds such a character, or one of `more`. Most texts have none, so that most runs need no pattern."""
    return re.compile(f"[{_HARMFUL}{more}]")


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def printable(text: str) -> str:
    """The text with Python's escapes for whatever would act on a terminal; newlines and tabs stay."""
    return text if text.isprintable() else _harmful().sub(_escaped, text)


def printable_line(text: str) -> str:
    """The text, escaped as by `printable`, with newlines and tabs escaped too."""
    return text if text.isprintable() else _harmful(_BREAKS).sub(_escaped, text)


def listed(names: Sequence[str], most: int) -> str:
    """The first `most` names, and how many more there are."""
    text = ", ".join(names[:most])
    return f"{text} and {len(names) - most} more" if len(names) > most else text


def shell_command(words: Iterable[str]) -> str:
    """A command to print and paste, quoted for the shell; control characters as in bash and zsh."""
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    harmless = word.isprintable() or not _harmful(_BREAKS).search(word)
    return shlex.quote(word) if harmless else _ansi_quoted(word)


def _ansi_quoted(word: str) -> str:
    plain = word.replace("\\", r"\\").replace("'", r"\'")
    return f"$'{_harmful(_BREAKS).sub(_as_bytes, plain)}'"


def _as_bytes(match: re.Match[str]) -> str:
    """The bytes that the character stands for in a file name, as escapes."""
    character = match[0]
    errors = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", errors))
