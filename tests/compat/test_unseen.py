"""Reports that nobody reads are made without tracebacks, unless a plugin may look at them."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_procpar.compat.pytest_reports.unseen import leave_out_tracebacks
from tests.compat.configs import made_config


class Deciding:
    """A plugin that may look at a traceback to decide how a test ends."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Any:
        return (yield)


@pytest.mark.parametrize(("plugin", "style"), [(None, "no"), (Deciding(), "auto")])
def test_tracebacks_are_left_out_where_only_pytest_makes_reports(plugin: object, style: str) -> None:
    config = made_config()
    if plugin is not None:
        config.pluginmanager.register(plugin)
    config.option.tbstyle, config.option.fulltrace = "auto", True
    leave_out_tracebacks(config)
    assert config.option.tbstyle == style
    assert config.option.fulltrace == (style == "auto")
