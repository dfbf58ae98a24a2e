"""The options and ini values of pytest and of other plugins: what we read of them, and what we change.

All of it is here, so that a new version of pytest, or of a plugin, has one place to be compared with. An
option is missing if the plugin that defines it is blocked (``-p no:terminal``): each function says what holds
then. Our own options are read in `config.given`, and those that we share with pytest-xdist are told to
plugins in `compat.xdist.options`.
"""

from __future__ import annotations

import argparse
import copy
import os
from contextlib import suppress

import pytest

__all__ = [
    "NO_RUN", "added_arguments", "append_to_log_file", "clears_cache", "collects_only", "confcutdir",
    "copied_options", "debugger", "drop_last_failed", "drop_maxfail", "goes_on_after_collection_errors",
    "has_flag", "hides_output", "is_given", "is_on", "junit_family", "log_file_mode", "makes_junit_xml",
    "maxfail", "measures_coverage", "narrows_collection", "option_values", "parse_again", "place_options",
    "python_path", "random_seed", "runs_last_failed", "runs_no_tests", "set_basetemp_option",
    "set_log_file_mode", "shows_debug_log", "shows_full_trace", "shows_hypothesis_statistics",
    "shows_no_summary", "shows_setups", "tell_internal_error", "traceback_style", "warning_filters",
    "write_no_log_file", "write_no_tracebacks",
]  # fmt: skip

#: Options under which nothing runs in parallel, because no test runs, or none runs to its end.
NO_RUN = (
    "collectonly", "help", "version", "showfixtures", "show_fixtures_per_test", "markers", "cacheshow",
    "setupplan", "setuponly",
)  # fmt: skip

#: Options that leave tests out, or whole files.
_NARROWS = ("lf", "stepwise", "ignore", "ignore_glob", "continue_on_collection_errors", "keyword", "markexpr")


# --- in general ---


def parse_again(early_config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    """Let the options that are known so far be those of `args`, if either has changed since pytest parsed."""
    early_config.known_args_namespace = parser.parse_known_args(args, namespace=copied_options(early_config))


def copied_options(config: pytest.Config) -> argparse.Namespace:
    """A copy of all options, to parse into."""
    return copy.copy(config.option)


def option_values(config: pytest.Config) -> dict[str, object]:
    """The options themselves, whoever has defined them: what is changed here is changed there."""
    return vars(config.option)


def is_given(config: pytest.Config, name: str) -> bool:
    """Whether another plugin's option has a value that counts as true; not if nobody defines it."""
    return bool(getattr(config.option, name, False))


def has_flag(config: pytest.Config, flag: str) -> bool:
    """As `is_given`, by the name that the user gives; its plugin is there."""
    return bool(config.getoption(flag))


def is_on(config: pytest.Config, name: str) -> bool:
    """Whether another plugin is asked for by an option, or by an ini value of the same name."""
    try:
        return is_given(config, name) or bool(config.getini(name))
    except ValueError:  # nobody has defined it
        return False


# --- what runs, and how far ---


def runs_no_tests(config: pytest.Config) -> bool:
    """Whether an option in `NO_RUN` is given."""
    return any(is_given(config, name) for name in NO_RUN)


def collects_only(config: pytest.Config) -> bool:
    """Whether the collection is only shown (``--collect-only``)."""
    return bool(config.option.collectonly)


def debugger(config: pytest.Config) -> str | None:
    """The option that lets pytest debug tests; None if there is none."""
    return next(
        (flag for flag, dest in (("--trace", "trace"), ("--pdb", "usepdb")) if is_given(config, dest)), None
    )


def maxfail(config: pytest.Config) -> int:
    """After how many failures the run stops (``-x``, ``--maxfail``); 0: never."""
    return config.getoption("maxfail", 0) or 0


def drop_maxfail(config: pytest.Config) -> None:
    """Let failures not stop this process, which the re-check has started to fail again."""
    config.option.maxfail = 0


def goes_on_after_collection_errors(config: pytest.Config) -> bool:
    """Whether tests run although others could not be collected."""
    return bool(config.option.continue_on_collection_errors)


def runs_last_failed(config: pytest.Config) -> bool:
    """Whether tests that passed last time are left out (``--lf``); not without pytest's cache plugin."""
    return is_given(config, "lf")


def drop_last_failed(config: pytest.Config) -> None:
    """Leave no test out for that reason."""
    config.option.lf = False


def narrows_collection(config: pytest.Config) -> bool:
    """Whether an option may have left out tests that would be there without it."""
    return any(config.getoption(name, None) for name in _NARROWS)


def random_seed(config: pytest.Config) -> object:
    """The seed of pytest-randomly, which draws it at configure unless it was given; None without it."""
    return getattr(config.option, "randomly_seed", None)


def added_arguments(config: pytest.Config) -> list[str]:
    """The words of the ini value ``addopts``."""
    return [str(word) for word in config.getini("addopts")]


def place_options(config: pytest.Config) -> list[str]:
    """The options on the command line that say where the project and its configuration are."""
    pairs = (("-c", "inifilename"), ("--rootdir", "rootdir"))
    return [
        word
        for flag, dest in pairs
        if is_given(config, dest)
        for word in (flag, str(getattr(config.option, dest)))
    ]


def confcutdir(config: pytest.Config) -> str | None:
    """The folder above which conftests are not looked for, as it is known before any of them is imported."""
    found: str | None = getattr(config.known_args_namespace, "confcutdir", None)
    return found


def python_path(config: pytest.Config) -> list[str]:
    """The folders that the ini value ``pythonpath`` names; none if the plugin that has it is blocked."""
    with suppress(ValueError, KeyError):
        return [os.fspath(folder) for folder in config.getini("pythonpath")]
    return []


def measures_coverage(config: pytest.Config) -> bool:
    """Whether pytest-cov is there, with a version that can add to what was measured."""
    return config.pluginmanager.hasplugin("_cov") and hasattr(config.option, "cov_append")


# --- files ---


def set_basetemp_option(config: pytest.Config, path: str) -> None:
    """Give this process a base temporary folder; before pytest's plugin for that is configured."""
    config.option.basetemp = path


def write_no_log_file(config: pytest.Config) -> None:
    """Leave the user's log file alone, even one that an ini value names; before configure."""
    config.option.log_file = os.devnull


def append_to_log_file(config: pytest.Config) -> str | None:
    """Let the logging plugin not empty the log file at configure; return what the option was."""
    given: str | None = getattr(config.option, "log_file_mode", None)
    config.option.log_file_mode = "a"
    return given


def set_log_file_mode(config: pytest.Config, mode: str | None) -> None:
    """Undo `append_to_log_file`."""
    config.option.log_file_mode = mode


def log_file_mode(config: pytest.Config) -> str:
    """How the log file is opened: an option says so, or an ini value."""
    return config.option.log_file_mode or config.getini("log_file_mode") or "w"


def makes_junit_xml(config: pytest.Config) -> bool:
    """Whether a junit xml is written; not without pytest's plugin for that."""
    return bool(config.getoption("xmlpath", None))


def junit_family(config: pytest.Config) -> str:
    """The schema of the junit xml."""
    return str(config.getini("junit_family"))


def clears_cache(config: pytest.Config) -> bool:
    """Whether pytest's cache is emptied when the run begins; not without its plugin."""
    return bool(config.getoption("cacheclear", False))


# --- what is shown ---


def shows_hypothesis_statistics(config: pytest.Config) -> bool:
    """Whether Hypothesis writes statistics after the tests (``--hypothesis-show-statistics``)."""
    return bool(config.getoption("--hypothesis-show-statistics", False))


def shows_no_summary(config: pytest.Config) -> bool:
    """Whether nothing is to be written after the tests (``--no-summary``); asked if there is a terminal."""
    return bool(config.option.no_summary)


def shows_setups(config: pytest.Config) -> bool:
    """Whether fixtures are shown as they are set up (``--setup-show``), or nothing else happens."""
    return bool(config.getoption("setupshow", False) or config.getoption("setuponly", False))


def shows_full_trace(config: pytest.Config) -> bool:
    """Whether tracebacks have all their frames (``--full-trace``); not without the terminal plugin."""
    return bool(config.getoption("fulltrace", False))


def traceback_style(config: pytest.Config) -> str:
    """How tracebacks are written (``--tb``); without the terminal plugin it is pytest's default."""
    return str(config.getoption("tbstyle", "auto"))


def write_no_tracebacks(config: pytest.Config) -> None:
    """Leave out tracebacks, as ``--tb=no`` does."""
    config.option.tbstyle, config.option.fulltrace = "no", False


def hides_output(config: pytest.Config) -> bool:
    """Whether pytest captures what tests write; not without its plugin for that."""
    return getattr(config.option, "capture", "no") != "no"


def shows_debug_log(config: pytest.Config) -> bool:
    """Whether pytest writes what it does into a file (``--debug``)."""
    return bool(config.option.debug)


def warning_filters(config: pytest.Config) -> tuple[list[str], list[str]]:
    """The filters of the ini value, and those of the command line (``-W``)."""
    return config.getini("filterwarnings"), config.known_args_namespace.pythonwarnings or []


def tell_internal_error(config: pytest.Config) -> None:
    """Report the exception that is being handled as pytest does, which looks at options for that."""
    config.notify_exception(pytest.ExceptionInfo.from_current(), config.option)
