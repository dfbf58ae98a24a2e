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
    Suite(
        "pebble",
        "5.2.3",
        args=(
            "test/test_concurrent_process_fork.py",
            "test/test_concurrent_thread.py",
            "test/test_asynchronous_thread.py",
            "test/test_process_pool_fork.py",
            "test/test_thread_pool.py",
        ),
    ),
    Suite(
        "loky",
        "3.7.0",
        ("psutil==7.2.2", "pytest-timeout==2.4.0"),
        args=("tests/test_synchronize.py",),
        deselect=(
            (
                "tests/test_synchronize.py::TestCondition::test_wait_result",
                "it has a process start within ten seconds",
            ),
        ),
    ),
    Suite(
        "celery",
        "5.7.0",
        (
            "boto3==1.44.5",
            "freezegun==1.5.5",
            "moto==5.2.5",
            "pydantic==2.14.3",
            "pytest-celery==1.3.0",
            "pytest-click==1.1.0",
            "pytest-order==1.5.0",
            "pytest-rerunfailures==16.7",
            "pytest-timeout==2.4.0",
            "sqlalchemy==2.1.9",
        ),
        args=(
            "t/unit/concurrency",
            "t/unit/worker/test_consumer.py",
            "t/unit/worker/test_heartbeat.py",
            "t/unit/worker/test_loops.py",
        ),
    ),
    Suite("supervisor", "4.3.0", args=("supervisor", "--ignore=supervisor/tests/test_end_to_end.py")),
    Suite(
        "jupyter-client",
        "8.10.0",
        (
            "anyio==4.16.0",
            "ipykernel==7.4.0",
            "msgpack==1.2.4",
            "pytest-jupyter[client]==0.11.0",
            "pytest-timeout==2.4.0",
        ),
        args=(
            "-o",
            "addopts=",
            "tests/test_session.py",
            "tests/test_kernelspec.py",
            "tests/test_provisioning.py",
        ),
    ),
    Suite(
        "dask",
        "2026.8.0",
        ("pandas==3.1.1", "numpy==2.4.6", "pyarrow==25.0.1", "pytest-timeout==2.4.0"),
        installed=True,
        args=(
            "--pyargs",
            "dask.tests.test_threaded",
            "dask.tests.test_multiprocessing",
            "dask.tests.test_config",
            "dask.tests.test_callbacks",
            "dask.diagnostics",
        ),
    ),
)
