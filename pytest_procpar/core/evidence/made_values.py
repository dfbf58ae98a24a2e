"""Whether a text holds a value that was made at random, or a part of it: a uuid, random bytes, a number.

A part does not count if it is so short that it may be there by accident.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

__all__ = ["MadeValue", "bytes_value", "drawn_value", "number_value", "text_value", "uuid_value"]

#: Anything longer is data, not a name.
_LONGEST_NAME = 64
#: A part this long counts wherever it is; a shorter one only at the end of a word, or if it is a whole word.
_SURE, _LIKELY, _SHORTEST = 8, 5, 4

_WORD = re.compile(r"[0-9A-Za-z]+")


class MadeValue:
    """A value that was made, and the forms in which it may appear in a text.

    :param whole: what counts wherever it is.
    :param ends: what counts at the end of a word.
    :param words: what counts as a whole word.
    :param number: counts as a number in decimal digits, and as the value of an object that holds it.
    :param drawn: characters that were drawn one by one: a word counts if it is a part of them.
    """

    __slots__ = ("_drawn", "_ends", "_whole", "_words", "number")

    def __init__(
        self,
        whole: tuple[str, ...] = (),
        ends: tuple[str, ...] = (),
        words: tuple[str, ...] = (),
        number: int | None = None,
        drawn: str = "",
    ) -> None:
        self._whole = whole
        self._ends = ends
        self._words = words
        self.number = number
        self._drawn = drawn

    def is_in(self, text: str) -> bool:
        """Whether a text holds the value or a telling part of it."""
        if self.is_wholly_in(text):
            return True
        # To search for each part is much faster than to look at each word, and most texts hold none of them.
        if not self._drawn and not any(part in text for part in (*self._ends, *self._words)):
            return False
        return any(self._is_word(word) for word in _words(text))

    def is_wholly_in(self, text: str) -> bool:
        """Whether a text, however long, holds so much of the value that it is no accident."""
        if any(part in text for part in self._whole):
            return True
        return self.number is not None and _has_number(text, self.number)

    @property
    def telling_parts(self) -> tuple[str, ...]:
        """What to look for in many texts: each text in which the value `is_surely_in` holds one of these."""
        number = () if self.number is None else (str(self.number),)
        parts = sorted({*self._whole, *self._ends, *number}, key=len)
        return tuple(
            part for index, part in enumerate(parts) if not any(short in part for short in parts[:index])
        )

    def is_surely_in(self, text: str) -> bool:
        """Whether a text, one of all that a process has, holds so much of the value that it is no accident.

        Of a number, the caller has to know that it is large enough.
        """
        if self.is_wholly_in(text):
            return True
        if not any(part in text for part in self._ends):
            return False
        return any(word.endswith(self._ends) for word in _words(text))

    def _is_word(self, word: str) -> bool:
        if word in self._words or word.endswith(self._ends):
            return True
        return _LIKELY < len(word) <= _LONGEST_NAME and word in self._drawn


def uuid_value(digits: str, *, is_random: bool = True) -> MadeValue:
    """The value for a uuid.

    :param digits: its 32 hexadecimal digits.
    :param is_random: whether its end is random, too; otherwise the end identifies the machine.
    """
    dashed = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    sides = list(_sides(digits, both=is_random))
    data = bytes.fromhex(digits)
    coded = (base64.b64encode(data), base64.urlsafe_b64encode(data), base64.b32encode(data))
    exact = tuple(text.decode()[:_SURE] for text in coded)
    whole = [part for part in sides if len(part) >= _SURE] + [dashed[:_SURE], str(int(digits, 16))]
    ends = [part for part in sides if _LIKELY <= len(part) < _SURE]
    words = [part for part in sides if len(part) < _LIKELY]
    whole += [exact[-1]]
    return MadeValue((*_in_both_cases(whole), *exact), _in_both_cases(ends), _in_both_cases(words))


def bytes_value(data: bytes) -> MadeValue:
    """The value for random bytes, as text in one of the usual alphabets."""
    if not 2 <= len(data) <= _LONGEST_NAME:
        return MadeValue()
    digits = data.hex()
    forms = [digits, str(int.from_bytes(data, "big")), base64.b32encode(data).decode().rstrip("=").lower()]
    exact = [base64.urlsafe_b64encode(data).decode().rstrip("="), base64.b64encode(data).decode().rstrip("=")]
    exact += [form[:_SURE] for form in exact] + [form[:_SURE] for form in forms]
    whole = [form for form in (*forms, *exact) if len(form) >= _SURE]
    ends = [form for form in (*forms, digits[:6], digits[:5]) if _LIKELY <= len(form) < _SURE]
    words = [form for form in (*forms, *exact, digits[:4]) if len(form) == _SHORTEST]
    return MadeValue((*_in_both_cases(whole), *whole), _in_both_cases(ends), _in_both_cases(words))


def text_value(text: str) -> MadeValue:
    """The value for characters that were drawn, perhaps in several draws, one after the other."""
    if len(text) < _SHORTEST:
        return MadeValue()
    if len(text) > _LONGEST_NAME:
        return MadeValue(drawn=text)
    whole = tuple(part for part in (text, text[:_SURE]) if len(part) >= _SURE)
    ends = tuple(part for part in {text, text[:6]} if _LIKELY <= len(part) < _SURE)
    return MadeValue(_in_both_cases(whole), _in_both_cases(ends), _in_both_cases((text,)), drawn=text)


def number_value(number: int, least: int = 100) -> MadeValue:
    """The value for a number that was drawn or belongs to this process.

    :param least: smaller numbers may be anywhere by accident.
    """
    if number < least:
        return MadeValue()
    digits = f"{number:x}"
    if digits.isdecimal():  # it looks like another number
        digits = ""
    whole = (digits,) if len(digits) >= _SURE else ()
    ends = (digits,) if _LIKELY <= len(digits) < _SURE else ()
    words = (digits,) if len(digits) == _SHORTEST else ()
    return MadeValue(_in_both_cases(whole), _in_both_cases(ends), _in_both_cases(words), number)


def drawn_value(result: object) -> MadeValue:
    """The value for what a random generator has drawn: numbers and characters; words from a list are data."""
    match result:
        case bool():
            return MadeValue()
        case int():
            return number_value(result)
        case float():
            return text_value(repr(result).partition(".")[2][:16])
        case bytes():
            return bytes_value(result)
        case list() if len(result) <= _LONGEST_NAME and all(_is_character(part) for part in result):
            return text_value("".join(result))
        case _:
            return MadeValue()


def _is_character(part: object) -> bool:
    return type(part) is str and len(part) == 1


def _sides(digits: str, *, both: bool) -> Iterator[str]:
    for count in (32, 16, 12, 10, _SURE, 7, 6, _LIKELY, _SHORTEST):
        yield digits[:count]
        if both:
            yield digits[-count:]


def _in_both_cases(parts: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(form for part in parts for form in (part, part.upper(), part.lower())))


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _has_number(text: str, number: int) -> bool:
    """Whether a number is in a text, and not as a part of a longer one."""
    digits = str(number)
    at = text.find(digits)
    while at >= 0:
        end = at + len(digits)
        if not text[at - 1 : at].isdigit() and not text[end : end + 1].isdigit():
            return True
        at = text.find(digits, at + 1)
    return False
