"""What a suite of another project is, and how it is run."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Suite"]


@dataclass(frozen=True)
class Suite:
    """A project whose sdist or wheel holds its tests.

    The project itself is installed from a wheel where there is one.

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
        differs: Why tests or totals differ from a plain run, which is known and no fault; else empty.
        notes: For the table.
        no_spawn: Why it is not tried with ``--start-method=spawn``; else empty.
        installed: Whether the tests are those that are installed with it, so that no sdist is needed.
        drop: Paths to remove from the sdist, which would shadow what is installed.
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
    differs: str = ""
    notes: str = ""
    no_spawn: str = ""
    installed: bool = False
    drop: tuple[str, ...] = ()
    python: tuple[int, int] = (3, 10)
    quick: bool = False

    @property
    def requirement(self) -> str:
        """The pinned requirement, without extras."""
        return f"{self.name}=={self.version}"

    @property
    def full_requirement(self) -> str:
        """The pinned requirement, with extras."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return f"{self.name}{extras}=={self.version}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """Arguments of pytest, deselections included."""
        return (*self.args, *(f"--deselect={nodeid}" for nodeid, _ in self.deselect))
