"""Parallel test execution for pytest on forked workers.

PYTEST_DONT_REWRITE: a spawned worker imports this package before pytest reads its configuration. Without this
line pytest would warn of that, which is an error where warnings are errors.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
