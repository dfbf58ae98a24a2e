"""Gives each worker its share of the processors for the thread pools of BLAS and OpenMP.

Such a library starts a thread for each processor. With as many workers as processors there are that many
times too many, and since threads wait for each other in loops, tests can take several times as long as in
one process. dask, joblib and Ray limit the pools of their workers for the same reason.

A library that is loaded reads no environment variable any more, so it is asked. No variable is set for those
that tests load later: some suites look at these variables (joblib's and numexpr's do), and would end
otherwise.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

from pytest_procpar.core.evidence.thread_owner import MemoryMap, openblas_names, parse_maps

__all__ = ["limit_thread_pools", "mapped_libraries"]

#: The variable that OpenMP's libraries read, and in the absence of their own, OpenBLAS, MKL and BLIS.
_VARIABLE = "OMP_NUM_THREADS"

#: A pool of more threads than this has its default size: builds of OpenBLAS have no larger one.
_LARGE = 64


class _Library(NamedTuple):
    """Patterns of its file's name, its own variable, and the functions that may read and set the size."""

    files: tuple[str, ...]
    variable: str
    functions: tuple[tuple[str, str], ...]


_LIBRARIES = (
    _Library(
        ("*openblas*",),
        "OPENBLAS_NUM_THREADS",
        tuple(zip(openblas_names("get_num_threads"), openblas_names("set_num_threads"), strict=True)),
    ),
    _Library(("libmkl_rt*",), "MKL_NUM_THREADS", (("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),)),
    _Library(
        ("libblis*",), "BLIS_NUM_THREADS", (("bli_thread_get_num_threads", "bli_thread_set_num_threads"),)
    ),
    _Library(
        ("libgomp*", "libomp*", "libiomp5*"), _VARIABLE, (("omp_get_max_threads", "omp_set_num_threads"),)
    ),
)

#: What the name of each of these libraries contains.
_PARTS = tuple(pattern.strip("*") for library in _LIBRARIES for pattern in library.files)


def limit_thread_pools(
    workers: int,
    cpus: int | None,
    environ: Mapping[str, str] = os.environ,
    libraries: Callable[[], Iterable[str]] | None = None,
    load: Callable[[str], object] | None = None,
) -> None:
    """Let pools have this process's share of the processors, unless the user or the suite has set their size.

    :param workers: how many processes share the processors.
    :param cpus: how many processors there are; None: leave all pools as they are.
    :param libraries: returns the files of the loaded libraries.
    :param load: returns a library that is loaded already, as `ctypes.CDLL` does; raises OSError.
    """
    if cpus is None or workers < 2 or _VARIABLE in environ:
        return
    threads = max(1, cpus // workers)
    for path in (libraries or _loaded)():
        name = path.rpartition("/")[2]
        for library in _LIBRARIES:
            fits = any(fnmatch.fnmatchcase(name, pattern) for pattern in library.files)
            if fits and library.variable not in environ:
                with suppress(OSError):  # it is gone, or of another platform
                    _limit((load or _load)(path), library, threads, cpus)


def _limit(loaded: object, library: _Library, threads: int, cpus: int) -> None:
    for get, set_ in library.functions:
        if hasattr(loaded, get) and hasattr(loaded, set_):
            size = getattr(loaded, get)()
            # Whoever has set it to something smaller means that: a conftest, threadpoolctl.
            if size > threads and size >= min(cpus, _LARGE):
                getattr(loaded, set_)(threads)
            return


def mapped_libraries(maps: str) -> list[str]:
    """The files of shared libraries in the text of ``/proc/PID/maps`` (proc_pid_maps(5)), each once."""
    return MemoryMap(parse_maps(maps)).files("*.so*")


def _loaded() -> list[str]:
    """The files of the loaded libraries; on other systems than Linux nobody tells.

    None if there is none with a pool: most suites have none, and each worker would take the text apart.
    """
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
            text = maps.read()
    except OSError:
        return []
    return mapped_libraries(text) if any(part in text for part in _PARTS) else []


def _load(path: str) -> object:
    import ctypes

    return ctypes.CDLL(path, mode=getattr(os, "RTLD_NOLOAD", 0) | ctypes.DEFAULT_MODE)
