"""The fixtures of module and class scope that the tests of a suite use, in plain numbers.

A *home* is a module or a class that such a fixture belongs to, and in which it stays set up as long as the
tests that run are of that home. A fixture with parameters is a fixture of its own for each parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from pytest_procpar.core.record import record

__all__ = ["NOTHING", "Known", "SharedData", "Use", "WideFixtures"]

#: What a test uses: the homes that it is in, outermost first, and the fixtures that it needs. A test may be
#: in a home and need none of its fixtures: they stay set up while it runs.
Use: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]

#: The use of a test that is in no home.
NOTHING: Use = ((), ())

#: How it travels: the number of each test's use, the uses, and (name, label, home) of each fixture.
SharedData: TypeAlias = "tuple[list[int], list[Use], list[tuple[str, str, int]]]"


@record
class WideFixtures:
    """Which test uses what.

    ``use_of`` holds the place of each test's use in ``uses``, which begins with `NOTHING`. ``names``,
    ``labels`` and ``homes`` have an entry for each fixture. Fixtures with the same name are likely to cost
    the same; a label is the fixture's own, and the same in the next run.
    """

    use_of: tuple[int, ...]
    uses: tuple[Use, ...]
    names: tuple[str, ...]
    labels: tuple[str, ...]
    homes: tuple[int, ...]

    @staticmethod
    def of(data: SharedData) -> WideFixtures:
        """Make one of what a process that has collected the suite says."""
        use_of, uses, fixtures = data
        return WideFixtures(
            tuple(use_of),
            tuple(uses),
            tuple(name for name, _, _ in fixtures),
            tuple(label for _, label, _ in fixtures),
            tuple(home for _, _, home in fixtures),
        )

    @staticmethod
    def none(tests: int) -> WideFixtures:
        """A suite of that many tests without such fixtures."""
        return WideFixtures((0,) * tests, (NOTHING,), (), (), ())


@record
class Known:
    """What is known of a suite's tests before they run.

    ``wide`` says which of them share fixtures of module and class scope, if any do. Earlier runs may have
    shown how long each test takes without those fixtures (``durations``; None: not known), and what it takes
    to set one up (``costs``, by its label), both in seconds.
    """

    wide: WideFixtures | None = None
    durations: tuple[float | None, ...] | None = None
    costs: Mapping[str, float] | None = None
