"""Suites of plugins of pytest."""

from __future__ import annotations

from benchmarks.downstream.suites.suite import Suite

__all__ = ["PLUGINS"]

PLUGINS = (
    # Plugins of pytest, whose tests run pytest, in the test's process and in others. Theirs with "-n" run us.
    Suite("pytest-asyncio", "1.5.0", ("hypothesis==6.168.5",)),
    # Its tests compare with what pytest prints, which is not shortened under "CI".
    Suite("pytest-mock", "3.17.0", ("pytest-asyncio==1.5.0", "mock==5.2.0"), environ=(("CI", ""),)),
    Suite("pytest-timeout", "2.5.0", ("pexpect==4.9.0", "pytest-cov==7.1.0", "ipdb==0.13.13"), args=()),
    # Without pytest-xdist it skips ten tests, unless a worker has told the plugin that its hook is there.
    Suite("pytest-rerunfailures", "16.7", ("pytest-xdist==3.8.0",)),
    # Nine of its tests need --tx with a folder, which its inner runs have from us, too: they fail alike.
    Suite(
        "pytest-cov",
        "7.1.0",
        ("process-tests==3.0.0", "pytest-xdist==3.8.0", "virtualenv==20.36.1"),
        deselect=(
            ("tests/test_pytest_cov.py::test_celery", "it starts containers"),
            (
                "tests/test_pytest_cov.py::test_contexts[3xdist]",
                "its workers set up the same class, if they happen to share its tests",
            ),
        ),
    ),
)
