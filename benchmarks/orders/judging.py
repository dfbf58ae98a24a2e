"""Compares the findings of a run's report with what the model of the suite says: the judge of it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.orders.model import (
    BAD,
    CRASHED,
    FAILED,
    PASSED,
    Behaviour,
    Tests,
    in_fresh_processes,
    is_cause,
    last,
    run,
)

#: The kinds of findings that name a cause, and whether it makes the test fail.
_CAUSED = {"victim": True, "contaminated-crash": True, "brittle": False}
#: Which part of all ordered pairs a deep search has to try.
_TRIED = 0.99


@dataclass
class Verdict:
    """What a run's findings are worth.

    Attributes:
        found: How many tests of each kind were found and named rightly.
        missed: How many tests of each kind are planted that neither the order that ran nor the other shows.
        deviations: What is wrong, in words.
    """

    found: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    deviations: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Ran:
    """How a run's tests ended, and after what."""

    words: Mapping[int, str]
    before: Mapping[int, Tests]


def judge(suite: Sequence[Behaviour], report: Mapping[str, Any], *, deep: bool = False) -> Verdict:
    """Judge a run with ``--recheck all --recheck-order reverse`` by its report.

    Of a `deep` one all is demanded that any order shows, and that nearly every pair has been tried.
    """
    ran = _ran(report)
    verdict = Verdict(deviations=_unexpected(suite, ran))
    if len(ran.words) != len(suite):
        return verdict
    wanted = _demanded(suite, ran)
    if deep:
        wanted.update((test, _in_any_order(one)) for test, one in enumerate(suite) if _in_any_order(one))
        if report["orders"]["tried"] < _TRIED:
            verdict.deviations.append(f"few pairs were tried: {report['orders']}")
    kinds: dict[int, set[str]] = {}
    for finding in report["findings"]:
        test, kind = finding["test"]["index"], finding["kind"]
        if problem := _problem(suite, ran, finding):
            verdict.deviations.append(f"test {test}: {kind}: {problem}")
        elif finding["flagged"] or kind == "plain":
            kinds.setdefault(test, set()).add(kind)
    for test, kind in wanted.items():
        if kind not in kinds.get(test, ()):
            said = [f"{f['kind']} ({f['note']})" for f in report["findings"] if f["test"]["index"] == test]
            verdict.deviations.append(f"test {test} is {kind}, and was found to be {said or 'nothing'}")
    verdict.found.update(kind for found in kinds.values() for kind in found)
    verdict.missed.update(
        "victim" for test, one in enumerate(suite) if one.victim_of and test not in kinds
    )  # fmt: skip
    return verdict


def _ran(report: Mapping[str, Any]) -> _Ran:
    words, before = {}, {}
    for test in report["tests"]:
        words[test["index"]] = test["outcome"]
    for sequence in report["sequences"]:
        for at, test in enumerate(sequence["tests"]):
            before[test] = tuple(sequence["tests"][:at])
    return _Ran({test: word for test, word in words.items() if test in before}, before)


def _unexpected(suite: Sequence[Behaviour], ran: _Ran) -> list[str]:
    """Where the run itself was not as the model has it: then nothing that follows can be trusted."""
    lost = [test for test in range(len(suite)) if test not in ran.words]
    said = [f"{len(lost)} tests did not run, the first is test {lost[0]}"] if lost else []
    for test, word in ran.words.items():
        expected = last(suite, (*ran.before[test], test))
        if suite[test].certain and word != expected:
            said.append(f"test {test} ended as {word} in the run, the model says {expected}")
    return said


def _demanded(suite: Sequence[Behaviour], ran: _Ran) -> dict[int, str]:
    """What has to be said of which test: all that the order that ran or the reverse order shows."""
    ends = {test for test, word in ran.words.items() if word == CRASHED}
    backwards = in_fresh_processes(suite, [test for test in reversed(range(len(suite))) if test not in ends])
    wanted = {}
    for test, one in enumerate(suite):
        preceding = tuple(other for other in range(test) if other not in ends)
        seen = [ran.words[test], backwards.get(test, (ran.words[test],))[0]]
        if one.certain:
            kind = _kind(one, last(suite, (test,)), seen, _last_that_gets_there(suite, (*preceding, test)))
            if not kind and run(suite, (test, test)) == [PASSED, FAILED]:
                kind = "nio"
        else:
            kind = ("flaky" if one.flaky else "parallel-only") if ran.words[test] in BAD else ""
        if kind:
            wanted[test] = kind
    return wanted


def _in_any_order(one: Behaviour) -> str:
    """What a planted test is, if some order shows it: there are tests that do all that it depends on."""
    if one.victim_of and not one.victim_of <= one.sets:
        return "contaminated-crash" if one.crashes else "victim"
    return "brittle" if one.needs else ""


def _last_that_gets_there(suite: Sequence[Behaviour], order: Tests) -> str:
    """How the last test ends after the others, without those that end the process."""
    while len(words := run(suite, order)) < len(order):
        at = len(words) - 1
        order = (*order[:at], *order[at + 1 :])
    return words[-1]


def _kind(one: Behaviour, alone: str, seen: Sequence[str], after_preceding: str) -> str:
    if alone in BAD:
        return "brittle" if PASSED in (*seen, after_preceding) else "plain"
    if any(word in BAD for word in seen):
        return "contaminated-crash" if one.crashes else "victim"
    return ""


def _problem(suite: Sequence[Behaviour], ran: _Ran, finding: Mapping[str, Any]) -> str:
    """What is wrong with a finding; an empty string if it is right."""
    test, kind = finding["test"]["index"], finding["kind"]
    one = suite[test]
    cause = tuple(cause["index"] for cause in finding["causes"])
    if finding["collection_dependent"]:
        return "it is said to depend on what is collected"
    if kind in _CAUSED:
        if not one.certain or not is_cause(suite, cause, test, bad=_CAUSED[kind]):
            return f"{cause} is no cause of it"
        return "" if (kind == "contaminated-crash") == one.crashes else "it does not end its test so"
    if kind == "fails-alone":
        return f"what it depends on was not looked for: {finding['note']}"
    if kind == "unknown":
        return "" if not one.certain and ran.words[test] not in BAD else finding["note"]
    right = {
        "nio": one.certain and run(suite, (test, test)) == [PASSED, FAILED],
        "flaky": one.flaky,
        "parallel-only": one.watches,
        "plain": one.certain and last(suite, (test,)) in BAD,
    }
    return "" if right[kind] else "it is not"
