"""Whether a test that fails on its own fails because of a file that tests have left: it passes without it.

Pure: the search yields what to try, and is sent how that ended. It does not know how a file is set aside.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import TypeAlias

from pytest_procpar.core.inquiry.findings import PLAINLY, Finding, Kind, Tally
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.record import changed, record

__all__ = ["FileAttempt", "Left", "FileUse", "by_nodeid", "candidates", "find_left", "told"]

#: How many files are tried one by one, and how many tests that may have left one.
_MOST_FILES, _MOST_USERS = 4, 3


@record
class FileUse:
    """A process has opened a file while a test ran in it; `writes` says that it may have changed the file."""

    path: str
    test: TestIndex
    writes: bool


@record
class FileAttempt:
    """Run these tests in a fresh process while these files are not there. The last test is judged."""

    tests: tuple[TestIndex, ...]
    without: tuple[str, ...] = ()


@record
class Left:
    """The files because of which a test fails, and the test that leaves them so; None if it is not known."""

    files: tuple[str, ...]
    by: TestIndex | None = None


#: Is sent how the judged test ended; None if that could not be found out, which ends the search.
Tries: TypeAlias = Generator[FileAttempt, "Outcome | None", "Left | None"]


def candidates(finding: Finding, uses: Iterable[FileUse]) -> tuple[str, ...]:
    """The files because of which a test may fail: it uses them, and tests write them.

    A test that passed in the run and fails since may only ask whether a file is there, which we do not see.
    For such a test it may be any file that others have left.
    """
    if finding.kind not in PLAINLY and not finding.fails_since:
        return ()
    known = list(uses)
    written = {use.path for use in known if use.writes}
    used = {use.path for use in known if use.test == finding.test and use.path in written}
    if not used and finding.fails_since:
        used = written
    return tuple(sorted(used)[:_MOST_FILES])


def find_left(test: TestIndex, files: Sequence[str], uses: Iterable[FileUse]) -> Tries:
    """Find out because of which of these files a test fails, if any, and which test leaves them so.

    A file is believed if the test passes without it twice, and fails with it in between. The test is known to
    have failed with all of them in a fresh process.
    """
    together = tuple(files)
    if not (yield from _passes(test, together)):
        return None
    found = together
    for file in together if len(together) > 1 else ():
        if (yield from _passes(test, (file,))):
            found = (file,)
            break
    control = yield FileAttempt((test,))
    if control is None or not control.bad or not (yield from _passes(test, found)):
        return None
    users = dict.fromkeys(use.test for use in uses if use.path in found and use.writes and use.test != test)
    for user in [*users][:_MOST_USERS]:
        word = yield FileAttempt((user, test), found)
        if word is not None and word.bad:
            return Left(found, user)
    return Left(found)


def _passes(test: TestIndex, without: tuple[str, ...]) -> Generator[FileAttempt, Outcome | None, bool]:
    word = yield FileAttempt((test,), without)
    return word is Outcome.PASSED


def told(finding: Finding, left: Left) -> Finding:
    """The finding to report instead of a plain failure."""
    return changed(
        finding,
        kind=Kind.FILE_DEPENDENT,
        cause=() if left.by is None else (left.by,),
        files=left.files,
        tallies=(Tally("with it", 2, 2), Tally("without it", 0, 2)),
        note="",
    )


def by_nodeid(ids: Sequence[str]) -> Mapping[str, TestIndex]:
    """The tests by nodeid, without those that share theirs."""
    places: dict[str, list[int]] = {}
    for place, nodeid in enumerate(ids):
        places.setdefault(nodeid, []).append(place)
    return {nodeid: TestIndex(some[0]) for nodeid, some in places.items() if len(some) == 1}
