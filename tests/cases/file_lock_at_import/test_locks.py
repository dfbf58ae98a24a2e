import asyncio
import os
import tempfile

import filelock
import pytest
from conftest import OF_CONFTEST


def path(name):
    return os.path.join(tempfile.gettempdir(), name)


LOCKS = {
    "conftest": OF_CONFTEST,
    "hard": filelock.FileLock(path("hard.lock")),
    "shared by threads": filelock.FileLock(path("threads.lock"), thread_local=False),
    "soft": filelock.SoftFileLock(path("soft.lock")),
    "singleton": filelock.FileLock(path("singleton.lock"), is_singleton=True),
}
READ_WRITE = filelock.ReadWriteLock(path("read-write.db"))
SOFT_READ_WRITE = filelock.SoftReadWriteLock(path("soft-read-write"))
ASYNC = filelock.AsyncFileLock(path("async.lock"))

for each in LOCKS.values():
    with each:
        pass
with READ_WRITE.write_lock(), SOFT_READ_WRITE.read_lock():
    pass


@pytest.mark.parametrize("i", range(3))
@pytest.mark.parametrize("name", LOCKS)
def test_locks(name, i):
    lock = LOCKS[name]
    with lock.acquire(timeout=60):
        assert lock.is_locked
    assert not lock.is_locked


def test_singleton_is_the_same():
    assert filelock.FileLock(path("singleton.lock"), is_singleton=True) is LOCKS["singleton"]
    assert filelock.ReadWriteLock(path("read-write.db")) is READ_WRITE


@pytest.mark.parametrize("i", range(3))
def test_reads_and_writes(i):
    with READ_WRITE.write_lock(timeout=60):
        pass
    with SOFT_READ_WRITE.write_lock(timeout=60), READ_WRITE.read_lock(timeout=60):
        pass


@pytest.mark.parametrize("i", range(3))
def test_locks_in_a_loop(i):
    async def use():
        async with ASYNC:
            assert ASYNC.is_locked

    asyncio.run(use())


def test_locks_of_a_fixture(other_locks):
    with other_locks:
        assert other_locks.is_locked
