"""In the first process: puts the data of all together, with what the dead had measured."""

from __future__ import annotations

import glob
import os
import sys
from typing import TYPE_CHECKING, TypeAlias

from pytest_procpar.coverage_data.measuring import LOST, STATE, TOKEN, running_instances, suffix_of
from pytest_procpar.system.calls import getpid

if TYPE_CHECKING:
    import pytest

    from pytest_procpar.coverage_data.private_parts import Data, Instance, Lines

__all__ = ["collect_coverage", "recover_coverage"]

#: What a process has noted: the lines of each file, and the tracers of some.
_Noted: TypeAlias = "tuple[dict[str, Lines], dict[str, str]]"


def recover_coverage() -> None:
    """In the first process, when the others are gone, write out the notes of those that saved nothing."""
    running = running_instances()
    if not STATE.first or STATE.journal is None or not running:
        return
    lost: dict[bytes, list[_Noted]] = {}
    unmatched: list[set[str]] = []
    for process, *noted in STATE.journal.read():
        if len(noted) == 2:
            lost.setdefault(process, []).append((noted[0], noted[1]))
        else:
            lost.pop(process, None)
            unmatched.append(set(noted[0]))
    try:
        _forget_warnings(running[-1], unmatched)
        for parts in lost.values():
            _write_lost(running[-1], parts)
    except Exception as error:
        sys.stderr.write(f"pytest-procpar: coverage data of a dead process is lost: {error!r}\n")


def _forget_warnings(instance: Instance, unmatched: list[set[str]]) -> None:
    """Drop the warnings here of no data, or of an unmeasured package, if another process measured it."""
    if not unmatched:
        return
    inorout = instance._inorout
    inorout.source_pkgs_unmatched = [
        package for package in inorout.source_pkgs_unmatched if all(package in left for left in unmatched)
    ]
    if _files(instance):
        instance._warn_no_data = False


def _write_lost(instance: Instance, parts: list[_Noted]) -> None:
    """Write what a dead process noted to a file like the one that it would have written itself."""
    collector, given = instance._collector, instance._data
    data = type(given)(given.base_filename(), suffix_of(given, getpid(), LOST))
    data.read()
    data.set_context(collector.static_context)
    packed = collector.branch and collector.core.packed_arcs
    for lines, tracers in parts:
        if packed:
            lines = {
                name: {_unpack(line) for line in found if isinstance(line, int)}
                for name, found in lines.items()
            }
        add = data.add_arcs if collector.branch else data.add_lines
        add(collector.mapped_file_dict(lines))
        data.add_file_tracers({collector.cached_mapped_file(name): t for name, t in tracers.items()})
    data.close(force=True)


def _unpack(packed: int) -> tuple[int, int]:
    """The two line numbers that Coverage's C tracer packed into one number (see `CTracer_record_pair`)."""
    first, second = packed & 0xFFFFFFF, packed >> 28 & 0xFFFFFFF
    return -first if packed & 1 << 56 else first, -second if packed & 1 << 57 else second


def _files(instance: Instance) -> list[str]:
    base = glob.escape(instance._data.base_filename())
    return glob.glob(f"{base}.*.X{TOKEN}?x")


def collect_coverage(config: pytest.Config | None = None) -> None:
    """In the first process, at its end, take over the data of the others if one file was asked for.

    If several were asked for, the user or pytest-cov combines them. pytest-cov has done so by now, unless the
    run did not end regularly. Then it leaves nothing.
    """
    if not STATE.first:
        return
    recover_coverage()
    plugin = config.pluginmanager.getplugin("_cov") if config is not None else None
    theirs = getattr(getattr(plugin, "cov_controller", None), "cov", None)
    for instance in running_instances():
        data = getattr(instance, "_data", None)
        if data is None or (getattr(data, "_suffix", True) and instance is not theirs):
            continue
        for path in _files(instance):
            if instance is not theirs:
                _take_over(instance, type(data)(path))
            os.unlink(path)


def _take_over(instance: Instance, other: Data) -> None:
    try:
        other.read()
        instance.get_data().update(other)
        other.close(force=True)
    except Exception as error:  # its process was killed while it was writing
        sys.stderr.write(f"pytest-procpar: coverage data in {other.data_filename()} is lost: {error!r}\n")
