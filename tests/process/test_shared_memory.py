"""Memory and semaphores that processes would share are found and named; what libraries have is let be."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing import heap, shared_memory
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_procpar.start_method.objects.shared_memory import SharedMemory

pytestmark = [
    pytest.mark.python_dependent,
    pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc"),
]

FORK: Any = multiprocessing.get_context("fork") if sys.platform != "win32" else None


class Looks:
    """Looks from here on; `reasons` is what it finds."""

    def __init__(self, *vouched: str) -> None:
        self._memory = SharedMemory(lambda name: name in vouched)
        self._memory.begin()

    @property
    def reasons(self) -> list[str]:
        return list(self._memory.findings())


def make_module(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = str(folder / f"{name}.py")
    monkeypatch.setitem(sys.modules, name, module)
    return module


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of the project, which holds what a test puts there."""
    return make_module(tmp_path, monkeypatch, "jobs")


def test_nothing_is_found_where_nothing_is() -> None:
    assert Looks().reasons == []


def test_a_class_that_cannot_be_looked_into_is_passed_over(project: ModuleType) -> None:
    class Kind(type):
        @property
        def __module__(cls) -> str:  # type: ignore[override]
            raise OSError

    looks = Looks()
    project.odd = Kind("Odd", (), {})  # type: ignore[attr-defined]
    project.flags = mmap.mmap(-1, 4096)  # type: ignore[attr-defined]
    assert looks.reasons == ["memory was made that processes would share, held by jobs.flags (mmap.mmap)"]
    project.flags.close()


def test_a_map_without_a_file_is_found(project: ModuleType) -> None:
    before = mmap.mmap(-1, 4096)
    looks, vouched, by_module = Looks(), Looks("shared-memory"), Looks("jobs")
    project.flags = mmap.mmap(-1, 4096)  # type: ignore[attr-defined]
    reasons = ["memory was made that processes would share, held by jobs.flags (mmap.mmap)"]
    assert looks.reasons == reasons
    assert vouched.reasons == by_module.reasons == []
    project.flags.close()
    assert looks.reasons == []
    before.close()


def test_a_map_that_is_private_is_harmless() -> None:
    looks = Looks()
    with mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS):
        assert looks.reasons == []


@pytest.mark.parametrize("access", [mmap.ACCESS_READ, mmap.ACCESS_WRITE, mmap.ACCESS_COPY])
def test_a_map_of_a_file_is_harmless(tmp_path: Path, access: int) -> None:
    (tmp_path / "file").write_bytes(bytes(4096))
    looks = Looks()
    with (tmp_path / "file").open("r+b") as file, mmap.mmap(file.fileno(), 0, access=access):
        assert looks.reasons == []


def test_a_file_in_memory_is_found_once_it_is_mapped() -> None:
    looks = Looks()
    with open(os.memfd_create("cache"), "r+b") as file:
        file.truncate(4096)
        assert looks.reasons == []
        with mmap.mmap(file.fileno(), 0):
            assert len(looks.reasons) == 1
    with open(os.memfd_create("libffi"), "r+b") as file:
        file.truncate(4096)
        with mmap.mmap(file.fileno(), 0):
            assert looks.reasons == []


def test_a_shared_block_with_a_name_is_found(project: ModuleType) -> None:
    looks = Looks()
    # It would start a process that sees to what is left behind.
    kwargs: dict[str, Any] = {"track": False} if sys.version_info >= (3, 13) else {}
    if not kwargs:
        path = Path("/dev/shm") / f"procpar-test-{os.getpid()}"
        path.write_bytes(bytes(4096))
        with path.open("r+b") as file:
            project.block = mmap.mmap(file.fileno(), 0)  # type: ignore[attr-defined]
        path.unlink()
        close = project.block.close
    else:
        block = project.block = shared_memory.SharedMemory(create=True, size=4096, **kwargs)  # type: ignore[attr-defined]
        block.unlink()
        close = block.close
    assert looks.reasons[0].startswith("memory was made that processes would share, held by jobs.block (")
    close()
    assert looks.reasons == []


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: FORK.Value("i"), "memory"),
        (lambda: FORK.Array("i", 4), "memory"),
        (lambda: FORK.RawArray("i", 4), "memory"),
        (lambda: FORK.Value("i"), "a semaphore"),
        (lambda: FORK.Lock(), "a semaphore"),
        (lambda: FORK.Event(), "a semaphore"),
        (lambda: FORK.Barrier(2), "a semaphore"),
    ],
)
def test_what_multiprocessing_makes_is_found(
    project: ModuleType, monkeypatch: pytest.MonkeyPatch, make: Callable[[], object], what: str
) -> None:
    monkeypatch.setattr(heap.BufferWrapper, "_heap", heap.Heap())  # else there may be room in the old one
    looks = Looks()
    project.shared = make()  # type: ignore[attr-defined]
    reason = next(reason for reason in looks.reasons if reason.startswith(what))
    assert reason.startswith(f"{what} was made that processes would share, held by jobs.shared")
    vars(project).pop("shared")


def test_a_lock_of_a_library_is_harmless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = make_module(tmp_path / "site-packages", monkeypatch, "tqdm")
    other = make_module(tmp_path / "site-packages", monkeypatch, "other")
    looks = Looks()
    library.lock = FORK.RLock()  # type: ignore[attr-defined]
    assert looks.reasons == []
    other.lock = library.lock  # type: ignore[attr-defined]
    vars(library).pop("lock")
    assert "held by other.lock" in looks.reasons[0]
    vars(other).pop("lock")


def test_memory_that_no_variable_leads_to_is_named_itself() -> None:
    looks = Looks()
    with open(os.memfd_create("of a library"), "r+b") as file:
        file.truncate(4096)
        with mmap.mmap(file.fileno(), 0):
            reason = "memory was made that processes would share (/memfd:of a library (deleted))"
            assert looks.reasons == [reason]
