"""Which projects' suites are run, and how.

A suite is here when plain pytest gives the same outcomes twice, without a network. Versions are
pinned: a difference must come from us, not from a release of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """A project whose sdist holds its tests.

    Attributes:
        name: Distribution name, as in ``--suites``.
        version: Pinned version.
        requirements: What its tests need besides itself and pytest, pinned.
        extras: Extras of the project to install.
        args: Arguments of pytest.
        cwd: Folder in the sdist to run in.
        environ: Variables to set.
        deselect: (nodeid, reason) of tests which do not behave the same in two plain runs.
        varying_warnings: Why the number of warnings may differ between two plain runs; else empty.
        python: Lowest Python it can be installed on.
        quick: Whether "quick" selects it.
    """

    name: str
    version: str
    requirements: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    args: tuple[str, ...] = ("tests",)
    cwd: str = "."
    environ: tuple[tuple[str, str], ...] = ()
    deselect: tuple[tuple[str, str], ...] = ()
    varying_warnings: str = ""
    python: tuple[int, int] = (3, 10)
    quick: bool = False

    @property
    def requirement(self) -> str:
        """The pinned requirement."""
        return f"{self.name}=={self.version}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """Arguments of pytest, deselections included."""
        return (*self.args, *(f"--deselect={nodeid}" for nodeid, _ in self.deselect))


SUITES = (
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
    Suite("packaging", "26.3", ("hypothesis==6.168.5", "pretend==1.0.9", "tomli-w==1.2.0")),
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
