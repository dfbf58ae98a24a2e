"""Orders in which a suite can run, other than the collected one.

This module does not know where nodeids come from, and draws no seed: the caller draws one if none was named.
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
    """The order that an option's value names: ``reverse``, ``random`` or ``random:SEED`` (SEED is any text).

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
    """The places of these tests in a random order; on every machine, the same seed gives the same order.

    It is stable under selection: a subset keeps its relative order, so that a run of fewer tests has an order
    in which the whole suite ran. Where tests share a nodeid, this holds only if the later ones are left out.
    """
    earlier: Counter[str] = Counter()
    keys: list[tuple[bytes, int]] = []
    for place, nodeid in enumerate(nodeids):
        text = f"{seed}\0{earlier[nodeid]}\0{nodeid}"
        earlier[nodeid] += 1
        keys.append((blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest(), place))
    return [place for _, place in sorted(keys)]
