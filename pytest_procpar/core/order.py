"""Orders in which a suite can be run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

__all__ = ["reversed_order", "shuffled"]


def reversed_order(count: int) -> list[int]:
    """The last test first."""
    return list(range(count))[::-1]


def shuffled(nodeids: Sequence[str], seed: str) -> list[int]:
    """Random, but stable under selection."""
    keys = [(hashlib.sha256(f"{seed}\0{nodeid}".encode()).digest(), i) for i, nodeid in enumerate(nodeids)]
    return [i for _, i in sorted(keys)]
