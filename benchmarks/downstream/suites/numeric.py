"""Suites of libraries with native threads: BLAS, OpenMP, and pools of their own."""

from __future__ import annotations

from benchmarks.downstream.suites.suite import Suite

__all__ = ["NUMERIC"]

# Threads of OpenMP wait for each other in a loop, which takes processor time from all others.
_WAITING = (("OMP_WAIT_POLICY", "passive"),)
_WAITING_NOTE = (
    "With `OMP_WAIT_POLICY=passive`, since threads that wait in a loop take the processors of all."
)
# TORCH_WARN_ONCE in C++: a test whose warning another test has had passes without it in the same process.
_ONCE = "PyTorch gives some of its warnings once in a process."

NUMERIC = (
    Suite(
        "numpy",
        "2.4.6",
        ("hypothesis==6.170.17",),
        installed=True,
        args=(
            "--pyargs",
            "numpy.fft",
            "numpy.polynomial",
            "numpy.linalg.tests.test_regression",
        ),
        differs="pytest warns of each setup of a fixture of a class, which two workers may share.",
    ),
    Suite(
        "pyarrow",
        "25.0.1",
        ("hypothesis==6.170.17", "pandas==3.1.1", "cffi==2.1.1"),
        args=(
            "--pyargs",
            "pyarrow.tests.test_array",
            "pyarrow.tests.test_compute",
            "pyarrow.tests.test_io",
        ),
        installed=True,
    ),
    Suite("numexpr", "2.14.1", args=("--pyargs", "numexpr"), installed=True),
    Suite(
        "joblib",
        "1.6.0",
        ("numpy==2.4.6", "lz4==4.4.5", "psutil==7.2.2", "threadpoolctl==3.8.0"),
        args=(
            "joblib/test/test_func_inspect.py",
            "joblib/test/test_logger.py",
            "joblib/test/test_memmapping.py",
            "joblib/test/test_disk.py",
        ),
        deselect=(
            (
                "joblib/test/test_memmapping.py::test_child_raises_parent_exits_cleanly",
                "it may fail, as it says",
            ),
        ),
        notes="A module keeps the name of a semaphore, with the pid in it, that nobody uses again.",
    ),
    Suite(
        "einops",
        "0.8.1",
        ("numpy==2.4.6", "torch==2.13.0"),
        args=("einops/tests",),
        environ=(("EINOPS_TEST_BACKENDS", "numpy,torch"),),
    ),
    Suite(
        "sympy",
        "1.14.0",
        ("hypothesis==6.170.17",),
        installed=True,
        args=("--pyargs", "sympy.sets", "sympy.core.tests.test_function"),
    ),
    Suite(
        "scipy",
        "1.17.1",
        ("numpy==2.4.6", "hypothesis==6.170.17", "threadpoolctl==3.8.0"),
        installed=True,
        args=("--pyargs", "scipy.cluster", "scipy.fft", "scipy.spatial.tests.test_kdtree"),
    ),
    Suite(
        "scikit-learn",
        "1.9.1",
        ("numpy==2.4.6", "scipy==1.17.1"),
        installed=True,
        args=(
            "--pyargs",
            "sklearn.cluster.tests.test_k_means",
            "sklearn.cluster.tests.test_dbscan",
            "sklearn.tree.tests.test_export",
            "sklearn.utils.tests.test_extmath",
            "sklearn.utils.tests.test_parallel",
        ),
    ),
    Suite(
        "pandas",
        "3.1.1",
        ("hypothesis==6.170.17", "numpy==2.4.6"),
        installed=True,
        args=(
            "--pyargs",
            "pandas.tests.config",
            "pandas.tests.libs",
            "pandas.tests.io.parser.test_multi_thread",
            "pandas.tests.util",
        ),
    ),
    Suite(
        "numba",
        "0.68.1",
        ("numpy==2.4.6", "cffi==2.1.1"),
        installed=True,
        args=(
            "--pyargs",
            "numba.tests.npyufunc.test_parallel_low_work",
            "numba.tests.test_compiler_lock",
            "numba.tests.test_gil",
            "numba.tests.test_typeof",
            "numba.tests.test_types",
        ),
    ),
    Suite(
        "narwhals",
        "2.29.0",
        (
            "hypothesis==6.170.17",
            "numpy==2.4.6",
            "pandas==3.1.1",
            "polars==2.1.0",
            "pytest-env==1.8.5",
            "pyarrow==25.0.1",
        ),
        args=(
            "--constructors=pandas,polars[eager],polars[lazy]",
            "tests/frame",
            "tests/from_dict_test.py",
            "tests/read_scan_test.py",
            "tests/serde_test.py",
        ),
        notes="With Polars 2.1.0, whose sdist holds no tests.",
    ),
    Suite(
        "skorch",
        "1.4.0",
        (
            "numpy==2.4.6",
            "scipy==1.17.1",
            "scikit-learn==1.9.1",
            "torch==2.13.0",
            "flaky==3.8.1",
            "pandas==3.1.1",
        ),
        args=(
            "-o",
            "addopts=",
            "skorch/tests/callbacks/test_scoring.py",
            "skorch/tests/test_dataset.py",
            "skorch/tests/test_regressor.py",
            "skorch/tests/test_setter.py",
            "skorch/tests/test_toy.py",
            "skorch/tests/test_utils.py",
        ),
        environ=_WAITING,
        varying_warnings=(
            "pytest warns of each setup of a method that is a module's fixture, which two workers may do."
        ),
        notes=_WAITING_NOTE,
    ),
    Suite(
        "gpytorch",
        "1.15.2",
        ("numpy==2.4.6", "scipy==1.17.1", "scikit-learn==1.9.1", "torch==2.13.0"),
        args=(
            "test/constraints",
            "test/distributions",
            "test/functions",
            "test/kernels",
            "test/lazy",
            "test/likelihoods",
            "test/means",
            "test/optim",
            "test/priors",
        ),
        environ=_WAITING,
        varying_warnings=_ONCE,
        notes=_WAITING_NOTE,
    ),
)
