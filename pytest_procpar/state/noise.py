"""What changes while any test runs, and is no state that could affect another test.

Decides by names only; values are not looked at.
"""

from __future__ import annotations

from typing import Final

__all__ = ["is_framework", "is_noise"]

#: Packages whose state belongs to what runs the tests.
_FRAMEWORK: Final = frozenset(
    {
        *("pytest", "_pytest", "pluggy", "pytest_procpar", "xdist", "execnet", "py", "iniconfig"),
        *("coverage", "pytest_cov", "hypothesis", "_hypothesis_pytestplugin", "_hypothesis_ftz_detector"),
        *("faulthandler", "linecache", "tokenize", "traceback", "pdb", "bdb", "cProfile", "profile"),
        *("__mp_main__", "_frozen_importlib", "_frozen_importlib_external", "zipimport", "pkgutil"),
        # These hold only caches of what they were asked before.
        *("sre_compile", "sre_parse", "re", "_strptime", "typing", "typing_extensions", "inspect"),
    }
)
#: Attributes, on any object, that the interpreter, the import system or a test framework writes.
_ANYWHERE: Final = frozenset(
    {
        *("__warningregistry__", "__annotations__", "__annotations_cache__", "__annotate__", "__cached__"),
        *("__annotate_func__", "__builtins__", "__doc__", "__dict__", "__weakref__", "__file__"),
        *("__firstlineno__", "__static_attributes__", "__parameters__", "__subclasshook__", "__slotnames__"),
        *("_abc_cache", "_abc_registry", "_abc_negative_cache", "_abc_negative_cache_version", "_abc_impl"),
        *(
            "_class_cleanups",
            "_classSetupFailed",
            "tearDown_exceptions",
            "__unittest_skip__",
            "__unittest_skip_why__",
        ),
        *("_value2member_map_", "_unhashable_values_", "_unhashable_values_map_", "__dataclass_fields__"),
        *("_hypothesis_internal_settings_applied", "is_hypothesis_test"),
    }
)
#: Attributes of particular modules.
_PLACES: Final = frozenset(
    {
        *(("sys", name) for name in ("last_type", "last_value", "last_traceback", "last_exc", "modules")),
        *(("sys", name) for name in ("path_importer_cache", "ps1", "ps2", "exc_clear", "_xoptions")),
        *(("sys", name) for name in ("_git", "_jit", "monitoring")),
        *(("builtins", name) for name in ("_", "__debug__")),
        *(("time", name) for name in ("tzname", "timezone", "altzone", "daylight")),
        *(("threading", name) for name in ("_active", "_limbo", "_dangling", "_shutdown_locks")),
        *(("threading", name) for name in ("_shutdown_locks_lock", "_counter", "_main_thread")),
        *(("threading", name) for name in ("_active_limbo_lock", "_start_joinable_thread")),
        *(("tempfile", name) for name in ("_name_sequence", "_once_lock")),
        *(("logging", name) for name in ("_handlers", "_handlerList", "_at_fork_reinit_lock_weakset")),
        *(("warnings", name) for name in ("_filters_version", "_filters_mutated", "_warnings_context")),
        *(("_warnings", name) for name in ("filters", "_onceregistry")),
        ("sqlite3", "dump"),  # imported by `iterdump`
        *(("os", name) for name in ("environ", "environb")),
        *(("posix", name) for name in ("environ",)),
        *(("signal", name) for name in ("default_int_handler",)),
        *(("subprocess", name) for name in ("_active", "_cleanup")),
        *(("weakref", name) for name in ("finalize",)),
        *(("encodings", name) for name in ("_cache",)),
        *(("abc", name) for name in ("_abc_invalidation_counter",)),
        *(("contextlib", name) for name in ("_counter",)),
        *(("random", name) for name in ("_inst",)),
        *((place, "_rand") for place in ("numpy.random", "numpy.random.mtrand")),
        *(("ctypes", name) for name in ("_c_functype_cache", "_win_functype_cache", "_pointer_type_cache")),
        *(("copyreg", name) for name in ("_extension_cache",)),
        *(("fnmatch", name) for name in ("_compile_pattern",)),
        *(("multiprocessing.process", name) for name in ("_current_process", "_process_counter")),
        *(("multiprocessing.process", name) for name in ("_children", "_dangling")),
        *(("multiprocessing.util", name) for name in ("_afterfork_counter", "_afterfork_registry")),
        *(("concurrent.futures.thread", name) for name in ("_threads_queues", "_global_shutdown_lock")),
        *(("asyncio.tasks", name) for name in ("_task_name_counter", "_all_tasks", "_scheduled_tasks")),
        *(("asyncio.tasks", name) for name in ("_eager_tasks", "_current_tasks")),
        *(("asyncio.coroutines", name) for name in ("_iscoroutine_typecache",)),
        *(("email._policybase", name) for name in ("_parameterized_cache",)),
    }
)
#: Environment variables that the run itself sets.
_ENVIRONMENT: Final = frozenset({"PYTEST_CURRENT_TEST", "COLUMNS", "LINES"})
_IGNORED_STARTS: Final = ("@py", "@pytest", "_hypothesis", "__pytest", "_pytest", "xunit_setup")


def is_framework(module: object) -> bool:
    """Whether a module, by its name, belongs to what runs the tests."""
    return isinstance(module, str) and module.partition(".")[0] in _FRAMEWORK


def is_noise(place: str, key: object) -> bool:
    """Whether an attribute of `place` (a module, a class, ``os.environ``) changes by itself."""
    if not isinstance(key, str):
        return False
    if place == "os.environ":
        return key in _ENVIRONMENT
    return key in _ANYWHERE or (place, key) in _PLACES or key.startswith(_IGNORED_STARTS)
