"""What makes it unsafe to fork workers from a process: evidence, not guesses.

Each finding says what is to blame, in words that complete "the start method is not fork, since".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn, Protocol

import pytest

from pytest_procpar.compat.pytest_private.output import capture_files
from pytest_procpar.config.settings import fork_safe
from pytest_procpar.start_method.names.early_plugins import EarlyPlugins
from pytest_procpar.start_method.names.unique_names import UniqueNames
from pytest_procpar.start_method.objects.contexts import Contexts
from pytest_procpar.start_method.objects.descriptors import Descriptors
from pytest_procpar.start_method.objects.held_processes import HeldProcesses
from pytest_procpar.start_method.objects.shared_memory import SharedMemory
from pytest_procpar.start_method.project.environment_copies import COPIES, find_copies
from pytest_procpar.start_method.project.files import ProjectFiles
from pytest_procpar.start_method.threads.native_threads import NativeThreads
from pytest_procpar.start_method.threads.python_threads import PythonThreads
from pytest_procpar.start_method.tripwire import Tripwire
from pytest_procpar.start_method.vouching import is_vouched

__all__ = ["HAZARDS", "Detector", "Hazards", "UnsafeFork", "watch"]


class UnsafeFork(Exception):
    """Workers must not be forked from this process; the reason says what is to blame.

    :param early: whether that was so before the process configured anything.
    """

    def __init__(self, reason: str, *, early: bool = False) -> None:
        super().__init__(reason)
        self.early = early


class Detector(Protocol):
    """Looks for one kind of thing that does not survive a fork, or must not be shared after it.

    It looks at objects of the suite, which may do anything. It may miss something, but an error in a detector
    does not break a run.
    """

    def begin(self) -> None:
        """Note what there is: before the initial conftests, and again in the process that collects."""

    def findings(self) -> Iterator[str]:
        """Yield a reason for each thing that came since. Do costly searches as late as possible."""


class Hazards:
    """Looks for what came up since `begin`: while conftests are loaded, and in the process that collects.

    :param vouched: patterns of what the project says is safe: files, thread names, plugins, kinds.
    """

    def __init__(self, config: pytest.Config, vouched: Iterable[str] = ()) -> None:
        self._config = config
        vouched = tuple(vouched)
        project = ProjectFiles(config)

        def vouches_for(name: str) -> bool:
            return is_vouched(name, vouched, config.rootpath)

        self.wire = Tripwire(vouches_for)
        self._adapted: Callable[[], frozenset[int]] = frozenset
        self._nodeids: Iterable[str] = ()
        self._names = UniqueNames(config, project, vouched, vouches_for, self._ids)
        self._processes = HeldProcesses(config, vouches_for)
        # In order of precedence: a library says more than the descriptors that it holds.
        self._detectors: tuple[Detector, ...] = (
            EarlyPlugins(config, project, vouched, vouches_for),
            PythonThreads(vouched),
            Contexts(),
            NativeThreads(vouched, project),
            Descriptors(vouches_for, lambda: self._adapted() | capture_files(config)),
            SharedMemory(vouches_for),
            self._processes,
            self._names,
        )

    def _ids(self) -> list[str]:
        """The ids of the tests. They were given as an iterable that can be gone through only once."""
        self._nodeids = list(self._nodeids)
        return self._nodeids

    def begin(self) -> None:
        """Note what is there already, in the process that is to be checked."""
        for detector in self._detectors:
            with suppress(Exception):
                detector.begin()
        self.wire.lay()  # last: detectors look at the environment, too

    def end(self) -> None:
        """Stop watching, and leave no trace. Note the copies of the environment that are held."""
        self._names.end()
        self.wire.cut()
        if self.wire.copiers:
            with suppress(Exception):
                self._config.stash[COPIES] = find_copies(self.wire.copiers)

    def abandon(self) -> None:
        """End processes that the suite started in this process, in which no test will run."""
        self._processes.abandon()

    def excuse(self, adapted: Callable[[], frozenset[int]]) -> None:
        """From now on, treat sockets with these descriptors as safe: each worker renews them."""
        self._adapted = adapted

    def while_imported(self) -> str | None:
        """Why nothing may be forked from a process that has loaded plugins and initial conftests, or None."""
        read = self.wire.first
        if read is not None:
            return f"{read.place(self._config.rootpath)} reads {read.what} while it is imported"
        return next(self._findings(), None)

    def check(self) -> None:
        """Check whether something has read a worker's identity.

        :raises UnsafeFork: if so.
        """
        read = self.wire.first
        if read is not None:
            self._found(f"{read.place(self._config.rootpath)} reads {read.what}")

    def finish(self, nodeids: Iterable[str] = ()) -> None:
        """Run all checks, and stop watching.

        :param nodeids: the ids of the tests that were collected.
        :raises UnsafeFork: if workers must not be forked from here.
        """
        self._nodeids = nodeids
        self.check()
        self.wire.cut()
        found = next(self._findings(), None)
        if found is not None:
            self._found(found)
        with suppress(Exception):
            found = next(self._names.early_findings(), None)
        if found is not None:
            self._found(found, early=True)
        self.end()

    def _found(self, reason: str, *, early: bool = False) -> NoReturn:
        self.end()
        raise UnsafeFork(reason, early=early)

    def _findings(self) -> Iterator[str]:
        for detector in self._detectors:
            with suppress(Exception):
                yield from detector.findings()


#: The watch over a run that may have workers and whose start method is not pinned.
HAZARDS = pytest.StashKey[Hazards]()


@contextmanager
def watch(config: pytest.Config) -> Iterator[None]:
    """Note what the initial conftests, loaded inside this context, do that would not survive a fork."""
    config.stash[HAZARDS] = hazards = Hazards(config, fork_safe(config))
    hazards.begin()
    try:
        yield
    finally:
        hazards.end()
