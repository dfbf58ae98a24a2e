"""Assigns groups of tests to workers by their names: consistent hashing with bounded loads.

Each group has an order of the workers that depends on its name alone, and goes to the first one with room for
it (Mirrokni, Thorup and Zadimoghaddam, 2016: arXiv:1608.01350). A group that finds no room there goes on to
a random one, not to a neighbour, so that full workers do not fill up those beside them (Chen, Coleman and
Shrivastava, 2020: arXiv:1908.08762). The order comes from jump hashes, which move as few groups as possible
if the number of workers changes (Lamping and Veach, 2014: arXiv:1406.2294).

How long tests take is not asked: that differs between runs and machines, and so would the assignment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b

__all__ = ["assign_groups", "capacity_for", "divide", "weight_of"]

#: How much more than its even share a worker may have: the share times 1 + 1 / _SLACK (the paper's 1 + ε).
#: With less, more groups are turned away from their first worker, and move when others grow.
_SLACK = 4

#: A worker's capacity is rounded up to this many significant bits, by an eighth at most: it stays the same
#: while a suite grows by some tests. Where it changes, groups that were turned away come back.
_CAPACITY_BITS = 4

_WORD = 8
_MASK = 2**64 - 1


def divide(keys: Sequence[str], workers: int) -> list[list[int]]:
    """The indices of each worker's tests, in collected order.

    Workers that groups cannot fill get nothing: the last ones.

    :param keys: the name of each test's group.
    """
    sizes = Counter(keys)
    worker_of = assign_groups(sizes, min(workers, max(1, len(sizes))))
    divided: list[list[int]] = [[] for _ in range(workers)]
    for test, key in enumerate(keys):
        divided[worker_of[key]].append(test)
    return divided


def assign_groups(sizes: Mapping[str, int], workers: int) -> dict[str, int]:
    """The number of each group's worker.

    The same for the same sizes and number of workers, on every machine and in whatever order groups come. A
    worker's weights add up to no more than `capacity_for` says. Only a group that weighs more than a quarter
    of an even share may find no room; it goes to a worker that has the least.

    :param sizes: how many tests each group has.
    """
    weights = {name: weight_of(size) for name, size in sizes.items()}
    capacity = capacity_for(sum(weights.values()), workers)
    loads = [0] * workers
    worker_of: dict[str, int] = {}
    # Those that come first get their first worker. Names decide who that is, so that sizes do not matter.
    for digest, name in sorted((_digest(name, 0), name) for name in weights):
        weight, least = weights[name], min(loads)
        limit = capacity - weight if least + weight <= capacity else least
        worker = next(worker for worker in _preferences(name, digest, workers) if loads[worker] <= limit)
        loads[worker] += weight
        worker_of[name] = worker
    return worker_of


def weight_of(size: int) -> int:
    """What a group of `size` tests counts: a power of two, which stays the same as most tests are added."""
    return 1 << (size - 1).bit_length()


def capacity_for(weight: int, workers: int) -> int:
    """What a worker may have of this total weight."""
    share = -(-weight * (_SLACK + 1) // (_SLACK * workers))
    dropped = max(0, share.bit_length() - _CAPACITY_BITS)
    return -(-share >> dropped) << dropped


def _preferences(name: str, digest: bytes, workers: int) -> Iterator[int]:
    """A group's order of the workers; each comes up again and again, at random."""
    salt = 0
    while True:
        for start in range(0, len(digest), _WORD):
            yield _jump(int.from_bytes(digest[start : start + _WORD], "little"), workers)
        salt += 1
        digest = _digest(name, salt)


def _digest(name: str, salt: int) -> bytes:
    # Names of files need not be valid in any encoding.
    return blake2b(name.encode("utf-8", "surrogatepass"), salt=salt.to_bytes(16, "little")).digest()


def _jump(key: int, buckets: int) -> int:
    """The jump hash of a key: with one more bucket it is the same, or the new bucket.

    As in the paper, but in whole numbers, which are the same everywhere.
    """
    bucket = following = 0
    while following < buckets:
        bucket = following
        key = (key * 2862933555777941757 + 1) & _MASK
        following = ((bucket + 1) << 31) // ((key >> 33) + 1)
    return bucket
