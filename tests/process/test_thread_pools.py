"""Native thread pools get a worker's share of the processors, unless somebody has set their size."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from pytest_procpar.worker import thread_pools
from pytest_procpar.worker.thread_pools import limit_thread_pools, mapped_libraries

VARIABLE = "OMP_NUM_THREADS"


class Pool:
    """A library that has a pool, and its two functions by these names."""

    def __init__(self, size: int, get: str, set_: str) -> None:
        self.size = size
        setattr(self, get, lambda: self.size)
        setattr(self, set_, self.resize)

    def resize(self, size: int) -> None:
        self.size = size


def openblas(size: int) -> Pool:
    return Pool(size, "scipy_openblas_get_num_threads64_", "scipy_openblas_set_num_threads64_")


def limit(workers: int, cpus: int | None, environ: dict[str, str], **pools: object) -> None:
    """Limit the pools of these libraries; their names are how those of their files begin."""
    paths = {f"/lib/{name}.so.1": pool for name, pool in pools.items()}
    limit_thread_pools(workers, cpus, environ, lambda: paths, lambda path: paths[path])


@pytest.mark.parametrize(
    ("name", "get", "set_"),
    [
        ("libopenblas", "openblas_get_num_threads", "openblas_set_num_threads"),
        (
            "libscipy_openblas64_-1a",
            "scipy_openblas_get_num_threads64_",
            "scipy_openblas_set_num_threads64_",
        ),
        ("libmkl_rt", "MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),
        ("libblis", "bli_thread_get_num_threads", "bli_thread_set_num_threads"),
        ("libgomp-98b21ff3", "omp_get_max_threads", "omp_set_num_threads"),
        ("libomp", "omp_get_max_threads", "omp_set_num_threads"),
        ("libiomp5", "omp_get_max_threads", "omp_set_num_threads"),
    ],
)
def test_a_loaded_pool_gets_the_share_of_one_worker(name: str, get: str, set_: str) -> None:
    pool = Pool(16, get, set_)
    limit(4, 16, {}, **{name: pool})
    assert pool.size == 4


@pytest.mark.parametrize(
    ("workers", "cpus", "threads"), [(2, 16, 8), (3, 16, 5), (16, 16, 1), (40, 16, 1), (2, 1, 1)]
)
def test_the_share_is_at_least_one_thread(workers: int, cpus: int, threads: int) -> None:
    pool = openblas(cpus)
    limit(workers, cpus, {}, libopenblas=pool)
    assert pool.size == threads


@pytest.mark.parametrize(("workers", "cpus"), [(1, 16), (4, None)])
def test_one_worker_has_all_processors_and_so_has_each_if_the_project_says_so(
    workers: int, cpus: int | None
) -> None:
    pool = openblas(16)
    limit(workers, cpus, {}, libopenblas=pool)
    assert pool.size == 16


def test_what_the_user_has_set_stays() -> None:
    pool, other = openblas(16), Pool(16, "omp_get_max_threads", "omp_set_num_threads")
    limit(4, 16, {VARIABLE: "16"}, libopenblas=pool)
    assert pool.size == 16
    limit(4, 16, {"OPENBLAS_NUM_THREADS": "16"}, libopenblas=pool, libgomp=other)
    assert (pool.size, other.size) == (16, 4)


def test_what_a_conftest_has_set_stays() -> None:
    pool, small = openblas(6), openblas(2)
    limit(4, 16, {}, libopenblas=pool, libopenblas2=small)
    assert (pool.size, small.size) == (6, 2)


def test_the_largest_pool_that_there_is_counts_as_its_default_size() -> None:
    pool = openblas(64)
    limit(4, 128, {}, libopenblas=pool)
    assert pool.size == 32


def test_a_library_without_these_functions_or_that_is_gone_is_left_alone() -> None:
    def gone(path: str) -> object:
        raise OSError(f"{path}: cannot open shared object file")

    other = openblas(4)
    limit(2, 4, {}, libopenblas=SimpleNamespace(), libm=other)
    assert other.size == 4
    limit_thread_pools(2, 4, {}, lambda: ["/lib/libgomp.so"], gone)


def test_libraries_are_found_in_what_the_kernel_says() -> None:
    maps = (
        "7f01-7f02 r-xp 00000000 fd:01 12  /usr/lib/my libs/libgomp.so.1.0.0\n"
        "7f02-7f03 rw-p 00000000 fd:01 12  /usr/lib/my libs/libgomp.so.1.0.0\n"
        "7f03-7f04 rw-p 00000000 00:00 0   [heap]\n7f04-7f05 rw-p 00000000 00:00 0\n"
        "7f05-7f06 r--p 00000000 fd:01 13  /data/openblas.txt\n"
    )
    assert mapped_libraries(maps) == ["/usr/lib/my libs/libgomp.so.1.0.0"]


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="needs /proc")
def test_libgomp_itself_is_limited() -> None:
    code = """if True:
        import ctypes
        from pytest_procpar.worker.thread_pools import limit_thread_pools
        try:
            library = ctypes.CDLL("libgomp.so.1")
        except OSError:
            raise SystemExit(77)
        library.omp_set_num_threads(6)
        limit_thread_pools(2, 6)
        print(library.omp_get_max_threads())
    """
    environ = {name: value for name, value in os.environ.items() if name != VARIABLE}
    done = subprocess.run([sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, text=True)
    if done.returncode == 77:
        pytest.skip("libgomp is not installed")
    assert done.stdout == "3\n"


def test_the_real_ones_are_used_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = openblas(8)
    monkeypatch.setattr(thread_pools, "_loaded", lambda: ["/lib/libopenblas.so"])
    monkeypatch.setattr(thread_pools, "_load", lambda path: pool)
    limit_thread_pools(2, 8, {})
    assert pool.size == 4
