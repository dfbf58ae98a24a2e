"""Loggers as state that tests share: their levels, handlers and filters, and loggers that are new."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

from pytest_procpar.state.namespaces import DICT, Namespace, Origin, dict_of
from pytest_procpar.state.noise import is_framework

__all__ = ["logger_spaces", "_manager", "known_loggers", "new_loggers"]

_OF_A_LOGGER: Final = frozenset({"level", "disabled", "propagate", "handlers", "filters"})


_manager: Final = logging.root.manager


_root: Final = logging.root


_new_logger: Final = logging.Logger


def _named_loggers() -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the name and the values of each logger that code has asked for."""
    for name, logger in [("", _root), *_manager.loggerDict.items()]:
        # A placeholder stands for the parent of a logger, if no code has asked for the parent itself.
        if not is_framework(name) and not isinstance(logger, logging.PlaceHolder):
            values = _dict_of(logger)
            if values is not None:
                yield name, values


def _space_of_logger(name: str, values: dict[str, object], before: dict[str, object]) -> Namespace:
    place = f"logging.getLogger({name!r})" if name else "logging.getLogger()"
    return Namespace(place, values, DICT, Origin.OURS, before, _OF_A_LOGGER)


def _as_new(name: str, values: dict[str, object]) -> dict[str, object]:
    new = vars(_new_logger(name))
    # An empty list counts as unchanged.
    same = {key for key in _OF_A_LOGGER if type(values.get(key)) is list and not values[key]}
    return {key: values[key] if key in same else new[key] for key in _OF_A_LOGGER}


def known_loggers() -> frozenset[str]:
    """The names of the loggers that exist."""
    return frozenset(name for name, _ in _named_loggers())


def new_loggers(known: frozenset[str]) -> list[Namespace]:
    """The loggers that were made since `known`. The values before are those of a new logger."""
    named = [(name, values) for name, values in _named_loggers() if name not in known]
    return [_space_of_logger(name, values, _as_new(name, values)) for name, values in named]


def logger_spaces() -> Iterator[Namespace]:
    """The namespaces of all loggers."""
    for name, values in _named_loggers():
        before = {key: values[key] for key in _OF_A_LOGGER if key in values}
        yield _space_of_logger(name, values, before)
    values = vars(_manager)
    keys = frozenset({"_disable", "loggerClass", "logRecordFactory"})
    yield Namespace(
        "logging.root.manager", values, DICT, Origin.OURS, {key: values[key] for key in keys}, keys
    )


def _dict_of(value: object) -> dict[str, object] | None:
    get = dict_of(type(value))
    return None if get is None else get(value)
