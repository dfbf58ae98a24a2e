"""Short texts for values, for people: what they are and, for containers, what differs.

A user's `__repr__` may raise; it must not hang.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable
from typing import Final

from pytest_procpar.state.containers import PLAIN, Content, Pairs, differences, family_of, mro_of

__all__ = ["ABSENT", "WIDTH", "show", "show_change"]

#: The longest repr, in characters.
WIDTH: Final = 80
#: The most characters of one entry of a container that are shown.
_ENTRY: Final = 30
#: The most entries of a container that are shown.
_FEW: Final = 5
_DOTS: Final = "…"
#: The text for a value that is not there.
ABSENT: Final = "(absent)"
#: An address says nothing, and differs in the next process.
_strip_addresses = re.compile(r" at 0x[0-9a-fA-F]+| id='\d+'").sub

_BRACKETS: Final[dict[type, str]] = {list: "[]", tuple: "()", set: "{}", frozenset: "{}", dict: "{}"}


def show(value: object, width: int = WIDTH) -> str:
    """A short repr."""
    kind = type(value)
    if kind in (str, bytes):
        text = repr(value[: width + 1])  # type: ignore[index]
    elif kind in _BRACKETS:
        text = _show_entries(kind, value, len(value))  # type: ignore[arg-type]
    elif type in mro_of(kind):
        text = f"<class {_title(value)}>"
    elif kind in (types.FunctionType, types.BuiltinFunctionType):
        text = f"<function {_title(value)}>"
    elif kind is types.ModuleType:
        text = f"<module {vars(value).get('__name__')!r}>"
    else:
        text = _guarded_repr(value)
    return _cut(text, width)


def show_change(old: Content, new: Content, content: Callable[[object], Content | None]) -> tuple[str, str]:
    """Show two copies of a container (see `Family.copy`): what only one of them has."""
    if isinstance(old, Pairs) and isinstance(new, Pairs):
        entries = list(differences(old, new, content))
        rest = len(old.keys) > sum(bool(was) for _, was, _ in entries)
        before = [_show_pair(key, was[0]) for key, was, _ in entries if was]
        after = [_show_pair(key, now[0]) for key, _, now in entries if now]
        return _join("{}", before, rest), _join("{}", after, rest)
    if isinstance(old, frozenset) and isinstance(new, frozenset):
        kept = {id(value) for value in old} & {id(value) for value in new}
        gone = [show(value, _ENTRY) for value in old if id(value) not in kept]
        come = [show(value, _ENTRY) for value in new if id(value) not in kept]
        return _join("{}", sorted(gone), bool(kept)), _join("{}", sorted(come), bool(kept))
    if isinstance(old, list) and isinstance(new, list):
        start, end = _common(old, new)
        return _show_part(old, start, end), _show_part(new, start, end)
    return show(old), show(new)


def _common(old: list[object], new: list[object]) -> tuple[int, int]:
    """The number of entries that two lists have in common at the start, and at the end."""
    most = min(len(old), len(new))
    start = next((i for i in range(most) if old[i] is not new[i]), most)
    end = next((i for i in range(most - start) if old[-1 - i] is not new[-1 - i]), most - start)
    return start, end


def _show_part(values: list[object], start: int, end: int) -> str:
    part = [show(value, _ENTRY) for value in values[start : len(values) - end][:_FEW]]
    cut = len(values) - start - end > _FEW
    around = [_DOTS] * bool(start), [_DOTS] * (bool(end and (part or not start)) or cut)
    return _cut(f"[{', '.join([*around[0], *part, *around[1]])}]", WIDTH)


def _show_pair(key: object, value: object) -> str:
    return f"{show(key, _ENTRY)}: {show(value, _ENTRY)}"


def _join(brackets: str, entries: list[str], rest: bool) -> str:
    few = entries[:_FEW] + [_DOTS] * (rest or len(entries) > _FEW)
    return _cut(f"{brackets[0]}{', '.join(few)}{brackets[1]}", WIDTH)


def _show_entries(kind: type, value: Iterable[object], size: int) -> str:
    if not size and kind in (set, frozenset):
        return f"{kind.__name__}()"
    if kind is dict:
        family = family_of(dict)
        assert family is not None
        pairs = family.copy(value)
        assert isinstance(pairs, Pairs)
        return _join(
            "{}", [_show_pair(*pair) for pair in zip(pairs.keys[:6], pairs.values[:6], strict=True)], False
        )
    entries = [show(entry, _ENTRY) for entry, _ in zip(value, range(_FEW + 1), strict=False)]
    text = _join(_BRACKETS[kind], entries, False)
    return text if kind is not tuple or size != 1 else f"{text[:-1]},)"


def _title(value: object) -> str:
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", "?")
    return str(name) if module in ("builtins", None) else f"{module}.{name}"


def _guarded_repr(value: object) -> str:
    try:
        text = repr(value)
        if type(value) in PLAIN:
            return text
        return _strip_addresses("", text)
    except Exception as error:
        # Only its type: the error's text may run a user's code, too.
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"


def _cut(text: str, width: int) -> str:
    text = text.replace("\n", " ")
    if len(text) <= width:
        return text
    return text[: width - 2] + _DOTS + text[-1]
