"""How this run was started, and how another one is that has to behave alike but leaves nothing behind.

Written against the private parsers of pytest 8.2 to 9.2.
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

__all__ = [
    "kept_options", "neutral_options", "orders_by_chance", "program", "quiet_options", "replay_folder",
    "stops_early_anyway", "wants_workers_anyway",
]  # fmt: skip

#: What says which tests run in which order and where, how much is shown, and when to stop.
_DROPPED = frozenset((
    "numprocesses", "dist", "distload", "maxprocesses", "maxworkerrestart", "maxschedchunk", "tx",
    "loadscopereorder", "testrunuid", "recheck", "recheck_order", "recheck_budget", "recheck_tests",
    "recheck_explain", "recheck_cleaners", "recheck_strict", "procpar_report", "procpar_replay", "isolate",
    "max_tests_per_worker", "hang_timeout", "leaks", "maxfail", "lf", "failedfirst", "newfirst", "stepwise",
    "stepwise_skip", "stepwise_reset", "last_failed_no_failures", "usepdb", "trace", "verbose", "quiet",
    "durations", "durations_min", "reportchars", "tbstyle", "color", "basetemp", "cacheclear", "no_header",
    "no_summary", "showlocals", "collectonly", "deselect", "ignore", "ignore_glob", "pastebin",
    "continue_on_collection_errors", "force_short_summary", "code_highlight", "fold_skipped",
))  # fmt: skip
#: What writes files, as far as a name can tell.
_WRITES = re.compile(
    r"--(no-)?(cov|html|self-contained|css|junit|report|json|allure|log-file|result|output|profile|benchmark|"
    r"memray|metadata|csv|tap|ctrf|md|excel|splunk|picked|store-durations|durations-path)"
)
_ASKS_FOR_WORKERS = re.compile(r"-n|--numprocesses|--tx|--isolate|--forked|--max-tests|--recheck")
_ENDS_EARLY = re.compile(r"-[a-z]*x|--exitfirst|--maxfail")


#: Which of pytest's own plugins, by the names they are registered under, select or order tests by what
#: earlier runs have left in the cache, and by which options.
_BY_THE_CACHE = {
    "lf": "lfplugin", "failedfirst": "lfplugin", "newfirst": "nfplugin", "stepwise": "stepwiseplugin",
    "stepwise_skip": "stepwiseplugin", "stepwise_reset": "stepwiseplugin",
}  # fmt: skip
_BY_CHANCE = re.compile(r"random|shuffle", re.IGNORECASE)


def kept_options(config: pytest.Config) -> list[str]:
    """The options on the command line that change what a test does: no tests, and nothing that is written."""
    actions = config._parser.optparser._option_string_actions
    kept: list[str] = []
    for flag, dest, words in _options([str(arg) for arg in config.invocation_params.args], actions):
        if dest not in _DROPPED and not _WRITES.match(flag):
            kept += words
    return kept


def _options(args: Sequence[str], actions: Mapping[str, object]) -> Iterator[tuple[str, str, list[str]]]:
    """Flag, destination and words of every option that is known, as argparse takes them."""
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return
        flag, equals, _ = word.partition("=")
        if not word.startswith("-") or word == "-":
            continue
        if not word.startswith("--"):
            flag = word[:2]
        action = actions.get(flag)
        if action is None:
            continue
        words = [word]
        takes = getattr(action, "nargs", None) is None
        glued = bool(equals) if word.startswith("--") else len(word) > 2
        if takes and not glued and rest:
            words.append(rest.pop(0))
        elif not takes and not word.startswith("--") and len(word) > 2:
            rest.insert(0, f"-{word[2:]}")  # a cluster of letters
            words = [flag]
        yield flag, str(getattr(action, "dest", "")), words


def wants_workers_anyway(config: pytest.Config) -> bool:
    """Whether the project's configuration, or the environment, asks for workers."""
    return any(_ASKS_FOR_WORKERS.match(word) for word in _configured(config))


def stops_early_anyway(config: pytest.Config) -> bool:
    """Whether the project's configuration, or the environment, lets a run end with its first failures."""
    return any(_ENDS_EARLY.match(word) for word in _configured(config))


def neutral_options(config: pytest.Config) -> list[str]:
    """What keeps the project's configuration, or the environment, from selecting or ordering by the cache.

    What it selects by names and marks is the same in every run. The cache is not: a polluter that has passed
    is left out by ``--lf``. Such an option cannot be taken back, but the plugin that minds it can be blocked.
    """
    actions = config._parser.optparser._option_string_actions
    wanted = [dest for _, dest, _ in _options(_configured(config), actions)]
    blocked = dict.fromkeys(_BY_THE_CACHE[dest] for dest in wanted if dest in _BY_THE_CACHE)
    return [word for plugin in blocked for word in ("-p", f"no:{plugin}")]


def orders_by_chance(config: pytest.Config) -> bool:
    """Whether a plugin is there that gives tests another order in each run, as far as a name can tell."""
    impls = config.hook.pytest_collection_modifyitems.get_hookimpls()
    return any(_BY_CHANCE.search(getattr(impl.function, "__module__", "")) for impl in impls)


def _configured(config: pytest.Config) -> list[str]:
    """The words that stand before those of every command line."""
    words = shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))
    return words + [str(word) for word in config.getini("addopts")]


def quiet_options(config: pytest.Config, folder: Path) -> list[str]:
    """What keeps a run that is configured alike from writing where this one writes."""
    # Of the folders for temporary files pytest keeps those of the latest three runs: they are the user's.
    quiet = ["-o", f"cache_dir={folder / 'cache'}", f"--basetemp={folder / 'tmp'}"]
    for name, flag in (("xmlpath", "--junitxml"), ("htmlpath", "--html"), ("report_log", "--report-log")):
        if getattr(config.option, name, None):
            quiet.append(f"{flag}={folder / name}")
    logs = config.pluginmanager.hasplugin("logging-plugin")
    if logs and (config.option.log_file or config.getini("log_file")):
        quiet.append(f"--log-file={folder / 'log'}")
    if config.pluginmanager.hasplugin("_cov") and getattr(config.option, "cov_source", None):
        quiet.append("--no-cov")
    return quiet


def replay_folder(config: pytest.Config) -> Path:
    """Where a file for ``--replay`` is kept for the user: in pytest's cache, if there is one."""
    cache = getattr(config, "cache", None)
    if cache is None:
        return Path(tempfile.gettempdir()) / f"procpar-{getpass.getuser()}"
    return Path(cache.mkdir("procpar"))


def program() -> list[str]:
    """The words that start pytest as it was started here."""
    script = Path(sys.argv[0])
    if script.name in ("pytest", "py.test") and script.is_file():
        return [sys.executable, str(script)]
    return [sys.executable, "-m", "pytest"]
