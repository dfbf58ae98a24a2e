"""What a process of a run is. Whatever makes it that says so once; everything else asks here.

The role is in the config's stash, so a fork inherits its parent's role until it takes its own. Processes
without a config (the spawn server, the warden) have none. This module does not know what a role does.
"""

from __future__ import annotations

from enum import Enum

import pytest

__all__ = ["Role", "role_of", "take_role"]


class Role(Enum):
    """What this process is in its run."""

    #: Started by the user; runs its tests itself, or leaves them to pytest-xdist.
    PLAIN = "plain"
    #: Started by the user; lets our workers run the tests, and reports.
    CONTROLLER = "controller"
    #: Workers are forked from it. Until then it has the identity of the first one.
    FORK_SERVER = "fork server"
    #: Runs tests for the controller.
    WORKER = "worker"
    #: Runs tests for pytest-xdist's controller.
    XDIST_WORKER = "pytest-xdist's worker"
    #: Runs no test: forks test processes from its own state. It was a worker, or was forked from a process
    #: that runs the tests which are not isolated.
    ISOLATING_RUNNER = "isolating runner"
    #: Runs one test, or some, for an isolating runner, and ends.
    TEST_PROCESS = "test process"
    #: In a checkpoint tree: runs tests for the re-check, starting from the collected suite.
    PROBE = "probe"
    #: Also runs tests for the re-check, but was started with a command, as a user would start it.
    FRESH_PROBE = "fresh probe"

    @property
    def is_main(self) -> bool:
        """Whether the user has started it, so that it reports. All others have an identity among several."""
        return self in (Role.PLAIN, Role.CONTROLLER)

    @property
    def is_throw_away(self) -> bool:
        """Whether nothing that it does counts as a result of the run."""
        return self in (Role.PROBE, Role.FRESH_PROBE)


_ROLE = pytest.StashKey[Role]()


def role_of(config: pytest.Config) -> Role:
    """What this process is.

    A process that has taken no role is plain, or a worker of pytest-xdist's. Only ``workerinput`` tells the
    two apart; it is there before `pytest_cmdline_main`.
    """
    role = config.stash.get(_ROLE, None)
    if role is None:
        return Role.XDIST_WORKER if hasattr(config, "workerinput") else Role.PLAIN
    return role


def take_role(config: pytest.Config, role: Role) -> None:
    """Say what this process is from now on."""
    config.stash[_ROLE] = role
