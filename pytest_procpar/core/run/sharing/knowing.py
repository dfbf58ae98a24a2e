"""What a run is told of its tests beforehand: what they share, and what earlier runs say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_procpar.core.model import RunOptions
from pytest_procpar.core.run.sharing.shelf import GRAIN
from pytest_procpar.core.run.sharing.wide_fixtures import Known, SharedData, WideFixtures

__all__ = ["known_of"]


def known_of(
    shared: SharedData | None,
    durations: Sequence[float | None],
    settings: Mapping[str, float],
    options: RunOptions,
) -> Known | None:
    """What the run is told; None if that would change nothing.

    What each test takes is of use only if some take long: whoever waits takes over what others have not
    begun, so a run is at most one test longer than it has to be.

    :param shared: which tests share which fixtures; None: no tests do, or it does not matter.
    :param durations: how long each test takes without the fixtures that it shares, in seconds; None: unknown.
    :param settings: how long it takes to set up what tests share, in seconds, by the module or class.
    """
    seconds = [duration for duration in durations if duration is not None]
    grain = GRAIN * sum(seconds) / options.workers
    given = tuple(durations) if seconds and (options.dist.grouped or max(seconds) > grain) else None
    if shared is None:
        return None if given is None else Known(durations=given)
    wide = WideFixtures.of(shared)
    return Known(wide, given, _costs(wide, settings))


def _costs(wide: WideFixtures, settings: Mapping[str, float]) -> dict[str, float]:
    """What each fixture costs, by its label: those of one module or class have equal shares of its time."""
    homes = [label.rpartition("::")[0] for label in wide.labels]
    names: dict[str, set[str]] = {}
    for home, name in zip(homes, wide.names, strict=True):
        names.setdefault(home, set()).add(name)
    return {
        label: settings[home] / len(names[home])
        for home, label in zip(homes, wide.labels, strict=True)
        if home in settings
    }
