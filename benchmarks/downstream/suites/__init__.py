"""Which projects' suites are run, and how.

A suite is here when plain pytest gives the same outcomes twice, without a network. Versions are
pinned: a difference must come from us, not from a release of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.downstream.suites.databases import DATABASES
from benchmarks.downstream.suites.networks import NETWORKS
from benchmarks.downstream.suites.numeric import NUMERIC
from benchmarks.downstream.suites.plain import PLAIN
from benchmarks.downstream.suites.plugins import PLUGINS
from benchmarks.downstream.suites.processes import PROCESSES
from benchmarks.downstream.suites.state import STATE
from benchmarks.downstream.suites.suite import Suite
from benchmarks.downstream.suites.tools import TOOLS

__all__ = ["SUITES", "Suite", "select"]

SUITES = (*PLAIN, *PLUGINS, *NUMERIC, *DATABASES, *NETWORKS, *PROCESSES, *STATE, *TOOLS)


def select(words: str, suites: Sequence[Suite] = SUITES) -> list[Suite]:
    """The suites ``words`` names: "all", "quick", or names with commas.

    Raises:
        ValueError: For a name that is not in the table.
    """
    if words == "all":
        return list(suites)
    if words == "quick":
        return [suite for suite in suites if suite.quick]
    known = {suite.name: suite for suite in suites}
    names = [word.strip() for word in words.split(",") if word.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(f"no suite {', '.join(unknown) or words!r}; there are {', '.join(known)}")
    return [known[name] for name in names]
