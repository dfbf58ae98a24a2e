"""Makes one suite of several collections: where each worker collects for itself, all must agree.

Pure: takes what the workers said, and returns what follows from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from difflib import unified_diff

from pytest_procpar.core.model import WorkerId, worker_name
from pytest_procpar.core.printable import printable_line

__all__ = ["CollectedSuites", "Merged", "difference"]

#: At most this many lines of a difference are shown.
_LINES = 200


class CollectedSuites:
    """Which workers collect, which have collected, and what."""

    def __init__(self, workers: Iterable[WorkerId]) -> None:
        self._ids: dict[WorkerId, Sequence[str] | None] = dict.fromkeys(workers)

    def collected(self, worker: WorkerId, ids: Sequence[str]) -> None:
        """A worker has collected these tests."""
        self._ids[worker] = ids

    def gone(self, worker: WorkerId) -> None:
        """A worker is dead."""
        self._ids.pop(worker, None)

    @property
    def left(self) -> list[WorkerId]:
        """The workers that are alive."""
        return list(self._ids)

    @property
    def collecting(self) -> list[WorkerId]:
        """The workers that are alive and have not collected yet."""
        return [worker for worker, ids in self._ids.items() if ids is None]

    @property
    def waiting(self) -> list[WorkerId]:
        """The workers that are alive and have collected."""
        return [worker for worker, ids in self._ids.items() if ids is not None]

    @property
    def complete(self) -> bool:
        """Whether all live workers have collected."""
        return bool(self._ids) and not self.collecting

    def disagreement(self) -> str | None:
        """How the first differing collection differs from the first worker's; None if all are equal."""
        first, *others = self._ids.items()
        for worker, ids in others:
            if ids != first[1]:
                return difference(first[0], first[1] or (), worker, ids or ())
        return None


def difference(one: WorkerId, ids: Sequence[str], other: WorkerId, other_ids: Sequence[str]) -> str:
    """The message about two workers that have collected different tests."""
    names = worker_name(one), worker_name(other)
    lines = list(unified_diff(ids, other_ids, *names, lineterm="", n=1))
    if len(lines) > _LINES:
        lines = [*lines[:_LINES], f"... and {len(lines) - _LINES} more lines"]
    return "\n".join(
        [
            f"Different tests were collected between {names[0]} and {names[1]}. The difference is:",
            *map(printable_line, lines),
            "Each worker has collected the suite for itself. Parameters that come from a set, from random "
            "numbers or from the clock differ between processes: sort them, or fix what they come from.",
        ]
    )


class Merged:
    """Merges what several sources say, so that the same thing is heard once, not once per source."""

    def __init__(self) -> None:
        self._said: dict[Hashable, Counter[Hashable]] = {}
        self._heard: Counter[Hashable] = Counter()

    def forget_sources(self) -> None:
        """Let all sources begin again, under whatever names; what they say again is not new."""
        self._said.clear()

    def is_new(self, source: Hashable, what: Hashable) -> bool:
        """Note that `source` says `what`; return True if no source has said it as often before."""
        said = self._said.setdefault(source, Counter())
        said[what] += 1
        if said[what] <= self._heard[what]:
            return False
        self._heard[what] += 1
        return True
