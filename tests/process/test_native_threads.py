"""Native threads are judged by the library that has started them, and said in one line."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest

from pytest_procpar.start_method.project import importers
from pytest_procpar.start_method.project.files import ProjectFiles
from pytest_procpar.start_method.threads import native_pools, native_threads, thread_owners
from pytest_procpar.start_method.threads.native_libraries import NATIVE_LIBRARIES, known_library
from pytest_procpar.start_method.threads.native_threads import NativeThreads
from pytest_procpar.start_method.threads.thread_owners import NativeThread, identify
from tests.conftest import unless_in_one_file

pytestmark = [
    pytest.mark.python_dependent,
    pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="needs /proc"),
]

LIBC = ctypes.CDLL(None)
PACKAGES = "/v/lib/python3/site-packages"
TORCH = f"{PACKAGES}/torch/lib/libgomp.so.1"


class Pool:
    """Threads that Python has not started: each waits in libc for a semaphore of its own."""

    def __init__(self) -> None:
        self._threads: list[tuple[ctypes.c_ulong, ctypes.Array[ctypes.c_char]]] = []

    def start(self) -> int:
        """Start one more, and wait until it waits; return its number."""
        before = set(os.listdir("/proc/self/task"))
        semaphore, ident = ctypes.create_string_buffer(32), ctypes.c_ulong()
        LIBC.sem_init(semaphore, 0, 0)
        routine = ctypes.cast(LIBC.sem_wait, ctypes.c_void_p)
        assert not LIBC.pthread_create(ctypes.byref(ident), None, routine, semaphore)
        self._threads.append((ident, semaphore))
        (tid,) = set(os.listdir("/proc/self/task")) - before
        while not Path(f"/proc/self/task/{tid}/stat").read_text().rpartition(")")[2].startswith(" S"):
            os.sched_yield()
        return int(tid)

    def end(self) -> None:
        """Let them end, and wait for it."""
        for ident, semaphore in self._threads:
            LIBC.sem_post(semaphore)
            LIBC.pthread_join(ident, None)
        self._threads.clear()


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool()
    yield made
    made.end()


@pytest.fixture
def libc_is(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Say that libc is another library, which so has started the threads of `Pool`."""
    read = thread_owners._read

    def say(path: str) -> None:
        def read_maps(file: str) -> str:
            text = read(file)
            return re.sub(r"\S*/libc[.-]\S*", path, text) if file == "/proc/self/maps" else text

        monkeypatch.setattr(thread_owners, "_read", read_maps)

    return say


def reasons(*vouched: str) -> list[str]:
    return list(NativeThreads(vouched).findings())


def test_without_native_threads_nothing_is_said_and_nothing_read(monkeypatch: pytest.MonkeyPatch) -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    monkeypatch.setattr(NativeThreads, "_lasting", lambda self: pytest.fail("looks at them"))
    assert reasons() == []
    end.set()
    thread.join()


@unless_in_one_file
def test_threads_of_nobody_known_are_a_hazard(pool: Pool) -> None:
    name = Path("/proc/self/comm").read_text().strip()
    pool.start()
    pool.start()
    assert reasons() == [f"an unknown library (threads named {name}) has 2 threads, which a fork loses"]
    pool.end()
    assert reasons() == []


@unless_in_one_file
def test_threads_of_nobody_known_that_were_there_are_not(pool: Pool) -> None:
    pool.start()
    detector = NativeThreads()
    detector.begin()
    assert list(detector.findings()) == []
    pool.start()
    (reason,) = detector.findings()
    assert "has 1 thread," in reason


def test_a_library_is_known_by_its_file(pool: Pool, libc_is: Callable[[str], None]) -> None:
    libc_is(f"{PACKAGES}/odd/_pool.cpython-311-x86_64-linux-gnu.so")
    pool.start()
    assert reasons() == ["_pool.cpython-311-x86_64-linux-gnu.so has 1 thread, which a fork loses"]


@pytest.mark.parametrize(
    "path", ["/usr/lib/libopenblas.so.0", f"{PACKAGES}/numpy.libs/libscipy_openblas64_-3.so"]
)
def test_a_library_that_survives_is_no_hazard(pool: Pool, libc_is: Callable[[str], None], path: str) -> None:
    libc_is(path)
    pool.start()
    assert reasons() == []


def test_beside_a_library_that_survives_others_are_a_hazard(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pool.start(), pool.start()
    owners = {first: "/usr/lib/libopenblas.so.0", second: f"{PACKAGES}/jaxlib/libjax_common.so"}
    monkeypatch.setattr(thread_owners, "_owner", lambda tid, *about: owners[tid])
    assert reasons() == ["JAX has 1 thread, which a fork loses"]


def test_a_library_that_does_not_survive_is_a_hazard_whenever_it_was_used(
    pool: Pool, libc_is: Callable[[str], None]
) -> None:
    libc_is("/usr/lib/libgomp.so.1.0.0")
    pool.start()
    detector = NativeThreads()
    detector.begin()
    assert list(detector.findings()) == ["libgomp has 1 thread, which a fork loses"]


def test_the_user_and_the_importer_are_named(
    pool: Pool, libc_is: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    conftest, elsewhere = ModuleType("conftest_1"), ModuleType("elsewhere")
    torch = ModuleType("torch")
    conftest.__file__ = str(tmp_path / "sub" / "conftest.py")
    elsewhere.__file__ = f"{PACKAGES}/elsewhere.py"
    elsewhere.torch = conftest.torch = torch  # type: ignore[attr-defined]
    for module in (torch, elsewhere, conftest):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    libc_is(TORCH)
    pool.start()
    detector = NativeThreads((), files(tmp_path))
    assert list(detector.findings()) == [
        "libgomp (used by torch, imported by sub/conftest.py) has 1 thread, which a fork loses"
    ]


@pytest.mark.parametrize("vouched", ["libgomp", "LIBGOMP", "torch", "lib*", "libgomp.so.1", "native-threads"])
def test_a_library_that_is_vouched_for_is_no_hazard(
    pool: Pool, libc_is: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, vouched: str
) -> None:
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    libc_is(TORCH)
    pool.start()
    assert reasons("polars", "sockets")
    assert reasons("polars", vouched) == []


def test_threads_that_a_mere_import_starts_are_spared(pool: Pool, libc_is: Callable[[str], None]) -> None:
    libc_is(f"{PACKAGES}/onnxruntime/capi/onnxruntime_pybind11_state.cpython-311-x86_64-linux-gnu.so")
    pool.start()
    assert reasons() == []
    pool.start()
    assert reasons() == ["onnxruntime has 1 thread, which a fork loses"]


def test_a_thread_that_is_about_to_end_is_waited_for(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            pool.end()

    monkeypatch.setattr(native_threads, "pause", pause)
    pool.start()
    assert reasons() == []
    assert len(looks) == 3


@unless_in_one_file
def test_whose_a_thread_is_that_computes_is_found_as_well(
    pool: Pool, libc_is: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("its record is known of x86-64 only")
    monkeypatch.setattr(thread_owners, "_stack_pointer", lambda tid: 0)
    libc_is(TORCH)
    tid = pool.start()
    assert identify([tid]) == [NativeThread(tid, Path("/proc/self/comm").read_text().strip(), TORCH)]


def test_of_a_thread_that_has_ended_nothing_is_said(pool: Pool) -> None:
    tid = pool.start()
    pool.end()
    assert identify([tid, 2**22]) == []


# --- where stacks cannot be seen ---


@pytest.fixture
def withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a sandbox."""
    read = thread_owners._read
    monkeypatch.setattr(thread_owners, "_read", lambda path: "" if path.endswith("syscall") else read(path))


@pytest.mark.usefixtures("withheld")
@pytest.mark.parametrize(("size", "hazards"), [(1, 2), (2, 1), (3, 0), (9, 0)])
def test_without_stacks_openblas_is_asked(
    pool: Pool, libc_is: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, size: int, hazards: int
) -> None:
    libc_is("/usr/lib/libopenblas.so.0")
    monkeypatch.setattr(thread_owners, "_pool_size", lambda path: size)
    pool.start()
    pool.start()
    found = reasons()
    assert len(found) == bool(hazards)
    assert all(f"has {hazards} thread" in reason for reason in found)


@pytest.mark.usefixtures("withheld")
def test_without_stacks_and_openblas_threads_are_a_hazard(pool: Pool) -> None:
    pool.start()
    assert len(reasons()) == 1


@pytest.mark.usefixtures("withheld")
def test_without_stacks_threads_with_names_of_their_own_are_known(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tid = pool.start()
    Path(f"/proc/self/task/{tid}/comm").write_text("jemalloc_bg_thd")
    assert reasons() == []
    Path(f"/proc/self/task/{tid}/comm").write_text("ZMQbg/IO/0")
    assert reasons() == ["ZeroMQ (threads named ZMQbg/IO/0) has 1 thread, which a fork loses"]


def test_the_size_of_a_pool_is_asked_of_openblas() -> None:
    numpy = pytest.importorskip("numpy")
    numpy.ones((2, 2)) @ numpy.ones((2, 2))
    with thread_owners._memory() as (memory, _):
        sizes = [thread_owners._pool_size(path) for path in memory.files("lib*openblas*")]
    if not sizes:
        pytest.skip("this numpy has another library")
    assert all(1 <= size <= (os.cpu_count() or 1) for size in sizes)
    assert thread_owners._pool_size("/nowhere/libopenblas.so") == 1


def test_what_is_loaded_is_told_by_the_names_of_files() -> None:
    assert thread_owners.is_loaded("libc[.-]*")
    assert not thread_owners.is_loaded("libc")


# --- real libraries, in processes of their own: a pool stays ---


def said_in_process(code: str) -> str:
    """What is found after this code has run."""
    more = "from pytest_procpar.start_method.threads.native_threads import NativeThreads\n"
    more += "print(*NativeThreads().findings(), sep='\\n', flush=True)\nimport os; os._exit(0)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{more}"], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


GOMP = """\
import ctypes
lib, libc = ctypes.CDLL("libgomp.so.1"), ctypes.CDLL(None)
def use(threads):
    lib.GOMP_parallel(ctypes.cast(libc.getpid, ctypes.c_void_p), None, threads, 0)
"""


def test_libgomp_is_safe_until_it_has_threads() -> None:
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        pytest.skip("needs libgomp")
    assert said_in_process(f"{GOMP}use(1)") == ""
    assert said_in_process(f"{GOMP}use(3)") == "libgomp has 2 threads, which a fork loses"


def test_a_watchdog_of_faulthandler_is_a_hazard_until_it_is_cancelled() -> None:
    watchdog = "import faulthandler\nfaulthandler.dump_traceback_later(1000)\n"
    assert said_in_process(watchdog) == "faulthandler or _thread has 1 thread, which a fork loses"
    assert said_in_process(f"{watchdog}faulthandler.cancel_dump_traceback_later()") == ""


def test_a_thread_of_pythons_own_is_no_native_one() -> None:
    code = "import _thread, sys, time\nlock = _thread.allocate_lock()\nlock.acquire()\n"
    in_python = "_thread.start_new_thread(lambda: lock.acquire(), ())\n"
    wait = "while len(sys._current_frames()) < 2: time.sleep(0.01)\n"
    assert said_in_process(f"{code}{in_python}{wait}") == ""
    in_c = "_thread.start_new_thread(lock.acquire, ())"
    assert said_in_process(f"{code}{in_c}") == "faulthandler or _thread has 1 thread, which a fork loses"


# --- the table ---


@pytest.mark.parametrize(
    ("path", "thread", "name"),
    [
        (TORCH, "python", "libgomp"),
        ("/x/scikit_learn.libs/libgomp-e985bcbb.so.1.0.0", "python", "libgomp"),
        ("/x/libgomposer.so", "python", None),
        ("/x/libgomp.so/odd.so", "python", None),
        ("/x/python3/odd.so", "python", None),
        ("/x/numpy.libs/libscipy_openblas64_-32a4b2a6.so", "pytest", "OpenBLAS"),
        ("/x/_polars_runtime_32/_polars_runtime.abi3.so", "jemalloc_bg_thd", "jemalloc"),
        ("/x/_polars_runtime_32/_polars_runtime.abi3.so", "polars-ooc-clea", "polars' import"),
        ("/x/_polars_runtime_32/_polars_runtime.abi3.so", "polars-3", "polars"),
        ("/x/libarrow.so.2600", "jemalloc_bg_thd", "jemalloc"),
        ("/x/libarrow.so.2600", "python", "Arrow"),
        ("/x/jaxlib/libjax_common.so", "tf_XLAEigen", "JAX"),
        ("/usr/bin/python3.13", "python", "faulthandler or _thread"),
        ("/usr/lib/libpython3.11.so.1.0", "python", "faulthandler or _thread"),
        ("/x/tensorflow/lite/python/interpreter.so", "python", "TensorFlow"),
        ("/x/numexpr/interpreter.cpython-311-x86_64-linux-gnu.so", "python", "numexpr"),
        (None, "python", None),
        (None, "rdk:main", "librdkafka"),
    ],
)
def test_libraries_are_recognised(path: str | None, thread: str, name: str | None) -> None:
    library = known_library(path, thread)
    assert (library.name if library is not None else None) == name


def test_intels_openmp_is_known_by_its_user() -> None:
    path = "/opt/lib/libiomp5.so"
    alone, beside = known_library(path, "python"), known_library(path, "python", lambda p: p == "libmkl_*")
    assert alone is not None
    assert beside is not None
    assert (alone.survives, beside.survives) == (False, True)


def test_each_entry_of_the_table_counts_for_something() -> None:
    assert len({library.name for library in NATIVE_LIBRARIES}) == len(NATIVE_LIBRARIES)
    for library in NATIVE_LIBRARIES:
        path = f"/x/{library.files[0].replace('*', '1')}.so"
        found = known_library(path, library.threads.replace("*", "1"), library.beside.__eq__)
        assert found == library
        assert library.tried
        assert library.note


# --- who has brought a library in ---


def files(root: Path) -> ProjectFiles:
    return ProjectFiles(
        cast(
            "pytest.Config",
            SimpleNamespace(
                rootpath=root,
                invocation_params=SimpleNamespace(dir=root),
                known_args_namespace=SimpleNamespace(confcutdir=None),
                getini=lambda name: [],
            ),
        )
    )


def test_the_packages_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch", "sklearn"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    names = [
        "sklearn/__init__.py",
        "sklearn/x.py",
        "scikit_learn.libs/libgomp.so",
        "scikit_learn-1.dist-info/RECORD",
    ]
    monkeypatch.setattr(
        "importlib.metadata.distribution",
        lambda name: SimpleNamespace(files=[SimpleNamespace(parts=Path(n).parts) for n in names]),
    )
    assert importers.packages(TORCH) == ["torch"]
    assert importers.packages(f"{PACKAGES}/scikit_learn.libs/libgomp-e985.so.1.0.0") == ["sklearn"]
    assert importers.packages(f"{PACKAGES}/unknown/x.so") == []
    assert importers.packages("/usr/lib/libgomp.so.1") == []


@pytest.mark.parametrize("what", ["module", "submodule", "function", "class", "other"])
def test_a_module_imports_a_package_or_from_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str
) -> None:
    def function() -> None: ...

    function.__module__ = "odd_pkg._impl"
    things: dict[str, Any] = {
        "module": ModuleType("odd_pkg"),
        "submodule": ModuleType("odd_pkg.sub"),
        "function": function,
        "class": type("C", (), {"__module__": "odd_pkg._impl"}),
        "other": ModuleType("odd_pkg_other"),
    }
    user = ModuleType("user_of_odd")
    user.__file__ = str(tmp_path / "test_it.py")
    user.thing = things[what]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "user_of_odd", user)
    found = importers.importer(["odd_pkg"], files(tmp_path))
    assert found == (None if what == "other" else "test_it.py")
    assert importers.importer([], files(tmp_path)) is None


def test_a_lazy_module_is_not_loaded_by_being_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Lazy(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            pytest.fail(f"{name} is asked for")

    user = ModuleType("user_of_lazy")
    user.__file__ = str(tmp_path / "test_it.py")
    user.lazy = Lazy("odd_lazy")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "user_of_lazy", user)
    monkeypatch.setitem(sys.modules, "odd_lazy", user.lazy)
    assert importers.importer(["odd_lazy"], files(tmp_path)) == "test_it.py"


def test_a_library_elsewhere_is_its_users_if_there_is_but_one(monkeypatch: pytest.MonkeyPatch) -> None:
    library = known_library("/usr/lib/libgomp.so.1", "python")
    pool = native_pools.Pool(library, "/usr/lib/libgomp.so.1", ())
    for name in ("lightgbm", "numba.np.ufunc.omppool"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert pool.users == []
    monkeypatch.setitem(sys.modules, "lightgbm", ModuleType("lightgbm"))
    assert pool.users == ["lightgbm"]
    monkeypatch.setitem(sys.modules, "numba.np.ufunc.omppool", ModuleType("omppool"))
    assert pool.users == []
