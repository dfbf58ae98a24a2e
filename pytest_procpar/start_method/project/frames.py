"""Tells whose code a frame runs, by the name of its module."""

from __future__ import annotations

from types import FrameType

__all__ = ["module_of", "package_of"]


def module_of(frame: FrameType) -> str:
    """The module; "" for code without one."""
    return str(frame.f_globals.get("__name__", ""))


def package_of(frame: FrameType) -> str:
    """The top package of the module."""
    return module_of(frame).partition(".")[0]
