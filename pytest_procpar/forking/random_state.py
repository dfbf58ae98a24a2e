"""Python's global random generator across a fork.

CPython reseeds it in every forked process. That is right if it was never seeded: workers must not draw the
same numbers. If a conftest or a test module has seeded it, each worker goes on from there, as if it had done
that itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["carry_generator", "note_unseeded"]

# Tests replace the originals.
_get, _set, _Random = random.getstate, random.setstate, random.Random

#: How many 32-bit words the Mersenne Twister makes at once.
_BLOCK = 624
#: How many blocks a generator that has been drawn from is followed, which takes a millisecond. One that is
#: further along counts as seeded.
_BLOCKS = 256
#: The version in a state's format.
_VERSION = 3


#: A version, the words of the Mersenne Twister with the position in them, and the next Gaussian number.
_State: TypeAlias = "tuple[int, tuple[int, ...], float | None]"


class _Known:
    """This process's state that counts as unseeded, and the state last asked about, with the answer."""

    unseeded: _State | None = None
    asked: _State | None = None
    answer = False


def note_unseeded() -> None:
    """Note the current state as unseeded: any seeding after this counts as deliberate."""
    _Known.unseeded = _get()
    _Known.asked = None


def carry_generator() -> Callable[[], None]:
    """Return what a process that is about to be forked from this one has to call."""
    state = _get()
    if state != _Known.asked:
        _Known.asked, _Known.answer = state, _is_seeded(state)
    return (lambda: _set(state)) if _Known.answer else note_unseeded


def _is_seeded(state: _State) -> bool:
    """Whether the generator was seeded since `note_unseeded`; False if it was only drawn from.

    Also False if `note_unseeded` was never called.
    """
    if _Known.unseeded is None or _words(state) == _words(_Known.unseeded):
        return False
    follower = _Random(0)
    follower.setstate((_VERSION, (*_words(state), 0), None))
    beginning = follower.getrandbits(64).to_bytes(8, "little")
    follower.setstate((_VERSION, (*_words(_Known.unseeded), _BLOCK), None))
    numbers = follower.getrandbits(32 * _BLOCK * _BLOCKS).to_bytes(4 * _BLOCK * _BLOCKS, "little")
    return all(numbers[at : at + 8] != beginning for at in range(0, len(numbers), 4 * _BLOCK))


def _words(state: _State) -> tuple[int, ...]:
    """The words of the Mersenne Twister, without the position in them."""
    return state[1][:-1]
