"""Parallel test execution for pytest on forked workers.

PYTEST_DONT_REWRITE: pytest imports this package by its own finder, which reads this and leaves it alone. A
spawned worker imports it before pytest reads its configuration, and pytest would warn of that otherwise.
"""

from __future__ import annotations

import atexit
import sys
from importlib.machinery import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["__version__", "import_as_they_are"]

__version__ = "0.1.0"


class _AsTheyAre:
    """Imports this package's modules without pytest's assertion rewriting, which helps nobody here.

    Rewritten modules have byte code of their own. Where that cannot be written, every start would compile all
    of them: with ``PYTHONDONTWRITEBYTECODE``, which is usual in containers, or in a read-only folder.
    """

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module of this package, as an `importlib.abc.MetaPathFinder` does, and no other module."""
        return PathFinder.find_spec(name, path) if name.startswith("pytest_procpar.") else None


def import_as_they_are() -> None:
    """Import the modules of this package before any other finder can, from now on."""
    _withdraw()
    sys.meta_path.insert(0, _AsTheyAre)


def _withdraw() -> None:
    if _AsTheyAre in sys.meta_path:
        sys.meta_path.remove(_AsTheyAre)


import_as_they_are()
# At its end, the interpreter takes 4 ms longer to free what there is if a finder written in Python is left.
atexit.register(_withdraw)
