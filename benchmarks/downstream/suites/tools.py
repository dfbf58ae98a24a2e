"""Suites of developers' tools: compilers, parsers, formatters, packaging."""

from __future__ import annotations

from benchmarks.downstream.suites.suite import Suite

__all__ = ["TOOLS"]

TOOLS = (
    Suite(
        "mypy",
        "2.4.1",
        (
            "attrs==26.1.0",
            "filelock==4.3.1",
            "lxml==6.1.3",
            "psutil==7.2.2",
            "setuptools==84.2.1",
            "tomli==2.5.0",
        ),
        args=(
            "-o",
            "addopts=",
            "mypy/test/testparse.py",
            "mypy/test/testsubtypes.py",
            "mypy/test/testtypes.py",
        ),
    ),
    Suite(
        "mako",
        "1.4.3",
        ("babel==2.19.0", "dogpile.cache==1.5.0", "lingua==4.16.2", "beaker==1.14.1"),
        args=("test",),
    ),
    Suite(
        "poetry-core",
        "2.5.0",
        (
            "build==1.6.1",
            "setuptools==84.2.1",
            "tomli-w==1.2.0",
            "virtualenv==21.15.11",
            "trove-classifiers==2026.9.21.13",
            "pytest-mock==3.17.0",
            "pyproject-hooks==1.3.3",
        ),
        args=("tests/packages", "tests/spdx"),
    ),
    Suite("tomlkit", "0.15.2", ("pyyaml==6.0.4", "poetry-core==2.5.0")),
    Suite(
        "beautifulsoup4",
        "4.15.0",
        ("lxml==6.1.3", "html5lib==1.1"),
        args=("bs4/tests",),
        no_spawn="Not with spawn: it parametrizes tests from a set, so each worker has another order.",
    ),
    Suite(
        "ipython",
        "9.18.1",
        ("testpath==0.6.0", "pytest-asyncio==1.5.0", "pickleshare==0.7.5"),
        args=(
            "-o",
            "addopts=",
            "tests/test_history.py",
            "tests/test_interactiveshell.py",
            "tests/test_run.py",
            "tests/test_async_helpers.py",
            "tests/test_backgroundjobs.py",
            "tests/test_process.py",
            "tests/test_capture.py",
        ),
        differs="A session fixture makes a folder of a fixed name, and refuses one that is there.",
    ),
    Suite(
        "setuptools",
        "84.2.1",
        (
            "build[virtualenv]==1.6.1",
            "coverage==7.17.5",
            "filelock==4.3.1",
            "ini2toml[lite]==0.15",
            "jaraco.envs==2.6.0",
            "jaraco.path==3.7.2",
            "jaraco.test==5.7.0",
            "packaging==26.3",
            "pip==26.3",
            "pytest-home==0.6.0",
            "pytest-subprocess==1.6.0",
            "pytest-timeout==2.4.0",
            "tomli-w==1.2.0",
            "virtualenv==21.15.11",
            "wheel==0.48.0",
        ),
        args=(
            "-o",
            "pythonpath=.",
            "-m",
            "not uses_network",
            "setuptools/tests/config/test_expand.py",
            "setuptools/tests/config/test_pyprojecttoml.py",
            "setuptools/tests/config/test_setupcfg.py",
            "setuptools/tests/test_build_py.py",
            "setuptools/tests/test_core_metadata.py",
            "setuptools/tests/test_dist.py",
            "setuptools/tests/test_logging.py",
            "setuptools/tests/test_manifest.py",
            "setuptools/tests/test_setuptools.py",
            "setuptools/tests/test_warnings.py",
        ),
        notes="Without tests that need the network.",
    ),
)
