"""Says whether a run of these examples ended as it should: python check.py EXIT_STATUS JUNIT_XML.

Some of the examples fail on purpose, so pytest's exit status alone does not tell.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CRASHER = "test_crash::test_that_crashes"
VICTIM = "test_currency::test_prices_are_in_euros"
POLLUTER = "test_currency.py::test_prices_can_be_in_pounds"
BRITTLE = "test_checkout::test_a_loaf_is_in_the_catalogue"
SETTER = "test_basket.py::test_the_shop_opens_with_three_things"
TESTS = 20


@dataclass(frozen=True)
class Outcome:
    """What became of a test: passed, skipped or failed, and pytest's word on it."""

    kind: str
    text: str = ""
    finding: str = ""
    depends_on: str = ""


def read(path: Path) -> dict[str, Outcome]:
    """The outcome of every test in a junit xml file."""
    return {
        f"{case.get('classname')}::{case.get('name')}": _outcome(case)
        for case in ElementTree.parse(path).iter("testcase")
    }


def _outcome(case: ElementTree.Element) -> Outcome:
    for tag, kind in (("error", "failed"), ("failure", "failed"), ("skipped", "skipped")):
        found = case.find(tag)
        if found is not None:
            facts = {entry.get("name"): str(entry.get("value")) for entry in case.iter("property")}
            text = f"{found.get('message')} {found.text}"
            return Outcome(kind, text, facts.get("procpar_finding", ""), facts.get("procpar_depends_on", ""))
    return Outcome("passed")


def surprises(status: int, outcomes: dict[str, Outcome]) -> Iterator[str]:
    """What is not as it should be, a line each."""
    if status != 1:
        yield f"pytest exits with status {status}, not with 1: tests failed"
    if len(outcomes) != TESTS:
        yield f"{len(outcomes)} tests have an outcome, not {TESTS}"
    for name in (CRASHER, VICTIM):
        if outcomes.get(name, Outcome("missing")).kind != "failed":
            yield f"{name} should fail"
    if "SIGSEGV" not in outcomes.get(CRASHER, Outcome("missing")).text:
        yield f"{CRASHER} should be reported with its signal, SIGSEGV"
    for name, finding, cause in ((VICTIM, "victim", POLLUTER), (BRITTLE, "brittle", SETTER)):
        known = outcomes.get(name, Outcome("missing"))
        if known.kind == "failed" and (known.finding, known.depends_on) != (finding, cause):
            found = known.finding or "not flagged"
            yield f"{name} should be flagged as {finding}, with {cause}; it is {found}"
    for name, outcome in outcomes.items():
        if outcome.kind == "failed" and name not in (CRASHER, VICTIM, BRITTLE):
            yield f"{name} should not fail: {outcome.text}"


def story(outcomes: dict[str, Outcome]) -> str:
    """The outcome, explained."""
    brittle = (
        "the brittle test with its state-setter, which ran in another worker"
        if outcomes[BRITTLE].kind == "failed"
        else "the brittle test passed, as its state-setter happened to run before it"
    )
    return f"as expected: one test crashed, the victim was flagged with its polluter, {brittle}"


def main(status: int, path: Path) -> int:
    """Print the verdict; 0 if the run ended as it should, else 1."""
    if not path.exists():
        print(f"examples: NOT as expected: pytest exits with status {status} and has written no results")
        return 1
    outcomes = read(path)
    found = list(surprises(status, outcomes))
    for line in found:
        print(f"examples: NOT as expected: {line}")
    if not found:
        print(f"examples: {story(outcomes)}")
    return int(bool(found))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
