"""What is used of Coverage's objects, most of it private: for type checkers only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

__all__ = ["Collector", "Data", "Instance", "Lines"]

#: Line numbers, or pairs of them where branches are measured; the C tracer packs a pair into one number.
Lines: TypeAlias = "set[int | tuple[int, int]]"


class Data(Protocol):
    """A `CoverageData`."""

    _filename: str
    _have_used: bool
    _no_disk: bool
    _our_suffix: bool
    _pid: int
    _suffix: str | bool | None

    def __init__(self, basename: str, suffix: str | None = None) -> None: ...

    def _choose_filename(self) -> None: ...

    def _reset(self) -> None: ...

    def add_arcs(self, arcs: Mapping[str, Lines], /) -> None:
        """Add pairs of lines, by file."""

    def add_file_tracers(self, tracers: Mapping[str, str], /) -> None:
        """Add the plugins that trace files."""

    def add_lines(self, lines: Mapping[str, Lines], /) -> None:
        """Add lines, by file."""

    def base_filename(self) -> str:
        """The path without a suffix."""

    def close(self, force: bool = False) -> None:
        """Close the file."""

    def data_filename(self) -> str:
        """The path."""

    def read(self) -> None:
        """Read the file."""

    def set_context(self, context: str | None, /) -> None:
        """Let what is added belong to a context."""

    def update(self, other: Data, /) -> None:
        """Add all that the other has."""


class _Core(Protocol):
    packed_arcs: bool


class _Covdata(Protocol):
    _current_context: str | None


class Collector(Protocol):
    """A `coverage.collector.Collector`."""

    branch: bool
    core: _Core
    covdata: _Covdata
    data: dict[str, Lines]
    file_tracers: dict[str, str]
    pid: int
    should_start_context: Callable[..., object] | None
    static_context: str | None

    def cached_mapped_file(self, name: str, /) -> str:
        """The name under which a file is saved."""

    def flush_data(self) -> bool:
        """Save what was measured since the last time."""

    def mapped_file_dict(self, lines: Mapping[str, Lines], /) -> dict[str, Lines]:
        """The same with the names under which files are saved."""


class _InOrOut(Protocol):
    source_pkgs_unmatched: list[str]


class _Config(Protocol):
    sigterm: bool


class Instance(Protocol):
    """A `Coverage`: a measurement."""

    _collector: Collector
    _data: Data
    _inorout: _InOrOut
    _warn_no_data: bool
    _warn_unimported_source: bool
    config: _Config

    def _on_sigterm(self, signum: int, frame: object, /) -> object: ...

    def get_data(self) -> Data:
        """What was measured."""
