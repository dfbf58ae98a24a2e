"""Orders in which a suite can be run, other than the collected one.

Does not know where nodeids come from, nor draws a seed: who wants a random order without naming one has to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b

from pytest_procpar.core.record import record

__all__ = ["SuiteOrder", "OrderError", "parse_order", "shuffled"]


class OrderError(ValueError):
    """A text names no order."""


@record
class SuiteOrder:
    """What was asked for: the reverse order, or a random one, whose ``seed`` is None if none was named."""

    random: bool
    seed: str | None = None


def parse_order(text: str) -> SuiteOrder:
    """The value of an option: ``reverse``, ``random`` or ``random:SEED``; any text is a seed.

    :raises OrderError: for anything else.
    """
    if text == "reverse":
        return SuiteOrder(random=False)
    if text == "random":
        return SuiteOrder(random=True)
    word, colon, seed = text.partition(":")
    if word == "random" and colon and seed.strip():
        return SuiteOrder(random=True, seed=seed.strip())
    raise OrderError(f"invalid value {text!r}: give reverse, random or random:SEED, such as random:7")


def shuffled(nodeids: Iterable[str], seed: int | str) -> list[int]:
    """The places of these tests in a random order, the same for the same seed on every machine.

    It is stable under selection: a subset keeps its relative order, so that a run of fewer tests is in an
    order that the whole suite ran in. Of tests that share a nodeid, it has to be the later ones that are
    left out.
    """
    earlier: Counter[str] = Counter()
    keys: list[tuple[bytes, int]] = []
    for place, nodeid in enumerate(nodeids):
        text = f"{seed}\0{earlier[nodeid]}\0{nodeid}"
        earlier[nodeid] += 1
        keys.append((blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest(), place))
    return [place for _, place in sorted(keys)]
