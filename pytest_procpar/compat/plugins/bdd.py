"""Carries what plugins keep beside a report, where it would not travel, inside the report's data."""

from __future__ import annotations

import sys
from collections.abc import Generator
from types import ModuleType
from typing import TypeAlias

import pytest

from pytest_procpar.core.model import ReportData

__all__ = ["install"]

_BDD = "pytest_bdd.reporting"
_KEY = "procpar_bdd"
_Data: TypeAlias = "ReportData | None"


def install(config: pytest.Config) -> None:
    """In a controller or a worker, register what carries data for the plugins that are loaded."""
    if hasattr(sys.modules.get(_BDD), "test_report_context_registry"):
        config.pluginmanager.register(_Scenarios(sys.modules[_BDD]), "procpar-bdd")


class _Scenarios:
    """What pytest-bdd 8 and 9 say of a test in ``--cucumber-json``, which is an empty list otherwise.

    Up to pytest-bdd 7 it was an attribute of the report, and travelled with it.
    """

    def __init__(self, module: ModuleType) -> None:
        self._contexts = module.test_report_context_registry
        self._make = module.ReportContext

    @pytest.hookimpl(wrapper=True)
    def pytest_report_to_serializable(self, report: object) -> Generator[None, _Data, _Data]:
        """Add the scenario to the report's data."""
        data = yield
        context = self._contexts.get(report)
        if data is not None and context is not None:
            data[_KEY] = vars(context)
        return data

    @pytest.hookimpl(wrapper=True)
    def pytest_report_from_serializable(self, data: ReportData) -> Generator[None, object, object]:
        """Keep the scenario beside the report again."""
        context = data.pop(_KEY, None)
        report = yield
        if isinstance(context, dict) and report is not None:
            self._contexts[report] = self._make(**context)
        return report
