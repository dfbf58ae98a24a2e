"""What each test of a made suite does, as a formula over flags, and what comes of an order of them.

The truth that findings are compared with. Pure: knows nothing of files, processes or reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Flags = frozenset[str]
Tests = tuple[int, ...]

PASSED, FAILED, CRASHED = "passed", "failed", "crashed"
BAD = (FAILED, CRASHED)


@dataclass(frozen=True)
class Behaviour:
    """A test is judged by the flags that it finds; then it clears some, and sets some.

    Attributes:
        victim_of: It goes wrong if all of these are set.
        needs: It goes wrong if one of these is not.
        clears: What it clears, whatever becomes of it.
        sets: What it sets, if everything of ``once`` is set by then.
        once: See ``sets``.
        wrong: It goes wrong in any case.
        crashes: It goes wrong by ending its process.
        pattern: How its executions end in turn, over and over, whatever process they are in: "PPF".
        chance: How likely it fails for no reason.
        watches: It fails if a test that occupies runs beside it; it takes a while.
        occupies: It takes a moment, in which nobody may watch.
    """

    victim_of: Flags = frozenset()
    needs: Flags = frozenset()
    clears: Flags = frozenset()
    sets: Flags = frozenset()
    once: Flags = frozenset()
    wrong: bool = False
    crashes: bool = False
    pattern: str = ""
    chance: float = 0.0
    watches: bool = False
    occupies: bool = False

    @property
    def flaky(self) -> bool:
        """Whether it passes and fails under the same conditions."""
        return bool(self.pattern or self.chance)

    @property
    def certain(self) -> bool:
        """Whether its outcome follows from the tests before it."""
        return not self.flaky and not self.watches


HEALTHY = Behaviour()


def run(suite: Sequence[Behaviour], order: Iterable[int]) -> list[str]:
    """How tests end in one process, up to one that ends it; those that are not certain: as passed."""
    state: set[str] = set()
    words: list[str] = []
    for test in order:
        one = suite[test]
        bad = (
            one.wrong or (bool(one.victim_of) and one.victim_of <= state) or not one.needs <= state
        )  # fmt: skip
        if bad and one.crashes:
            return [*words, CRASHED]
        words.append(FAILED if bad else PASSED)
        state -= one.clears
        if one.once <= state:
            state |= one.sets
    return words


def last(suite: Sequence[Behaviour], order: Tests) -> str:
    """How the last of these tests ends; an empty string if the process ends before."""
    words = run(suite, order)
    return words[-1] if len(words) == len(order) else ""


def is_cause(suite: Sequence[Behaviour], cause: Tests, test: int, *, bad: bool) -> bool:
    """Whether the test ends so after these tests, and not after all of them but one, nor alone."""
    wanted = BAD if bad else (PASSED,)
    rests = [cause[:at] + cause[at + 1 :] for at in range(len(cause))]
    return last(suite, (*cause, test)) in wanted and not any(
        last(suite, (*rest, test)) in wanted for rest in [*rests, ()]
    )


def in_fresh_processes(suite: Sequence[Behaviour], order: Iterable[int]) -> dict[int, tuple[str, Tests]]:
    """How tests end in this order, a fresh process after one that has ended it, and what ran before each."""
    found: dict[int, tuple[str, Tests]] = {}
    rest = tuple(order)
    while rest:
        words = run(suite, rest)
        found.update(
            (test, (word, rest[:at])) for at, (test, word) in enumerate(zip(rest, words, strict=False))
        )
        rest = rest[len(words) :]
    return found
