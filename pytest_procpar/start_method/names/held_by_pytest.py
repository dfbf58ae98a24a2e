"""What pytest's objects hold on behalf of the project."""

from __future__ import annotations

import gc
import os
import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

from pytest_procpar.compat.foreign_options import option_values
from pytest_procpar.start_method.project.files import ProjectFiles

if TYPE_CHECKING:
    from pytest_procpar.start_method.names.unique_names import Before

__all__ = ["added"]

#: How many of the items are looked at: what is set on one item is set on all of them, or on the first ones.
_ITEMS = 3


def added(config: pytest.Config, before: Before, project: ProjectFiles) -> Iterator[Mapping[str, object]]:
    """What was put since then into pytest's config, session and module, and the project's plugins."""
    ours = ("workerinput", "workeroutput")
    yield {name: value for name, value in before.attributes_since(config).items() if name not in ours}
    options = option_values(config)
    yield {name: options[name] for name in options if before.options.get(name) is not options[name]}
    session = getattr(config.pluginmanager.getplugin("session"), "__dict__", {})
    items = session.get("items") or []
    for node in (session, *map(vars, items[:_ITEMS])):
        yield {name: value for name, value in node.items() if _is_plain(value)}
    yield {name: value for name, value in vars(pytest).items() if name not in before.public}
    things = (*config.pluginmanager.get_plugins(), *_stashed(config))
    own = [thing for thing in things if _is_plain(thing) or project.has_module(type(thing).__module__)]
    yield {str(number): thing for number, thing in enumerate(own)}


def _is_plain(thing: object) -> bool:
    return isinstance(thing, (str, int, uuid.UUID, os.PathLike))


def _stashed(config: pytest.Config) -> Iterator[object]:
    """What plugins have put into the config's stash."""
    for part in gc.get_referents(config.stash):
        if type(part) is dict:
            yield from part.values()
