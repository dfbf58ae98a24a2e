"""How this run was started, and how to start another one that behaves alike but leaves nothing behind.

Written against the private parsers of pytest 8.2 to 9.2.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_procpar.compat.foreign_options import added_arguments, random_seed

__all__ = [
    "configured_options", "given_options", "given_paths", "inert_arguments", "inert_words",
    "kept_options", "known_options", "neutral_options", "orders_by_chance", "program", "replay_folder",
    "same_arguments", "stops_early_anyway", "wants_workers_anyway", "writing_options",
]  # fmt: skip

#: Options that say which tests run, in which order and where, how much is shown, and when to stop.
_DROPPED = frozenset((
    "numprocesses", "dist", "distload", "maxprocesses", "maxworkerrestart", "maxschedchunk", "tx",
    "loadscopereorder", "testrunuid", "recheck", "recheck_order", "recheck_budget", "recheck_tests",
    "recheck_explain", "recheck_suggest", "recheck_cleaners", "recheck_strict", "procpar_report",
    "procpar_history_tool", "procpar_replay", "isolate", "max_tests_per_worker", "hang_timeout", "leaks",
    "maxfail", "lf",
    "failedfirst", "newfirst", "stepwise", "stepwise_skip", "stepwise_reset", "last_failed_no_failures",
    "usepdb", "trace", "verbose", "quiet", "durations", "durations_min", "reportchars", "tbstyle", "color",
    "basetemp", "cacheclear", "no_header", "no_summary", "showlocals", "collectonly", "deselect", "ignore",
    "ignore_glob", "pastebin", "continue_on_collection_errors", "randomly_seed", "force_short_summary",
    "code_highlight", "fold_skipped", "failure_output",
))  # fmt: skip
#: Options that write files or send something, judged by their names.
_WRITES = re.compile(
    r"--(no-)?(cov|html|self-contained|css|junit|report|json|allure|clean-allure|log-file|result|output|profile|"
    r"benchmark|memray|metadata|csv|tap|ctrf|md|excel|splunk|picked|store-durations|durations-path|"
    r"inline-snapshot|snapshot-update|force-regen|regen-all|regtest-reset|insta|image-snapshot-update|"
    r"mpl-generate|testmon|rp-|teamcity|ddtrace|export-traces|logfire)"
)
#: Options that a process that runs tests again must not get: for workers, debuggers, pytest's own files.
_NOT_AGAIN = frozenset((
    "numprocesses", "dist", "distload", "maxprocesses", "maxworkerrestart", "maxschedchunk", "tx",
    "looponfail", "loadscopereorder", "testrunuid", "recheck", "recheck_order", "recheck_budget",
    "recheck_tests", "recheck_explain", "recheck_suggest", "recheck_cleaners", "recheck_strict",
    "procpar_report", "procpar_history_tool", "procpar_try", "procpar_try_report", "isolate",
    "max_tests_per_worker", "hang_timeout", "leaks", "usepdb", "trace", "basetemp", "cacheclear", "pastebin",
    "debug", "collectonly",
))  # fmt: skip
#: Options of `_NOT_AGAIN` that write a file or send something, and those that ask for workers.
_WRITTEN = frozenset(("procpar_report", "procpar_history_tool", "recheck_suggest", "pastebin", "debug"))
_OF_WORKERS = frozenset(("numprocesses", "dist", "distload", "maxprocesses", "tx"))
#: Plugins that an editor adds. A command in a shell does not find them.
_EDITORS = frozenset(("vscode_pytest",))
_ASKS_FOR_WORKERS = re.compile(r"-n|--numprocesses|--tx|--isolate|--forked|--max-tests|--recheck")
_ENDS_EARLY = re.compile(r"-[a-z]*x|--exitfirst|--maxfail")


#: Options that select or order tests by what earlier runs left in the cache, and the plugin of pytest that
#: implements each, by the name under which it is registered.
_BY_THE_CACHE = {
    "lf": "lfplugin", "failedfirst": "lfplugin", "newfirst": "nfplugin", "stepwise": "stepwiseplugin",
    "stepwise_skip": "stepwiseplugin", "stepwise_reset": "stepwiseplugin",
}  # fmt: skip
_BY_CHANCE = re.compile(r"random|shuffle", re.IGNORECASE)


def kept_options(config: pytest.Config) -> list[str]:
    """The options on the command line that change what a test does.

    Paths and nodeids are left out, and so are options that select tests, write files or ask for workers.
    """
    kept: list[str] = []
    for flag, dest, words in _options(_given(config), known_options(config._parser)):
        of_editor = dest == "plugins" and words[-1].removeprefix("-p") in _EDITORS
        if dest not in _DROPPED and not _WRITES.match(flag) and not of_editor:
            kept += words
    seed = random_seed(config)
    if isinstance(seed, int):
        kept.append(f"--randomly-seed={seed}")
    return kept


def same_arguments(config: pytest.Config, own: Sequence[str]) -> list[str]:
    """The arguments of this run with `own` added after the options, before a ``--``."""
    given = _given(config)
    seed = random_seed(config)
    drawn = [f"--randomly-seed={seed}"] if isinstance(seed, int) else []
    end = given.index("--") if "--" in given else len(given)
    return [*given[:end], *drawn, *own, *given[end:]]


def given_paths(config: pytest.Config) -> list[str]:
    """The arguments of this run that are not options: paths and nodeids."""
    given = _words(_given(config), known_options(config._parser))
    return [word for flag, _, words in given if not flag for word in words if word != "--"]


def known_options(parser: pytest.Parser) -> Mapping[str, object]:
    """The options that are known so far, by flag. pytest 8 makes a new parser each time it parses."""
    private: Any = parser
    known = getattr(private, "optparser", None) or private._getparser()
    actions: Mapping[str, object] = known._option_string_actions
    return actions


def inert_arguments(args: Sequence[str], actions: Mapping[str, object]) -> list[str]:
    """The arguments of a run, configured ones included, without those of `_NOT_AGAIN` and `_WRITES`.

    :param args: what pytest is about to parse.
    :param actions: the known options, by flag. Options of conftests are not known yet, and stay.
    """
    return [
        word
        for flag, dest, words in _words(args, actions)
        if flag == "" or _is_inert(flag, dest)
        for word in words
    ]


def given_options(config: pytest.Config) -> list[tuple[str, list[str]]]:
    """The known options on the command line: the destination and the words of each."""
    return [(dest, words) for _, dest, words in _options(_given(config), known_options(config._parser))]


def writing_options(config: pytest.Config) -> list[str]:
    """The options of this run, configured ones included, that write files or send something."""
    options = _options(_configured(config) + _given(config), known_options(config._parser))
    return [" ".join(words) for flag, dest, words in options if _WRITES.match(flag) or dest in _WRITTEN]


def inert_words(
    config: pytest.Config, own: Sequence[str], but: Collection[str] = (), *, configured: bool
) -> list[str]:
    """The arguments for a run like this one that writes nothing and does not ask for workers.

    :param own: what to add after the options of this run and before its other arguments.
    :param but: the destinations of further options to leave out.
    :param configured: whether to include the configured options, too.
    """
    given = (_configured(config) if configured else []) + _given(config)
    options, rest = [], []
    for flag, dest, words in _words(given, known_options(config._parser)):
        if flag == "":
            rest += words
        elif dest not in but and _is_inert(flag, dest):
            options += words
    return [*options, *own, *rest]


def configured_options(config: pytest.Config) -> list[str]:
    """The words of the project's ``addopts``, without those that ask for workers."""
    words = _words(added_arguments(config), known_options(config._parser))
    return [word for _, dest, some in words if dest not in _OF_WORKERS for word in some]


def _is_inert(flag: str, dest: str) -> bool:
    """Whether an option neither writes anything nor asks for workers."""
    return dest not in _NOT_AGAIN and not _WRITES.match(flag)


def _given(config: pytest.Config) -> list[str]:
    """The words of the command line."""
    return [str(arg) for arg in config.invocation_params.args]


def _options(args: Sequence[str], actions: Mapping[str, object]) -> Iterator[tuple[str, str, list[str]]]:
    """The flag, destination and words of each known option, split as argparse splits them."""
    return (option for option in _words(args, actions) if option[0])


def _words(args: Sequence[str], actions: Mapping[str, object]) -> Iterator[tuple[str, str, list[str]]]:
    """As `_options`, with the other words in between. Their flag and destination are empty."""
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--":
            yield "", "", [word, *rest]
            return
        flag, equals, _ = word.partition("=")
        if not word.startswith("--"):
            flag = word[:2]
        action = actions.get(flag) if word.startswith("-") and word != "-" else None
        if action is None:
            yield "", "", [word]
            continue
        words = [word]
        nargs = getattr(action, "nargs", None)
        glued = bool(equals) if word.startswith("--") else len(word) > 2
        if nargs is None and not glued and rest:
            words.append(rest.pop(0))
        elif nargs is not None and not word.startswith("--") and len(word) > 2:
            rest.insert(0, f"-{word[2:]}")  # several short options in one word
            words = [flag]
        elif isinstance(nargs, int) and not glued:
            words += rest[:nargs]
            del rest[:nargs]
        elif nargs == "?" and not glued and rest and not rest[0].startswith("-"):
            words.append(rest.pop(0))
        while nargs in ("*", "+") and not glued and rest and not rest[0].startswith("-"):
            words.append(rest.pop(0))
        yield flag, str(getattr(action, "dest", "")), words


def wants_workers_anyway(config: pytest.Config) -> bool:
    """Whether the project's configuration or the environment asks for workers."""
    return any(_ASKS_FOR_WORKERS.match(word) for word in _configured(config))


def stops_early_anyway(config: pytest.Config) -> bool:
    """Whether the project's configuration or the environment makes a run stop at its first failures."""
    return any(_ENDS_EARLY.match(word) for word in _configured(config))


def neutral_options(config: pytest.Config) -> list[str]:
    """What keeps the project's configuration, or the environment, from selecting or ordering by the cache.

    What they select by names and marks is the same in every run. What they select by the cache is not:
    ``--lf`` leaves out a polluter that passed. Such an option cannot be taken back, but the plugin that
    implements it can be blocked.
    """
    wanted = [dest for _, dest, _ in _options(_configured(config), known_options(config._parser))]
    blocked = dict.fromkeys(_BY_THE_CACHE[dest] for dest in wanted if dest in _BY_THE_CACHE)
    return [word for plugin in blocked for word in ("-p", f"no:{plugin}")]


def orders_by_chance(config: pytest.Config) -> bool:
    """Whether there is a plugin that, judging by its name, shuffles the tests in each run."""
    impls = config.hook.pytest_collection_modifyitems.get_hookimpls()
    return any(_BY_CHANCE.search(getattr(impl.function, "__module__", "")) for impl in impls)


def _configured(config: pytest.Config) -> list[str]:
    """The words that pytest puts before those of every command line."""
    words = shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))
    return words + added_arguments(config)


def replay_folder(config: pytest.Config) -> Path | None:
    """The folder in pytest's cache for files that the user can give to ``--replay``; None if there is none.

    :raises OSError: if the folder cannot be made.
    """
    cache = getattr(config, "cache", None)
    return None if cache is None else Path(cache.mkdir("procpar"))


def program() -> list[str]:
    """The words that start pytest as it was started here."""
    script = Path(sys.argv[0])
    if script.name in ("pytest", "py.test") and script.is_file():
        return [sys.executable, str(script)]
    return [sys.executable, "-m", "pytest"]
