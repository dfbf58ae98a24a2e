"""Groups native threads by the library that they belong to, and describes them."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pytest_procpar.start_method.project.files import ProjectFiles
from pytest_procpar.start_method.project.importers import importer, packages
from pytest_procpar.start_method.threads.native_libraries import NativeLibrary, known_library
from pytest_procpar.start_method.threads.thread_owners import NativeThread, identify, is_loaded

__all__ = ["Pool", "pools"]


class Pool(NamedTuple):
    """Threads of one library: its entry in the table, if it has one, and its file, if that is known."""

    library: NativeLibrary | None
    path: str | None
    threads: tuple[NativeThread, ...]

    @property
    def is_certain(self) -> bool:
        """Whether their owner is known. Other threads may be about to end, or be Python's own."""
        return self.path is not None and not (self.library is not None and self.library.is_interpreter)

    @property
    def name(self) -> str:
        """The name in messages."""
        if self.library is not None:
            return self.library.name
        return Path(self.path).name if self.path is not None else "an unknown library"

    @property
    def users(self) -> list[str]:
        """The packages that have loaded the library."""
        found = packages(self.path) if self.path is not None else []
        if self.library is not None:
            named = [name for name in self.library.modules if name in sys.modules]
            if len(named) == 1 and (not found or len(self.library.modules) == 1):
                found = [*found, named[0].partition(".")[0]]
        return found

    def is_vouched(self, vouched: Iterable[str]) -> bool:
        """Whether the project declares it safe: by the name of the library, its file, or its user."""
        file = Path(self.path).name if self.path is not None else self.name
        names = {self.name, file, file.partition(".")[0].partition("-")[0], *self.users}
        return any(fnmatch.fnmatch(name.lower(), pattern.lower()) for name in names for pattern in vouched)

    def describe(self, files: ProjectFiles | None = None) -> str:
        """The library, its user, the number of threads, and which of the project's files imports it."""
        users = self.users
        about = [f"used by {user}" for user in users[-1:] if user not in self.name.lower()]
        module = importer(users, files) if files is not None else None
        if module is not None:
            about.append(f"imported by {module}")
        if self.path is None:
            about.append("threads named " + ", ".join(sorted({thread.name for thread in self.threads})))
        whose = f" ({', '.join(about)})" if about else ""
        count = len(self.threads)
        return f"{self.name}{whose} has {count} thread{'s' * (count > 1)}, which a fork loses"


def pools(tids: Iterable[int], excused: Iterable[int], python: int) -> list[Pool]:
    """The pools among these threads that a forked process would miss.

    :param excused: the threads that are no hazard if their owner is not known.
    :param python: the number of threads that run Python and are not known to `threading`. They are not
        counted here.
    """
    by_library: dict[tuple[NativeLibrary | None, str | None], list[NativeThread]] = {}
    for thread in identify(tids):
        library = known_library(thread.path, thread.name, is_loaded)
        if thread.tid not in excused if library is None else not library.survives:
            by_library.setdefault((library, thread.path), []).append(thread)
    found = []
    for (library, path), threads in by_library.items():
        spared = 0 if library is None else python if library.is_interpreter else library.spared
        if len(threads) > spared:
            found.append(Pool(library, path, tuple(threads[spared:])))
    return found
