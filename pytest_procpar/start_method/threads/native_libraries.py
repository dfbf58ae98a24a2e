"""What native libraries do in a forked process after they have used their threads, in one table.

A forked process has none of these threads. That does no harm if the library starts them anew, or if the
calling thread does their work. Otherwise the library waits for them forever, or crashes.
`benchmarks/native_threads` tries it.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["NATIVE_LIBRARIES", "NativeLibrary", "known_library"]


class NativeLibrary(NamedTuple):
    """A library, and what is known of its threads.

    Attributes:
        name: The name in messages and in ``procpar_fork_safe``.
        files: Identifies a thread's owner: patterns of the file's name with as many folders before it as the
            pattern has, or a folder (with a slash at its end).
        survives: Whether it works in a forked process after it has used its threads.
        tried: The versions that were tried.
        note: What it does in a forked process.
        threads: A pattern of the threads' names, if the entry is about some of a library's threads, or if
            names tell whose they are when stacks cannot be read.
        spared: How many threads an import starts that the library works without.
        modules: The modules that load the library, if its file lies elsewhere.
        beside: A pattern of files of which one must be loaded, too, if the entry is about one user of a
            library.
    """

    name: str
    files: tuple[str, ...]
    survives: bool
    tried: str
    note: str
    threads: str = "*"
    spared: int = 0
    modules: tuple[str, ...] = ()
    beside: str = ""

    @property
    def is_interpreter(self) -> bool:
        """Whether it is Python itself."""
        return self.modules == ("faulthandler",)


#: The first entry that fits a thread counts.
NATIVE_LIBRARIES = (
    NativeLibrary(
        "jemalloc",
        ("*",),
        True,
        "pyarrow 26.0.1, polars 2.1.0",
        "its thread only frees memory",
        threads="jemalloc_bg_thd",
    ),
    NativeLibrary(
        "OpenBLAS",
        ("lib*openblas*",),
        True,
        "numpy 2.4.6, scipy 1.17.1, opencv-python-headless 5.0.0",
        "ends its threads before a fork, and starts them anew when they are needed",
    ),
    NativeLibrary("Arrow", ("libarrow.so*",), True, "pyarrow 26.0.1", "starts its threads anew"),
    NativeLibrary(
        "TBB",
        ("libtbb.so*", "libtbb-*.so*"),
        True,
        "tbb 2023.2.0 (numba 0.68.1, mkl 2026.2.0)",
        "works without its threads",
    ),
    NativeLibrary(
        "MKL's libiomp5",
        ("libiomp5.so*",),
        True,
        "mkl 2026.2.0, intel-openmp 2026.2.0",
        "starts its threads anew",
        beside="libmkl_*",
    ),
    NativeLibrary(
        "numba's workqueue",
        ("numba/np/ufunc/workqueue.*",),
        True,
        "numba 0.68.1",
        "starts its threads anew",
    ),
    NativeLibrary("numexpr", ("numexpr/interpreter.*",), True, "numexpr 2.14.2", "starts its threads anew"),
    NativeLibrary(
        "OpenCV", ("cv2/cv2.*",), True, "opencv-python-headless 5.0.0", "works without its threads"
    ),
    NativeLibrary(
        "tokenizers",
        ("tokenizers/tokenizers.*",),
        True,
        "tokenizers 0.23.3",
        "works without its threads, and says so on standard error",
    ),
    NativeLibrary(
        "polars' import",
        ("_polars_runtime*/_polars_runtime*",),
        True,
        "polars 2.1.0",
        "works without the thread that its import starts",
        threads="polars-ooc-clea*",
    ),
    NativeLibrary(
        "libgomp",
        ("libgomp.so*", "libgomp-*.so*"),
        False,
        "torch 2.13.0, scikit-learn 1.9.1, lightgbm 4.7.0, xgboost 3.2.0, faiss-cpu 1.15.1, numba 0.68.1",
        "hangs; numba ends the process",
        modules=("numba.np.ufunc.omppool", "lightgbm"),
    ),
    NativeLibrary(
        "libomp",
        ("libomp.so*", "libomp-*.so*", "libomp5-*.so*"),
        False,
        "LLVM 14 (preloaded: torch 2.13.0 works, scikit-learn 1.9.1 and lightgbm 4.7.0 do not)",
        "works, dies or hangs, by its user",
    ),
    NativeLibrary(
        "libiomp5",
        ("libiomp5.so*", "libiomp5-*.so*"),
        False,
        "intel-openmp 2026.2.0 (preloaded: torch 2.13.0 works, scikit-learn 1.9.1 and lightgbm 4.7.0 do not)",
        "works, dies or hangs, by its user",
    ),
    NativeLibrary(
        "polars", ("_polars_runtime*/_polars_runtime*",), False, "polars 2.1.0", "hangs", modules=("polars",)
    ),
    NativeLibrary("JAX", ("jaxlib/",), False, "jaxlib 0.10.2", "hangs", modules=("jax",)),
    NativeLibrary("TensorFlow", ("tensorflow/",), False, "tensorflow-cpu 2.21.0", "hangs"),
    NativeLibrary(
        "onnxruntime",
        ("onnxruntime_pybind11_state.*",),
        False,
        "onnxruntime 1.32.0",
        "works, and dies when a session is given up",
        spared=1,
    ),
    NativeLibrary(
        "DuckDB",
        ("_duckdb.*", "duckdb/duckdb.*"),
        False,
        "duckdb 2.0.1",
        "works, and dies when a connection is closed",
        modules=("duckdb",),
    ),
    NativeLibrary(
        "ZeroMQ", ("libzmq*.so*",), False, "pyzmq 27.3.0", "hangs", threads="ZMQbg*", modules=("zmq",)
    ),
    NativeLibrary("gRPC", ("grpc/_cython/cygrpc.*",), False, "grpcio 1.85.3", "hangs or dies"),
    NativeLibrary(
        "librdkafka",
        ("librdkafka*",),
        False,
        "confluent-kafka 2.16.1",
        "delivers nothing",
        threads="rdk:*",
        modules=("confluent_kafka",),
    ),
    NativeLibrary("blosc2", ("blosc2/",), False, "blosc2 4.14.1", "hangs"),
    NativeLibrary("GDAL", ("libgdal*",), False, "rasterio 1.4.4", "hangs", modules=("rasterio",)),
    NativeLibrary(
        "faulthandler or _thread",
        ("libpython3*", "python3*", "python"),
        False,
        "CPython 3.11",
        "hangs when faulthandler.dump_traceback_later is cancelled",
        modules=("faulthandler",),
    ),
)


def known_library(
    path: str | None, thread: str, is_loaded: Callable[[str], bool] = lambda pattern: False
) -> NativeLibrary | None:
    """The entry for a thread of this name that the library in a file has started.

    :param path: the file; None if it is not known. Then only threads with names of their own are recognized.
    :param is_loaded: whether a library is loaded whose file's name matches a pattern.
    """
    for library in NATIVE_LIBRARIES:
        if path is None:
            fits = library.threads != "*"
        else:
            fits = any(_is_file(path, pattern) for pattern in library.files)
        if fits and fnmatch.fnmatchcase(thread, library.threads):
            if library.beside and not is_loaded(library.beside):
                continue
            return library
    return None


def _is_file(path: str, pattern: str) -> bool:
    if pattern.endswith("/"):
        return f"/{pattern}" in path
    tail = "/".join(path.split("/")[-1 - pattern.count("/") :])
    return fnmatch.fnmatchcase(tail, pattern)
