"""Suites of libraries that ask for nothing special."""

from __future__ import annotations

from benchmarks.downstream.suites.suite import Suite

__all__ = ["PLAIN"]

PLAIN = (
    Suite("click", "8.5.1", quick=True),
    Suite("jinja2", "3.1.6", ("trio==0.35.0",), quick=True),
    Suite("toolz", "1.2.0", args=("toolz",), quick=True),
    Suite(
        "pluggy",
        "1.7.0",
        ("pytest-benchmark==5.3.1",),
        args=("testing", "--benchmark-disable"),
    ),
    Suite("tenacity", "9.2.1", ("tornado==6.5.10", "trio==0.35.0")),
    Suite(
        "jsonschema",
        "4.26.0",
        ("jsonpath-ng==1.9.0", "virtue==2025.7.1"),
        extras=("format-nongpl",),
        args=("jsonschema",),
    ),
    Suite(
        "werkzeug",
        "3.1.9",
        (
            "cffi==2.1.1",
            "cryptography==50.0.2",
            "ephemeral-port-reserve==1.1.4",
            "pytest-timeout==2.4.0",
            "watchdog==6.0.0",
        ),
    ),
    Suite("attrs", "26.1.0", ("cloudpickle==3.1.2", "hypothesis==6.168.5", "pympler==1.1")),
    Suite(
        "packaging",
        "26.3",
        ("hypothesis==6.168.5", "pretend==1.0.9", "tomli-w==1.2.0"),
        args=tuple(
            f"tests/test_{name}.py" for name in ("metadata", "requirements", "tags", "utils", "manylinux")
        ),
    ),
    Suite("sqlparse", "0.6.1"),
    Suite(
        "structlog",
        "26.1.0",
        ("pytest-asyncio==1.5.0", "simplejson==4.3.0", "time-machine==3.5.1"),
    ),
    Suite("boltons", "26.2.0", args=("--doctest-modules", "boltons", "tests")),
    Suite(
        "markdown-it-py",
        "4.3.0",
        ("pytest-regressions==2.11.0", "pytest-timeout==2.4.0", "requests==2.34.2", "flit_core==4.2.0"),
        extras=("linkify",),
    ),
    Suite("more-itertools", "11.2.1", python=(3, 11)),
    # Its algorithms take minutes; these folders have the same mixture of tests.
    Suite(
        "networkx",
        "3.6.1",
        args=tuple(f"networkx/{name}" for name in ("classes", "generators", "readwrite", "utils")),
        python=(3, 11),
    ),
    Suite(
        "blinker",
        "1.9.0",
        ("pytest-asyncio==1.5.0",),
        args=("-o", "asyncio_default_fixture_loop_scope=function", "tests"),
    ),
    Suite(
        "pyparsing",
        "3.3.3",
        args=("tests", "examples/tiny/tests"),
        extras=("diagrams",),
        differs="A test switches a cache on, for those after it in its process: one then has fewer subtests.",
    ),
)
