"""The file of claims: each run has a place in it as long as it lives, and reads those of the others.

A place belongs to the process that has a lock on its first byte: a record lock (POSIX, `fcntl.lockf`), which
the kernel takes away when the process ends, however that happens, and which no child inherits: neither a
worker nor a program that a test starts keeps a place for a run that is gone. Nobody waits for a lock.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Mapping

from pytest_procpar.core.sizing.claims import CLAIM_BYTES, Claim, packed, unpacked
from pytest_procpar.host.folder import UnsafeFolder, open_folder
from pytest_procpar.system.calls import out_of_reach

__all__ = ["MOST_RUNS", "Registry"]

#: How many runs there may be at a time; more take no part.
MOST_RUNS = 256
_NAME = "runs"
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)

#: Whether this process has a place. Its locks are the process's, so a second place would share the first.
_has_place = False


def _bind_lock(
    lockf: Callable[..., None] = fcntl.lockf,
    exclusive: int = fcntl.LOCK_EX | fcntl.LOCK_NB,
    shared: int = fcntl.LOCK_SH | fcntl.LOCK_NB,
    release: int = fcntl.LOCK_UN,
) -> tuple[Callable[[int, int], bool], Callable[[int, int], bool]]:
    """A function that takes a place's lock, and one that tells whether nobody has it."""

    def take(fd: int, place: int) -> bool:
        try:
            lockf(fd, exclusive, 1, place * CLAIM_BYTES)
        except (BlockingIOError, PermissionError):  # EACCES, on some systems
            return False
        return True

    def is_free(fd: int, place: int) -> bool:
        try:
            lockf(fd, shared, 1, place * CLAIM_BYTES)
        except (BlockingIOError, PermissionError):
            return False
        lockf(fd, release, 1, place * CLAIM_BYTES)
        return True

    return take, is_free


_take, _is_free = _bind_lock()


class Registry:
    """This run's place among the others.

    :raises OSError: if there is no folder for it, no place is left, or the file cannot be locked.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        global _has_place
        if _has_place:
            raise OSError("a run in this process has a place already")
        folder = open_folder(environ)
        try:
            # Before it is locked: when a process closes any descriptor of a file, all its locks on that go.
            self._fd = out_of_reach(os.open(_NAME, _FLAGS, 0o600, dir_fd=folder))
        finally:
            os.close(folder)
        try:
            found = os.fstat(self._fd)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
                raise UnsafeFolder("the file of claims is not a plain file of this user's")
            self._place = self._settle()
        except BaseException:
            os.close(self._fd)
            raise
        _has_place = True
        self._owner = os.getpid()

    def _settle(self) -> int:
        for place in range(MOST_RUNS):
            if _take(self._fd, place):
                return place
        raise OSError(f"{MOST_RUNS} runs have a place already")

    def tell(self, claim: Claim) -> None:
        """Let the others know what this run wants.

        :raises OSError: if the file cannot be written.
        """
        os.pwrite(self._fd, packed(claim), self._place * CLAIM_BYTES)

    def others(self) -> list[Claim]:
        """The claims of the other runs that live.

        :raises OSError: if the file cannot be read, or its locks cannot be asked for.
        """
        data = os.pread(self._fd, MOST_RUNS * CLAIM_BYTES, 0)
        claims = []
        for place in range(len(data) // CLAIM_BYTES):
            if place == self._place:
                continue
            claim = unpacked(data[place * CLAIM_BYTES : (place + 1) * CLAIM_BYTES])
            if claim is not None and not _is_free(self._fd, place):
                claims.append(claim)
        return claims

    def leave(self) -> None:
        """Give the place up. Repeating it does nothing, and neither does a call in another process."""
        global _has_place
        if self._fd < 0 or os.getpid() != self._owner:
            return
        fd, self._fd = self._fd, -1
        _has_place = False
        try:
            os.pwrite(fd, bytes(CLAIM_BYTES), self._place * CLAIM_BYTES)
        except OSError:
            pass  # the lock goes with the descriptor, and with it the claim
        os.close(fd)
