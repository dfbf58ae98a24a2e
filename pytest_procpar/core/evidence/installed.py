"""Whether a file belongs to an installed distribution, judged by its folder."""

from __future__ import annotations

__all__ = ["INSTALLED", "is_installed"]

#: The folders into which distributions are installed; the second one is Debian's.
INSTALLED = ("site-packages", "dist-packages")


def is_installed(file: str) -> bool:
    """Whether one of these folders is in the file's path."""
    return any(folder in file for folder in INSTALLED)
