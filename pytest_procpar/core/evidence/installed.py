"""Whether a file belongs to an installed distribution, by the folder that it lies in."""

from __future__ import annotations

__all__ = ["INSTALLED", "is_installed"]

#: The folders that distributions are installed into; the second one is Debian's.
INSTALLED = ("site-packages", "dist-packages")


def is_installed(file: str) -> bool:
    """Whether one of these folders is in its path."""
    return any(folder in file for folder in INSTALLED)
