"""Strict JSON from whatever users have put into a value, and a file that is never there by half.

Does not know what it writes.
"""

from __future__ import annotations

import json
import math
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["check", "plain", "to_bytes", "to_json", "write"]

#: How deep lists and dictionaries in a user's value may be nested.
_DEEPEST = 20
#: Integers with more bits may have more digits than Python shows, whatever limit is set for that.
_WIDEST = 2000


def check(path: Path) -> None:
    """Make the folder that the file goes into.

    :raises OSError: if the file cannot be written there.
    """
    if path.is_dir():
        raise OSError("it is a folder")
    if path.exists() and not os.access(path, os.W_OK):
        raise OSError("it is not writable")
    if _is_replaceable(path):
        part = _part(path)
        part.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        part.unlink()


def _is_replaceable(path: Path) -> bool:
    """Whether it is, or will be, a regular file; a pipe or device is written to as it is."""
    return path.is_file() or not path.exists()


def _part(path: Path) -> Path:
    """Where the file is written before it takes its name: beside it, wherever a link leads to."""
    return Path(os.path.realpath(path)).with_name(f".procpar-report-{os.getpid()}.tmp")


def write(path: Path, data: bytes) -> None:
    """Let the file have this content, or stay as it is."""
    if not _is_replaceable(path):
        path.write_bytes(data)
        return
    part = _part(path)
    part.parent.mkdir(parents=True, exist_ok=True)  # a test may have cleaned up
    try:
        part.write_bytes(data)
        os.replace(part, os.path.realpath(path))
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def plain(value: Any, depth: int = 0) -> Any:
    """A copy that JSON has: what it does not have in it is shown as text."""
    match value:
        case None | bool() | str():
            return value
        case int() if value.bit_length() <= _WIDEST:
            return value
        case float() if math.isfinite(value):
            return value
        case list() | tuple() if depth < _DEEPEST:
            return [plain(element, depth + 1) for element in value]
        case dict() if depth < _DEEPEST:
            return {_text(name): plain(element, depth + 1) for name, element in value.items()}
        case _:
            return _text(value)


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_text).encode


def to_json(value: object) -> str:
    """A value as strict JSON on one line, whatever users have put into it."""
    try:
        return _encode(value)
    except (ValueError, TypeError, RecursionError):  # NaN, a loop, keys that are no strings
        return _encode(plain(value))


def to_bytes(text: str) -> bytes:
    """A JSON text in UTF-8, which has no lone surrogates: of ``\\udcff`` its escape remains, as text."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", lambda match: f"\\\\u{ord(match[0]):04x}", text).encode()
