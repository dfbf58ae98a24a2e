"""Findings of the re-check that outlive their run: kept in pytest's cache, and recalled by later runs.

A plugin of the controller, or of a plain run, where it only recalls. It is not there in a run that finds
nothing and before which nothing is known. It does not know how anything is found out: see `recheck`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import pytest

import pytest_procpar.system.files as files
from pytest_procpar.compat.foreign_options import narrows_collection
from pytest_procpar.compat.pytest_private.cache import cache_entry, failed_before, place_in_cache, set_aside
from pytest_procpar.compat.pytest_private.command_line import given_paths
from pytest_procpar.core.inquiry.findings import Kind
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.printable import printable_line
from pytest_procpar.core.recheck.known_findings import (  # fmt: skip
    KEPT,
    KnownFinding,
    Ran,
    from_data,
    merged,
    retained,
    to_data,
)
from pytest_procpar.core.recheck.recalling import recalled
from pytest_procpar.core.recheck.retrial import Retried
from pytest_procpar.report.plain_record import PlainRecord
from pytest_procpar.role import Role, role_of

if TYPE_CHECKING:
    from pytest_procpar.compat.pytest_private.output import Writer
    from pytest_procpar.core.inquiry.finding_record import FindingRecord

__all__ = ["KEY", "FindingsCache", "known_findings", "memory_of", "recall"]

#: The entry's name in the cache.
KEY = "procpar/findings"
#: A file with more bytes than this is not ours.
_LARGEST = 8 << 20

_MEMORY = pytest.StashKey["FindingsCache"]()


def recall(config: pytest.Config) -> None:
    """Let the run recall what is known from earlier ones, if anything is. Call this at configure.

    :raises pytest.UsageError: if the file is damaged, and the warning about that is an error (``-W error``).
    """
    known = known_findings(config)
    if known:
        _install(config, known)


def known_findings(config: pytest.Config) -> tuple[KnownFinding, ...]:
    """What the project's cache knows; a damaged file is set aside with a warning."""
    memory = config.stash.get(_MEMORY, None)
    if memory is not None:
        return memory.known
    path = cache_entry(config, KEY)
    if path is None:
        return ()
    try:
        data = json.loads(files.read(path, _LARGEST))
    except OSError:  # most often there is no file
        return ()
    except (ValueError, RecursionError):
        data = None
    known = from_data(data)
    if known is None:
        set_aside(config, path, "what was known of this project's tests cannot")
    return known or ()


def memory_of(config: pytest.Config) -> FindingsCache:
    """The memory of this run, made now if there is none."""
    memory = config.stash.get(_MEMORY, None)
    return _install(config, ()) if memory is None else memory


def _install(config: pytest.Config, known: tuple[KnownFinding, ...]) -> FindingsCache:
    memory = FindingsCache(config, known)
    config.stash[_MEMORY] = memory
    config.pluginmanager.register(memory, "procpar-memory")
    return memory


class FindingsCache:
    """What is known of tests from earlier runs, and what this run adds to it or takes from it.

    :param known: what the cache knows.
    """

    def __init__(self, config: pytest.Config, known: tuple[KnownFinding, ...]) -> None:
        self.known = known
        self._config = config
        self._found: list[KnownFinding] = []
        self._retried: list[Retried] = []
        self._failed_before: frozenset[str] = frozenset()
        self._lines: list[str] = []
        self._plain: PlainRecord | None = None
        self._trouble = ""
        self._on_request = False

    # --- what this run finds ---

    def take(self, findings: Sequence[FindingRecord]) -> None:
        """Keep what a re-check has found, and add to the records since when it has been known."""
        if getattr(self._config, "cache", None) is None:
            return
        day = time.strftime("%Y-%m-%d")
        for finding in findings:
            kind = Kind(finding["kind"])
            if not finding["flagged"] or kind not in KEPT:
                continue
            new = _known(finding, kind, day)
            self._found.append(new)
            (kept,) = [known for known in merged(self.known, [new]) if known.key == new.key]
            finding["since"], finding["runs"] = kept.first, kept.runs

    def retried(self, retried: Iterable[Retried], *, on_request: bool) -> None:
        """Findings of earlier runs were tried again.

        :param on_request: whether the command line asked for that (``--recheck=known``).
        """
        self._retried += retried
        self._on_request = on_request

    # --- pytest's session ---

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Note what failed in the last run; without workers of ours, listen to what tests do."""
        self._failed_before = failed_before(session.config)
        if role_of(session.config) is not Role.CONTROLLER:
            self._plain = PlainRecord()
            session.config.pluginmanager.register(self._plain, "procpar-plain-record")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Keep what is known now, and forget what no longer holds."""
        run_record = self._run_record()
        plain = self._plain
        if run_record is None and plain is not None:
            ran, ids = plain.ran(self.known), [item.nodeid for item in session.items]
        elif run_record is not None:
            ran, ids = _ran(run_record, self.known), list(run_record.ids)
        else:
            return
        refuted = [known.claim.known for known in self._retried if known.holds is False]
        left = [known for known in self.known if known not in refuted]
        after = retained(merged(left, self._found), ran, self._gone(ids), self._found)
        self._lines = recalled(self.known, after, self._found, ran, self._failed_before, self._retried)
        if after != self.known:
            self._write(after)

    def _run_record(self) -> RunRecord | None:
        """What the controller knows of the run; None where tests run without workers of ours."""
        if role_of(self._config) is not Role.CONTROLLER:
            return None
        run_record: RunRecord = self._config.pluginmanager.getplugin("dsession").run_record
        return run_record

    def _gone(self, ids: Sequence[str]) -> Callable[[str], bool]:
        """A function that says whether a test is no longer part of the suite."""
        collected = frozenset(ids)
        is_whole = bool(ids) and self._collected_everything()
        root = self._config.rootpath

        def is_gone(nodeid: str) -> bool:
            if nodeid in collected:
                return False
            return is_whole or not (root / nodeid.partition("::")[0]).exists()

        return is_gone

    def _collected_everything(self) -> bool:
        """Whether the whole suite was collected, as far as options tell."""
        config = self._config
        reporter = config.pluginmanager.getplugin("terminalreporter")
        if reporter is None or reporter.stats.get("deselected") or given_paths(config):
            return False
        return config.rootpath == config.invocation_params.dir and not narrows_collection(config)

    def _write(self, known: tuple[KnownFinding, ...]) -> None:
        try:
            path = place_in_cache(self._config, KEY)
            if path is not None and not known:
                path.unlink(missing_ok=True)  # so that the next run has nothing to read
            elif path is not None:
                files.replace(path, json.dumps(to_data(known), indent=1).encode())
        except OSError as error:
            self._trouble = f"what was found could not be kept for later runs: {error}"

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Writer) -> None:
        """Recall what matters for the tests of this run."""
        lines = list(self._lines)
        if self._on_request and not self.known:
            lines.append("nothing is known of earlier runs: there was nothing to try again")
        if self._trouble:
            lines.append(self._trouble)
        if lines:
            terminalreporter.write_sep("=", "procpar: known of earlier runs")
            for line in lines:
                terminalreporter.write_line(printable_line(line))


def _known(finding: FindingRecord, kind: Kind, day: str) -> KnownFinding:
    shown = [tried["command"] for tried in finding["commands"][:1] if tried["outcome"] is not None]
    causes = tuple(cause["nodeid"] for cause in finding["causes"]) if kind is not Kind.NIO else ()
    test = finding["test"]["nodeid"]
    return KnownFinding(test, kind, causes, shown[0] if shown else "", first=day, last=day)


def _ran(run_record: RunRecord, known: Iterable[KnownFinding]) -> dict[str, Ran]:
    """How the tests that something is known of ended with workers, and what preceded them."""
    wanted = {finding.test for finding in known}
    found = {}
    for place, nodeid in enumerate(run_record.ids):
        test = TestIndex(place)
        if nodeid in wanted and run_record.has_ended(test):
            before = [other for other in run_record.before(test) if run_record.word(other).value != "skipped"]
            found[nodeid] = Ran(run_record.word(test), tuple(run_record.ids[other] for other in before))
    return found
