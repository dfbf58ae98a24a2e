"""The suites of the cases are run by `test_cases.py`, and not collected with the tests."""

from __future__ import annotations

from pathlib import Path


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the folders of cases."""
    return True if (collection_path / "case.toml").is_file() else None
