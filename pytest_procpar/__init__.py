"""Parallel test execution for pytest on forked workers.

PYTEST_DONT_REWRITE: a spawned worker has imported this package before pytest reads its configuration, which
would be a warning, and an error where warnings are.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
