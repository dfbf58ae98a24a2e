"""Suites of what starts, watches and locks processes."""

from __future__ import annotations

from benchmarks.downstream.suites.suite import Suite

__all__ = ["PROCESSES"]

PROCESSES = (
    Suite(
        "psutil",
        "7.2.2",
        ("setuptools==84.2.1",),
        args=(
            "tests/test_process.py",
            "tests/test_connections.py",
            "tests/test_posix.py",
            "tests/test_unicode.py",
            "tests/test_misc.py",
            "-o",
            "markers=xdist_group",
        ),
        deselect=(
            (
                "tests/test_connections.py::TestSystemWideConnections",
                "it looks at what others on the machine do",
            ),
            (
                "tests/test_misc.py::TestMisc::test_users",
                "it asks for users that are logged in",
            ),
        ),
        drop=("psutil", "pyproject.toml"),
    ),
    Suite(
        "pexpect",
        "4.9.0",
        args=("tests/test_run.py", "tests/test_unicode.py", "tests/test_isalive.py"),
    ),
    Suite("ptyprocess", "0.7.0"),
    Suite("billiard", "4.3.2", ("psutil==7.2.2", "pytest-xdist==3.8.0"), args=("t/unit",)),
    Suite(
        "execnet",
        "2.1.2",
        ("pytest-timeout==2.4.0",),
        args=(
            "testing/test_basics.py",
            "testing/test_serializer.py",
            "testing/test_rsync.py",
            "testing/test_xspec.py",
            "testing/test_multi.py",
        ),
        deselect=(
            (
                "testing/test_xspec.py::TestMakegateway::test_popen_nice",
                "it fails by chance, as it says",
            ),
        ),
    ),
    Suite("fasteners", "0.20", ("diskcache==5.6.3", "more-itertools==11.2.1", "eventlet==0.41.3")),
    Suite("invoke", "2.2.1", ("pytest-relaxed==2.0.2", "icecream==2.2.0"), args=("tests",)),
)
