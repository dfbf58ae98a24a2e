"""The plugin of processes that try a suite: they write nothing of the user's, and it reports the results.

Unlike a process that runs tests again (see `fresh.rerun`), such a process is no worker to plugins: a plain
run stays a plain run. ``PYTEST_PLUGINS`` names this plugin, so that all processes of a run load it, workers
of pytest-xdist and fresh interpreters included. Tests do not see the variable.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest

from pytest_procpar.compat.foreign_options import parse_again, set_basetemp_option, write_no_log_file
from pytest_procpar.compat.pytest_private.session import set_ini
from pytest_procpar.compat.pytest_reports.listeners import silence_tellers
from pytest_procpar.core.record import fields, record
from pytest_procpar.fresh.rerun import ORDER as RERUN
from pytest_procpar.role import role_of
from pytest_procpar.system.kept_files import keep_files

__all__ = ["RecorderSetup", "environment"]

#: The environment variables: the file with the order, and the names of plugins to load.
ORDER = "PROCPAR_TRIED"
_PLUGINS = "PYTEST_PLUGINS"


@record
class RecorderSetup:
    """What a process of a run has to know.

    ``kept`` is the folder for copies of the project's files; ``basetemp`` and ``cache`` replace those of the
    user. ``report`` is the file for the results. ``words`` are its arguments, including configured ones;
    empty if those of its command line apply.
    """

    kept: str
    basetemp: str
    cache: str
    report: str
    words: list[str]


def environment(order: RecorderSetup, path: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a run whose order is in `path`; writes that file.

    :raises OSError: if the file cannot be written.
    """
    path.write_text(json.dumps({name: getattr(order, name) for name in fields(RecorderSetup)}))
    plugins = [*filter(None, [environ.get(_PLUGINS)]), __name__]  # the last one is called first
    # Whatever inline-snapshot changed in a test's source would be put back, but it must not change at all.
    return {
        **environ,
        "INLINE_SNAPSHOT_DEFAULT_FLAGS": "disable",
        ORDER: str(path),
        _PLUGINS: ",".join(plugins),
    }


def _order() -> RecorderSetup | None:
    path = os.environ.get(ORDER)
    return None if path is None else RecorderSetup(**json.loads(Path(path).read_bytes()))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None]:
    """Take the arguments, and copy files before they can change, before the project is imported.

    The arguments are not taken where tests run again: such a process has its own.
    """
    order = _order()
    if order is not None:
        # A process that runs tests again has not taken its role yet: this plugin comes first.
        if order.words and RERUN not in os.environ:
            args[:] = order.words
            parse_again(early_config, parser, args)
        roots = [early_config.rootpath, early_config.invocation_params.dir]
        keep_files(order.kept, roots, [order.basetemp, order.cache, order.report])
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Use none of the user's files."""
    _divert(config)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Install what writes the results, once a run."""
    order = _divert(config)
    if order is not None and role_of(config).is_main:
        from pytest_procpar.json_report.plugin import install

        install(config, order.report)


def _divert(config: pytest.Config) -> RecorderSetup | None:
    order = _order()
    if order is not None:
        if role_of(config).is_main:  # a worker has a folder inside it
            set_basetemp_option(config, order.basetemp)
        write_no_log_file(config)
        set_ini(config, "cache_dir", order.cache)
        set_ini(config, "procpar_history", "off")
        silence_tellers(config)
    return order


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol() -> None:
    """Let tests, and what they start, find no trace of this plugin."""
    if os.environ.pop(ORDER, None) is not None:
        names = os.environ.get(_PLUGINS, "").split(",")
        others = [name for name in names if name and name != __name__]
        os.environ.pop(_PLUGINS, None)
        if others:
            os.environ[_PLUGINS] = ",".join(others)
