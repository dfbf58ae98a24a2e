"""Compares a suite's runs in different ways, and says what that means for a user who may switch.

Pure: making the runs and showing the result is done elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_procpar.core.inquiry.findings import Kind
from pytest_procpar.core.record import changed, record

if TYPE_CHECKING:
    from pytest_procpar.core.inquiry.finding_record import FindingRecord

__all__ = [
    "Advice",
    "Dependence",
    "Difference",
    "RunFacts",
    "advise",
    "dependences",
    "differences",
    "fails_only_in",
    "has_failures",
    "saved",
    "ungrouped",
]

_ABSENT = "not there"
_GOOD = frozenset(("passed", "skipped", "xfailed", "xpassed"))
#: The kinds which say that a test depends on others, on company, or on luck.
_KINDS = tuple(kind.value for kind in Kind if kind not in (Kind.PLAIN, Kind.UNKNOWN))


@record
class RunFacts:
    """The result of one run: exit status (None: it was ended), wall and processor time in seconds.

    ``outcomes`` are the outcomes by nodeid, sorted, since two tests may share a nodeid. ``trouble`` says why
    there are none, if so. ``method`` is how the run's workers were started, and ``reason`` why, if not by a
    fork.
    """

    status: int | None
    wall: float
    cpu: float
    outcomes: Mapping[str, tuple[str, ...]]
    workers: int = 0
    trouble: str = ""
    method: str = ""
    reason: str = ""

    @property
    def died(self) -> bool:
        """Whether a signal has ended it: in a run without workers, a test that crashes ends the whole run."""
        return self.status is not None and self.status < 0

    @property
    def tests(self) -> int:
        """How many tests have an outcome."""
        return sum(map(len, self.outcomes.values()))


@record
class Difference:
    """A test that ended differently in another run than in the plain one."""

    test: str
    plain: str
    other: str


@record
class Dependence:
    """A test that depends on others, on company or on luck, and the command that has shown it."""

    test: str
    kind: str
    causes: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    command: str = ""
    collection_dependent: bool = False


@record
class Advice:
    """What to do, and why; where it applies, which ``tests`` to mark or which ini ``option`` to set."""

    text: str
    tests: tuple[str, ...] = ()
    mark: str = ""
    option: tuple[str, str] | None = None


def differences(plain: RunFacts, other: RunFacts) -> list[Difference]:
    """The tests that ended differently, in the order of the plain run, then those that it did not have."""
    found = []
    for test in [*plain.outcomes, *(test for test in other.outcomes if test not in plain.outcomes)]:
        before, after = plain.outcomes.get(test, ()), other.outcomes.get(test, ())
        if sorted(before) != sorted(after):
            found.append(Difference(test, _words(before), _words(after)))
    return found


def _words(outcomes: Sequence[str]) -> str:
    return ", ".join(outcomes) or _ABSENT


def ungrouped(run: RunFacts, plain: RunFacts) -> RunFacts:
    """The run with the plain one's nodeids: pytest-xdist appends ``@group`` to some under ``loadgroup``."""
    outcomes: dict[str, tuple[str, ...]] = {}
    for nodeid, some in run.outcomes.items():
        bare = nodeid.rpartition("@")[0]
        name = bare if nodeid not in plain.outcomes and bare in plain.outcomes else nodeid
        outcomes[name] = (*outcomes.get(name, ()), *some)
    return changed(run, outcomes=outcomes)


def has_failures(run: RunFacts) -> bool:
    """Whether any test fails, in whatever way."""
    return not all(map(_GOOD.issuperset, run.outcomes.values()))


def fails_only_in(one: RunFacts, other: RunFacts) -> bool:
    """Whether a test fails in one run, in whatever way, and passes in the other."""
    return any(
        not _GOOD.issuperset(outcomes) and _GOOD.issuperset(other.outcomes.get(test, ("",)))
        for test, outcomes in one.outcomes.items()
    )


def saved(plain: RunFacts, other: RunFacts) -> float:
    """The part of the plain run's time that is saved: 0.5 for half, negative if the other takes longer."""
    return 1 - other.wall / plain.wall if plain.wall > 0 else 0.0


def dependences(findings: Iterable[FindingRecord]) -> list[Dependence]:
    """What the re-check has flagged, from the findings of a report."""
    return [
        Dependence(
            test=finding["test"]["nodeid"],
            kind=finding["kind"],
            causes=tuple(cause["nodeid"] for cause in finding["causes"]),
            beside=tuple(other["nodeid"] for other in finding["beside"]),
            command=next((tried["command"] for tried in finding["commands"]), ""),
            collection_dependent=finding["collection_dependent"],
        )
        for finding in findings
        if finding["flagged"] and (finding["kind"] in _KINDS or finding["collection_dependent"])
    ]


def advise(found: Sequence[Dependence], method: str, reason: str) -> list[Advice]:
    """What to mark, and what to pin.

    :param method: how workers were started, if not by a fork, and the `reason`.
    """
    return [
        *_isolate_polluters(found), *_group_brittle(found), *_group_parallel(found), *_tell_others(found),
        *_pin(found, method, reason),
    ]  # fmt: skip


def _isolate_polluters(found: Sequence[Dependence]) -> Iterable[Advice]:
    victims: dict[str, list[str]] = {}
    for one in found:
        if one.kind in (Kind.VICTIM.value, Kind.CONTAMINATED_CRASH.value) and one.causes:
            victims.setdefault(one.causes[0], []).append(one.test)
    for polluter, tests in victims.items():
        yield Advice(
            f"mark {polluter} with @pytest.mark.isolated, or let it undo what it changes: {_fail(tests)} "
            f"after it",
            (polluter,), "isolated",
        )  # fmt: skip


def _group_brittle(found: Sequence[Dependence]) -> Iterable[Advice]:
    needs: dict[tuple[str, ...], list[str]] = {}
    for one in found:
        if one.kind == Kind.BRITTLE.value and one.causes:
            needs.setdefault(one.causes, []).append(one.test)
    for setters, tests in needs.items():
        mark = _group(setters[-1])
        yield Advice(
            f"let {_named(tests)} set up what {_named(setters)} leaves behind; or mark all of them with "
            f"@pytest.mark.{mark}, and run with --dist=loadgroup",
            (*setters, *tests), mark,
        )  # fmt: skip


def _group_parallel(found: Sequence[Dependence]) -> Iterable[Advice]:
    for one in found:
        if one.kind == Kind.PARALLEL_ONLY.value:
            mark = _group(one.test)
            others = f" and {_named(one.beside)}" if one.beside else ", and what shares a resource with it,"
            yield Advice(
                f"mark {one.test}{others} with @pytest.mark.{mark}, and run with --dist=loadgroup: it fails "
                f"while they run beside it; a port, file or database of its own is better",
                (one.test, *one.beside), mark,
            )  # fmt: skip


def _tell_others(found: Sequence[Dependence]) -> Iterable[Advice]:
    texts = {
        Kind.FLAKY.value: "passes and fails under the same conditions: no mark helps, look at it",
        Kind.FILE_DEPENDENT.value: "fails by a file that tests leave behind: give each its own in tmp_path",
        Kind.NIO.value: "fails when it is run a second time in the same process: only plugins that run tests "
        "again do that",
    }
    for one in found:
        if one.kind in texts:
            yield Advice(f"{one.test} {texts[one.kind]}", (one.test,))
        elif one.collection_dependent:
            yield Advice(
                f"{one.test} ends otherwise where only its file is imported: a module changes something when "
                f"it is imported",
                (one.test,),
            )


def _pin(found: Sequence[Dependence], method: str, reason: str) -> Iterable[Advice]:
    forked = [one.test for one in found if one.kind == Kind.FORK_DEPENDENT.value]
    if forked:
        yield Advice(
            f'pin procpar_start_method = "spawn": {_fail(forked)} in forked workers only',
            tuple(forked), option=("procpar_start_method", "spawn"),
        )  # fmt: skip
    elif method:
        yield Advice(
            f'pin procpar_start_method = "{method}", which auto has found to be needed ({reason}); or vouch '
            f"for that in procpar_fork_safe, if it does no harm: a fork is faster",
            option=("procpar_start_method", method),
        )


def _group(nodeid: str) -> str:
    """A mark with a group that has the test's name."""
    name = nodeid.rsplit("::", 1)[-1].partition("[")[0]
    return f'xdist_group("{name}")'


def _fail(tests: Sequence[str]) -> str:
    return f"{_named(tests)} {'fails' if len(tests) == 1 else 'fail'}"


def _named(tests: Sequence[str]) -> str:
    few, more = tests[:3], len(tests) - 3
    if more > 0:
        return f"{', '.join(few)} and {more} more"
    *others, last = few
    return f"{', '.join(others)} and {last}" if others else last
