"""Python's global random generator across a fork.

CPython seeds it anew in every forked process. That is right if nobody has seeded it: workers are not to draw
the same numbers. If a conftest or a test module has, each worker goes on from there, as if it had done that.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

__all__ = ["carry_generator", "note_unseeded"]

# Tests replace them.
_get, _set, _Random = random.getstate, random.setstate, random.Random

#: The Mersenne Twister makes so many words of 32 bits at once.
_BLOCK = 624
#: How far a generator is followed that has been drawn from, in blocks: these take a millisecond. One that is
#: further is taken to be seeded.
_BLOCKS = 256
#: Of the form of a state.
_VERSION = 3


class _Known:
    """Of this process: a state that nobody has asked for, and whether another one has come of it."""

    unseeded: Any = None
    asked: Any = None
    answer = False


def note_unseeded() -> None:
    """From here on, whoever seeds the generator means it."""
    _Known.unseeded = _get()
    _Known.asked = None


def carry_generator() -> Callable[[], None]:
    """What a process has to do that is about to be forked from this one."""
    state = _get()
    if state != _Known.asked:
        _Known.asked, _Known.answer = state, _is_seeded(state)
    return (lambda: _set(state)) if _Known.answer else note_unseeded


def _is_seeded(state: Any) -> bool:
    """Whether numbers were not only drawn since `note_unseeded`. No, if that was never called."""
    if _Known.unseeded is None or _words(state) == _words(_Known.unseeded):
        return False
    follower = _Random(0)
    follower.setstate((_VERSION, (*_words(state), 0), None))
    beginning = follower.getrandbits(64).to_bytes(8, "little")
    follower.setstate((_VERSION, (*_words(_Known.unseeded), _BLOCK), None))
    numbers = follower.getrandbits(32 * _BLOCK * _BLOCKS).to_bytes(4 * _BLOCK * _BLOCKS, "little")
    return all(numbers[at : at + 8] != beginning for at in range(0, len(numbers), 4 * _BLOCK))


def _words(state: Any) -> Any:
    """The Mersenne Twister's, without the place in them."""
    return state[1][:-1]
