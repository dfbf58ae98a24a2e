"""Shortens values that are too long to travel from one process to another.

Pure. Of a text that is too long, the beginning and the end stay, with a note between them that says how much
is missing. Bytes and containers cannot be cut without a change of meaning: a note replaces them, and they
count as lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized

__all__ = ["Measure", "cut", "measures", "shortened"]

_CONTAINERS = (list, tuple, set, frozenset, dict)


class Measure:
    """How long texts may be, in characters, and in dicts also bytes and containers; None: no limit.

    Containers outside dicts are parts of our own messages, and stay as they are.
    """

    __slots__ = ("blob", "entries", "text")

    def __init__(self, text: int, blob: int | None = None, entries: int | None = None) -> None:
        self.text = text
        self.blob = blob
        self.entries = entries


def measures(plenty: int) -> Iterator[Measure]:
    """The measures to try one after another, the mildest first.

    :param plenty: how long a text may be under the first one, in characters.
    """
    yield Measure(plenty)
    for share in (64, 4096):
        some = max(64, plenty // share)
        yield Measure(some, some, some)


def cut(text: str, longest: int) -> str:
    """A text, or, if it is too long, its beginning and end and how much is missing between them."""
    if len(text) <= longest:
        return text
    half = longest // 2
    left_out = f"{len(text) - 2 * half} of {len(text)} characters are left out here"
    return f"{text[:half]}\n[pytest-procpar: {left_out}]\n{text[len(text) - half :]}"


def shortened(value: object, measure: Measure, lost: list[str]) -> object:
    """The value with nothing in it longer than `measure` allows; `lost` gets a note of what was replaced.

    :param value: made of exact builtins, without cycles.
    """
    return _Shortening(measure, lost).of(value, within_dict=False)


class _Shortening:
    def __init__(self, measure: Measure, lost: list[str]) -> None:
        self._measure = measure
        self._lost = lost
        #: The copies of containers, by id and by whether a dict held them: some occur often.
        self._known: dict[tuple[int, bool], object] = {}

    def of(self, value: object, *, within_dict: bool) -> object:
        """The shortened value.

        :param within_dict: whether a dict holds it, directly or not.
        """
        if isinstance(value, str):
            return cut(value, self._measure.text)
        if isinstance(value, (bytes, bytearray)):
            return self._kept_or_noted(value, self._measure.blob)
        if not isinstance(value, _CONTAINERS):
            return value
        key = (id(value), within_dict)
        if key not in self._known:
            kept = self._kept_or_noted(value, self._measure.entries) if within_dict else value
            self._known[key] = self._fill(value, within_dict) if kept is value else kept
        return self._known[key]

    def _fill(self, value: object, within_dict: bool) -> object:
        if isinstance(value, dict):
            return {
                self.of(k, within_dict=within_dict): self.of(v, within_dict=True) for k, v in value.items()
            }
        assert isinstance(value, (list, tuple, set, frozenset))
        return type(value)([self.of(entry, within_dict=within_dict) for entry in value])

    def _kept_or_noted(self, value: Sized, most: int | None) -> object:
        if most is None or len(value) <= most:
            return value
        name = type(value).__name__
        self._lost.append(f"a value of type {name} and length {len(value)}")
        return f"<{name} of length {len(value)}, too long to be carried>"
