"""Which of the things that have changed makes a test fail: found by putting them back.

A search like those of `core.search`: it yields batches of sets to put back, by their numbers, and is sent
whether the test passed then.
"""

from __future__ import annotations

from collections.abc import Generator

__all__ = ["Blame", "smallest_set"]

#: Yields sets to put back, is sent for each whether the test passed, and returns what is proven to suffice.
Blame = Generator[list[frozenset[int]], list[bool], "frozenset[int] | None"]

#: So many sets are tried at most, and so many single ones among them.
_MOST = 60
_SINGLES = 30


def smallest_set(count: int) -> Blame:
    """Find one of `count` changes, likely ones first, or the smallest set, without which the test passes.

    The answer is 1-minimal if there was room for all trials: without any one of it the test fails. None: if
    nothing suffices, or if the test passes though nothing is put back.
    """
    nothing, everything = frozenset[int](), frozenset(range(count))
    if not count or (yield [nothing])[0]:
        return None
    tried = 1
    for number in range(min(count, _SINGLES)):
        tried += 1
        if (yield [frozenset((number,))])[0]:
            return frozenset((number,))
    if count == 1 or not (yield [everything])[0]:
        return None
    enough, parts = everything, 2
    while len(enough) > 1 and tried < _MOST:
        left = yield from _without_a_part(enough, parts)
        tried += parts
        if left is not None:
            enough, parts = left, max(parts - 1, 2)
        elif parts >= len(enough):
            break
        else:
            parts = min(2 * parts, len(enough))
    return enough


def _without_a_part(enough: frozenset[int], parts: int) -> Blame:
    """What still suffices when one of so many parts is left out; None if all are needed."""
    numbers = sorted(enough)
    size = -(-len(numbers) // parts)
    for at in range(0, len(numbers), size):
        rest = enough - frozenset(numbers[at : at + size])
        if rest and (yield [rest])[0]:
            return rest
    return None
