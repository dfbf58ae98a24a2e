"""Who is measured: what to install and how to ask for workers.

Knows neither environments nor cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BASE = "plain"  # every ratio is to this one, so it always runs
OURS = "procpar"
INCUMBENT = "xdist"


@dataclass(frozen=True)
class Contender:
    """One way to run pytest.

    Attributes:
        name: What the command line calls it.
        package: The distribution beside pytest; empty for plain pytest.
        options: pytest's options that ask for workers, with ``{n}`` for their number and ``{cache}`` for a
            folder that this contender keeps between the runs of a case.
        from_checkout: Install a wheel built from this checkout, not a release.
        program: The command that the package installs, if it is not a plugin of pytest's.
        needs: Further distributions, which it does not require itself.
    """

    name: str
    package: str
    options: tuple[str, ...]
    from_checkout: bool = False
    program: str = ""
    needs: tuple[str, ...] = ()

    def launcher(self, python: str) -> list[str]:
        """What starts it in the environment of this interpreter."""
        if self.program:
            return [str(Path(python).with_name(self.program)), "--python", python]
        return [python, "-m", "pytest"]

    def arguments(self, workers: int, cache: Path) -> list[str]:
        """The options for ``workers`` workers, and for what earlier runs have left in ``cache``."""
        return [option.format(n=workers, cache=cache) for option in self.options]


CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender(BASE, "", ()),
        Contender(INCUMBENT, "pytest-xdist", ("-n", "{n}")),
        Contender("parallex", "pytest-parallex", ("--parallel=fork", "--parallel-workers={n}")),
        Contender("zygote", "pytest-zygote", ("--workers", "{n}")),
        Contender("bistra", "bistra", ("--bistra", "--bistra-workers={n}")),
        Contender(
            "timing",  # pytest-xdist, told what was recorded of the run before
            "pytest-timing",
            (
                "-n",
                "{n}",
                "--timing-capture=light",
                "--timing-json-file={cache}/timing.json",
                "--timing-schedule={cache}/timing.json",
            ),
            needs=("pytest-xdist",),
        ),
        Contender("rstest", "rstest", ("-n", "{n}"), program="rstest"),
        Contender(OURS, "pytest-procpar", ("-n", "{n}"), from_checkout=True),
    )
}
