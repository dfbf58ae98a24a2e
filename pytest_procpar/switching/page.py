"""What ``--procpar-try`` prints: one page for people, and the same as plain data for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

from pytest_procpar.compat.pytest_private.command_line import configured_options
from pytest_procpar.core.printable import listed, shell_command
from pytest_procpar.core.switching.plugin_notes import plugin_notes
from pytest_procpar.core.switching.tryout import (  # fmt: skip
    Advice,
    Dependence,
    Difference,
    RunFacts,
    advise,
    dependences,
    differences,
    saved,
)

if TYPE_CHECKING:
    from pytest_procpar.core.inquiry.finding_record import FindingRecord

__all__ = ["TriedRuns", "page", "record_of"]

FORMAT, VERSION = "procpar-try", 1
#: How many differences and dependences are listed; more are only counted.
_LISTED = 30
_FEW = 5


class TriedRuns:
    """The results of the runs so far; None for a run that has not been made."""

    def __init__(self, config: pytest.Config) -> None:
        self.plain: RunFacts | None = None
        self.parallel: RunFacts | None = None
        self.xdist: RunFacts | None = None
        #: The option that asked for workers, as it is shown.
        self.way = "-n auto"
        #: How the workers were started in the latest run, if not by a fork, and why.
        self.method = self.reason = ""
        #: Whether dependences were looked for, and which were found: in our words, and as in a report.
        self.classified = False
        self.found: list[Dependence] = []
        self.findings: list[FindingRecord] = []
        self.interrupted = False
        #: How many processes wanted a processor before the runs, on average, and how many processors there
        #: are.
        self.load = 0.0, 1
        #: The options that were left out of all runs; the files that the runs changed, and those not put
        #: back.
        self.left_out: list[str] = []
        self.changed: set[str] = set()
        self.lost: set[str] = set()
        self.configured = configured_options(config)
        #: The name of the configuration file; "" if there is none.
        self.file = "" if config.inipath is None else config.inipath.name
        found = config.pluginmanager.list_plugin_distinfo()
        self.plugins = plugin_notes(str(dist.project_name) for _, dist in found)

    def add(self, findings: Iterable[FindingRecord]) -> None:
        """Add the findings of a search for dependences, given as in a report."""
        known = {(one["test"]["nodeid"], one["kind"]) for one in self.findings}
        self.findings += [one for one in findings if (one["test"]["nodeid"], one["kind"]) not in known]
        self.found = dependences(self.findings)

    @property
    def differences(self) -> list[Difference]:
        """The tests that end differently with workers."""
        return self._beside_plain(self.parallel)

    @property
    def differences_of_xdist(self) -> list[Difference]:
        """The tests that end differently with pytest-xdist."""
        return self._beside_plain(self.xdist)

    def _beside_plain(self, other: RunFacts | None) -> list[Difference]:
        if self.plain is None or other is None or not other.outcomes or not self.plain.outcomes:
            return []
        return differences(self.plain, other)

    @property
    def advice(self) -> list[Advice]:
        """What to mark, and what to pin."""
        facts = self.parallel
        if facts is None:
            return []
        return advise(self.found, self.method or facts.method, self.reason or facts.reason)

    @property
    def exit_status(self) -> int:
        """0 if nothing differs with workers, 1 if something does or could not be compared, 2 after Ctrl-C."""
        if self.interrupted:
            return int(pytest.ExitCode.INTERRUPTED)
        plain, parallel = self.plain, self.parallel
        if plain is not None and plain.status == pytest.ExitCode.USAGE_ERROR:
            return int(pytest.ExitCode.USAGE_ERROR)
        if plain is None or parallel is None or not plain.outcomes or not parallel.outcomes:
            return 1
        if plain.status != parallel.status:
            return 1
        return int(bool(self.differences))


# --- for people ---


def page(tried: TriedRuns) -> Iterator[str]:
    """The page, line by line."""
    yield ""
    if tried.interrupted:
        yield "procpar: ended by Ctrl-C; this is known so far"
    plain, parallel = tried.plain, tried.parallel
    if plain is None:
        yield "procpar: nothing is known: the run without workers has not ended"
        return
    if not plain.outcomes and not plain.died:
        yield f"procpar: without workers no test runs (exit status {plain.status}): {plain.trouble}"
        yield "See to that first: there is nothing to compare."
        return
    tests = max(facts.tests for _, facts in _runs(tried))
    yield f"procpar: what would change with workers, for {tests} test{'' if tests == 1 else 's'}"
    yield ""
    yield from _times(tried)
    if parallel is not None:
        yield from _otherwise(tried)
        yield from _dependences(tried)
        yield from _what_to_do(tried)
    yield from _attention(tried)
    if parallel is not None and parallel.outcomes:
        yield ""
        yield from _recommendation(tried, plain, parallel)


def _times(tried: TriedRuns) -> Iterator[str]:
    plain = tried.plain
    assert plain is not None
    yield f"{'':27}{'wall':>10}{'':8}{'processor':>10}"
    for name, facts in _runs(tried):
        times = [facts.wall, facts.cpu]
        if facts.status is None:
            continue
        ratios = ["" if facts is plain else f"({ratio:.2f})" for ratio in _ratios(plain, facts)]
        cells = [f"{seconds:>8.2f} s{ratio:>8}" for seconds, ratio in zip(times, ratios, strict=True)]
        yield f"  {name:<25}{''.join(cells)}".rstrip()
    for name, facts in _runs(tried):
        if facts.trouble:
            yield f"  {name}: {_ended(facts)}{facts.trouble}"
    load, processors = tried.load
    if load >= processors:
        yield f"  other programs kept the processors busy (load {load:.1f} on {processors}): times say little"


def _ended(facts: RunFacts) -> str:
    return "" if facts.status is None or facts.died else f"exit status {facts.status}: "


def _ratios(plain: RunFacts, facts: RunFacts) -> list[float]:
    return [own / (other or 1e-9) for own, other in ((facts.wall, plain.wall), (facts.cpu, plain.cpu))]


def _runs(tried: TriedRuns) -> list[tuple[str, RunFacts]]:
    named = [
        ("without workers", tried.plain), (f"with {tried.way}", tried.parallel),
        (f"pytest-xdist, {tried.way}", tried.xdist),
    ]  # fmt: skip
    return [(name, facts) for name, facts in named if facts is not None]


def _otherwise(tried: TriedRuns) -> Iterator[str]:
    plain, parallel, xdist = tried.plain, tried.parallel, tried.xdist
    assert plain is not None
    assert parallel is not None
    yield ""
    known = {one.test: one for one in tried.found}
    if not plain.outcomes:
        yield f"tests that end otherwise: that cannot be told, the first run has no end ({plain.trouble})"
        return
    if parallel.outcomes:
        yield from _listing("end otherwise with workers", tried.differences, known)
    if plain.status != parallel.status:
        yield f"  exit status: {plain.status} without workers, {parallel.status} with workers"
    if xdist is not None and xdist.outcomes:
        yield from _listing("end otherwise with pytest-xdist", tried.differences_of_xdist, {})
        if plain.status != xdist.status:
            yield f"  exit status: {plain.status} without workers, {xdist.status} with pytest-xdist"


def _listing(what: str, found: Sequence[Difference], known: Mapping[str, Dependence]) -> Iterator[str]:
    if not found:
        yield f"tests that {what}: none"
        return
    yield f"tests that {what}: {len(found)}"
    for one in found[:_LISTED]:
        kind = f" ({known[one.test].kind})" if one.test in known else ""
        yield f"  {one.test}: {one.plain} without workers, {one.other} here{kind}"
    if len(found) > _LISTED:
        yield f"  and {len(found) - _LISTED} more"


def _dependences(tried: TriedRuns) -> Iterator[str]:
    if not tried.classified:
        yield "tests that depend on order or on company: not looked for" + (
            "" if tried.interrupted else " (--recheck-budget=60 gives it a minute)"
        )
        return
    if not tried.found:
        yield "tests that depend on order or on company: none was found"
        return
    yield f"tests that depend on order or on company: {len(tried.found)}"
    for one in tried.found[:_LISTED]:
        kind = "collection dependent" if one.kind == "plain" else one.kind
        why = listed(one.causes or one.beside, _FEW)
        yield f"  {kind} {one.test}" + (f" ({why})" if why and why != one.test else "")
        if one.command:
            yield f"    {one.command}"
    if len(tried.found) > _LISTED:
        yield f"  and {len(tried.found) - _LISTED} more"


def _what_to_do(tried: TriedRuns) -> Iterator[str]:
    if tried.advice:
        yield ""
        yield "what to mark, to pin or to look at"
        for one in tried.advice:
            yield f"  - {one.text}"


def _attention(tried: TriedRuns) -> Iterator[str]:
    if tried.plugins:
        yield ""
        yield "plugins that need attention"
        yield from (f"  - {name}: {note}" for name, note in tried.plugins)
    if tried.left_out:
        yield ""
        yield f"left out of all runs, since it writes or sends something: {' '.join(tried.left_out)}"
    if tried.changed:
        yield f"changed by the runs, and put back: {listed(sorted(tried.changed), _FEW)}"
    if tried.lost:
        yield f"changed by the runs, and NOT put back: {listed(sorted(tried.lost), _FEW)}"


def _recommendation(tried: TriedRuns, plain: RunFacts, parallel: RunFacts) -> Iterator[str]:
    gain = saved(plain, parallel)
    if not plain.outcomes:
        yield f"A test ends the run without workers; with them {parallel.tests} come to an end. To have that:"
    elif gain <= 0.05:
        yield f"Workers save no time here ({plain.wall:.2f} s without, {parallel.wall:.2f} s with them)."
        yield (
            "To run this suite with workers all the same:"
            if gain > -0.5
            else "If you want them all the same:"
        )
    else:
        yield f"Workers save {gain:.0%} of the time. To have them always:"
    yield ""
    yield from (f"    {line}" for line in snippet(tried))


def snippet(tried: TriedRuns) -> list[str]:
    """The lines to write into the configuration file."""
    words = [*tried.configured, "-n", "auto"]
    if any(one.mark.startswith("xdist_group") for one in tried.advice):
        words.append("--dist=loadgroup")
    values = {"addopts": shell_command(words)}
    values.update(one.option for one in tried.advice if one.option is not None)
    if tried.file in ("pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg"):
        section = "[tool:pytest]" if tried.file == "setup.cfg" else "[pytest]"
        return [section, *(f"{name} = {value}" for name, value in values.items())]
    return ["[tool.pytest.ini_options]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]


# --- for programs ---


def record_of(tried: TriedRuns) -> dict[str, object]:
    """Everything, as plain data; runs that were not made are absent."""
    runs = {"plain": tried.plain, "procpar": tried.parallel, "xdist": tried.xdist}
    return {
        "format": FORMAT,
        "version": VERSION,
        "interrupted": tried.interrupted,
        "exit_status": tried.exit_status,
        "runs": {name: _run_record(facts) for name, facts in runs.items() if facts is not None},
        "differences": {
            "procpar": [_difference(one) for one in tried.differences],
            "xdist": [_difference(one) for one in tried.differences_of_xdist],
        },
        "classified": tried.classified,
        "findings": tried.findings,
        "advice": [_advice(one) for one in tried.advice],
        "plugins": [{"name": name, "note": note} for name, note in tried.plugins],
        "left_out": tried.left_out,
        "changed": sorted(tried.changed),
        "not_put_back": sorted(tried.lost),
        "configuration": snippet(tried),
    }


def _run_record(facts: RunFacts) -> dict[str, object]:
    return {
        "exit_status": facts.status,
        "wall": round(facts.wall, 3),
        "cpu": round(facts.cpu, 3),
        "workers": facts.workers,
        "tests": facts.tests,
        "trouble": facts.trouble,
        "start_method": facts.method or None,
        "reason": facts.reason,
    }


def _difference(one: Difference) -> dict[str, str]:
    return {"test": one.test, "plain": one.plain, "other": one.other}


def _advice(one: Advice) -> dict[str, object]:
    option = None if one.option is None else {"name": one.option[0], "value": one.option[1]}
    return {"text": one.text, "tests": list(one.tests), "mark": one.mark or None, "option": option}
