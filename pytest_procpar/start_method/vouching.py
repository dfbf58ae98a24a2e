"""What the project declares safe (ini option ``procpar_fork_safe``)."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from pathlib import Path

__all__ = ["is_vouched"]


def is_vouched(name: str, vouched: Iterable[str], root: Path) -> bool:
    """Whether the project declares something safe: by its name or, for a file, its path."""
    path = Path(name)
    names = {name, path.name}
    if path.is_relative_to(root):
        names.add(path.relative_to(root).as_posix())
    return any(fnmatch.fnmatch(n, pattern) for n in names for pattern in vouched)
