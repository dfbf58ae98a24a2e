"""Which tests have to stay together under a ``--dist`` mode, read from the collected items."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytest_procpar.core.model import Dist

__all__ = ["grouping_keys"]


def grouping_keys(items: Iterable[pytest.Item], dist: Dist) -> list[str] | None:
    """One key for each item; None where every test is on its own.

    ``loadscope`` groups by class, or by module for functions; ``loadfile`` by file; ``loadgroup`` by the
    names in the ``xdist_group`` marks, with items without a mark on their own; ``stable`` by these names, and
    items without a mark by file, so that no class is divided unless a mark says so. The scope is the parent's
    nodeid: cutting an item's own nodeid at the last ``::`` goes wrong where a parameter contains one.
    """
    if dist is Dist.LOADSCOPE:
        return [item.parent.nodeid if item.parent is not None else item.nodeid for item in items]
    if dist is Dist.LOADFILE:
        return [item.nodeid.split("::", 1)[0] for item in items]
    if dist is Dist.LOADGROUP:
        return [_group(item) or f"\0{index}" for index, item in enumerate(items)]
    if dist is Dist.STABLE:  # a mark's name is no file's
        return [f"\0{group}" if (group := _group(item)) else item.nodeid.split("::", 1)[0] for item in items]
    return None


def _group(item: pytest.Item) -> str | None:
    names = set()
    for mark in item.iter_markers("xdist_group"):
        names.add(str(mark.args[0] if mark.args else mark.kwargs.get("name", "default")))
    return "_".join(sorted(names)) or None
