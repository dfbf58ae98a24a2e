"""Strict JSON from whatever users have put into a value.

Does not know where it is written.
"""

from __future__ import annotations

import json
import math
import re

__all__ = ["plain", "to_bytes", "to_json"]

#: How deep lists and dictionaries in a user's value may be nested.
_DEEPEST = 20
#: Integers with more bits than this may have more digits than Python shows, whatever limit is set for that.
_WIDEST = 2000


def plain(value: object, depth: int = 0) -> object:
    """A copy of a value that JSON can represent; the rest becomes text."""
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


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_text).encode


def to_json(value: object) -> str:
    """A value as strict JSON on one line, whatever users have put into it."""
    try:
        return _encode(value)
    except (ValueError, TypeError, RecursionError):  # NaN, a loop, keys that are not strings
        return _encode(plain(value))


def to_bytes(text: str) -> bytes:
    """A JSON text in UTF-8, which has no lone surrogates: the escape of ``\\udcff`` remains, as text."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", lambda match: f"\\\\u{ord(match[0]):04x}", text).encode()
