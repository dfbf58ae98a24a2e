"""Whether a failure is the fork's doing: the same tests after a fork, and where nothing was forked.

A try is a fresh interpreter that collects the suite and runs some tests, either itself, or in a process that
it forks for this in the way in which a worker is forked. Nothing else differs, so nothing else can be the
cause. The fork is to blame for a test that fails in every forked try and in none of the others.

That also happens by chance. A test that fails with probability p wherever it runs fails in all of k forked
tries and in none of k others with probability (p (1 - p))^k, which is at most 4^-k (at p = 1/2).

Pure: this module does not know how a try is made.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from enum import Enum
from typing import TypeAlias

from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.record import record

__all__ = ["RISK", "Group", "Tried", "Try", "Verdict", "by_chance", "order_of_tries", "tries", "try_group"]

#: How often the fork may be blamed for a test that fails at random, at whatever rate.
RISK = 0.001


class Verdict(str, Enum):
    """What is to blame for a test's failure."""

    #: It fails in every process that was forked, and in none that was not.
    FORK = "fork"
    #: It also fails where nothing was forked.
    NOT_THE_FORK = "not the fork"
    #: It does not always fail in a forked process, or not in the way in which it did in the run.
    NOT_SEEN_AGAIN = "not seen again"
    #: No answer could be found.
    OPEN = "open"


@record
class Group:
    """What to try: the tests of each process; all begin together, and some tests of the first are judged."""

    sequences: tuple[tuple[TestIndex, ...], ...]
    judged: tuple[TestIndex, ...]


@record
class Try:
    """One process for each sequence of a group."""

    forked: bool


@record
class Tried:
    """What came of the tries of one test: how many times it failed, and out of how many."""

    verdict: Verdict
    forked_bad: int = 0
    forked: int = 0
    fresh_bad: int = 0
    fresh: int = 0


#: How each judged test ended, as far as it ran. LOST stands for a failure of another kind than in the run.
Words: TypeAlias = Mapping[TestIndex, Outcome]


def by_chance(p: float, k: int) -> float:
    """The probability that the fork is blamed for a test that fails with probability `p` wherever it runs."""
    return float((p * (1 - p)) ** k)


def tries(risk: float = RISK) -> int:
    """The least number of tries of each kind with which chance puts no blame more often than `risk`.

    :raises ValueError: if `risk` is not positive.
    """
    if risk <= 0:
        raise ValueError(f"no number of tries excludes chance: a risk of {risk}")
    k = 1
    while by_chance(0.5, k) > risk:
        k += 1
    return k


def order_of_tries(k: int) -> list[Try]:
    """`k` tries of each kind, the first one not forked.

    They are in the order of the Thue-Morse sequence, which has no overlaps. So a test that fails every second
    time that it runs, or in any other rhythm whose period is at most `k`, is not in step with it. Files and
    other things that a test leaves behind make such rhythms.
    """
    made: list[Try] = []
    left = {False: k, True: k}
    at = 0
    while any(left.values()):
        forked = bool(at.bit_count() % 2)
        if not left[forked]:
            forked = not forked
        left[forked] -= 1
        made.append(Try(forked))
        at += 1
    return made


def try_group(group: Group, risk: float = RISK) -> Generator[Try, Words | None, dict[TestIndex, Tried]]:
    """Find out about every judged test of a group.

    Yields what to try next, and is sent how that ended; None, if it could not be tried, ends the search. A
    test is not looked at any further once the fork is known not to be to blame; most often the first try says
    so.
    """
    counts = {test: {True: 0, False: 0} for test in group.judged}
    settled: dict[TestIndex, Tried] = {}

    def settle(test: TestIndex, verdict: Verdict, forked: bool = False, bad: bool = False) -> None:
        seen = counts.pop(test)
        settled[test] = Tried(
            verdict,
            seen[True] - (forked and not bad),
            seen[True],
            int(not forked and bad),
            seen[False],
        )

    for one in order_of_tries(tries(risk)):
        if not counts:
            break
        words = yield one
        if words is None:
            break
        for test in list(counts):
            word = words.get(test)
            if word is None:
                settle(test, Verdict.OPEN)
                continue
            counts[test][one.forked] += 1
            if one.forked and not word.bad:
                settle(test, Verdict.NOT_SEEN_AGAIN, forked=True)
            elif not one.forked and not word.good:
                settle(test, Verdict.NOT_THE_FORK, bad=True)
    else:
        for test in list(counts):
            settle(test, Verdict.FORK)
    for test in list(counts):
        settle(test, Verdict.OPEN)
    return settled
