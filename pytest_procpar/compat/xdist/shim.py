"""The plugin that is registered under the name ``xdist`` if pytest-xdist is not installed.

Plugins ask for that name before they do what they do in a parallel run, and tests ask for the fixtures.
"""

from __future__ import annotations

import os

import pytest

from pytest_procpar.compat.xdist.options import told_dist

__all__ = ["get_xdist_worker_id", "is_xdist_controller", "is_xdist_master", "is_xdist_worker"]


def is_xdist_worker(request_or_session: pytest.FixtureRequest | pytest.Session) -> bool:
    """Whether this process is a worker."""
    return hasattr(request_or_session.config, "workerinput")


def is_xdist_controller(request_or_session: pytest.FixtureRequest | pytest.Session) -> bool:
    """Whether this process is the controller of a parallel run."""
    return not is_xdist_worker(request_or_session) and told_dist(request_or_session.config) != "no"


is_xdist_master = is_xdist_controller


def get_xdist_worker_id(request_or_session: pytest.FixtureRequest | pytest.Session) -> str:
    """The worker's id, ``gw0`` and so on; ``master`` where no tests are distributed."""
    config = request_or_session.config
    return str(config.workerinput["workerid"]) if hasattr(config, "workerinput") else "master"


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    """The worker's id, ``gw0`` and so on; ``master`` where no tests are distributed."""
    return get_xdist_worker_id(request)


@pytest.fixture(scope="session")
def testrun_uid(request: pytest.FixtureRequest) -> str:
    """A unique id of the test run, the same in all workers."""
    config = request.config
    return str(config.workerinput["testrunuid"]) if hasattr(config, "workerinput") else os.urandom(16).hex()
