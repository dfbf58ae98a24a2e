"""What the values of options mean, each in a function that refuses what it does not understand."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_procpar.core.survey.orders import SuiteOrder

__all__ = [
    "checked", "is_remote", "local_workers", "parse_count", "parse_history", "parse_leaks",
    "parse_numprocesses", "parse_recheck_order", "parse_seconds",
]  # fmt: skip


def parse_numprocesses(text: str) -> int | str:
    """The value of ``-n``: ``auto``, ``logical`` or a number from 0 up.

    :raises argparse.ArgumentTypeError: for anything else.
    """
    if text in ("auto", "logical"):
        return text
    return _whole(text, 0, "a whole number from 0 up, 'auto' or 'logical'")


def parse_count(least: int) -> Callable[[str], int]:
    """A parser of option values that are whole numbers from `least` up."""

    def parse(text: str) -> int:
        return _whole(text, least, f"a whole number from {least} up")

    return parse


def parse_seconds(text: str) -> float:
    """A number of seconds from 0 up.

    :raises argparse.ArgumentTypeError: for anything else.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: give a number of seconds from 0 up")
    return seconds


def parse_leaks(text: str) -> str:
    """The value of ``--leaks``: ``report`` or ``fail``.

    :raises argparse.ArgumentTypeError: for anything else, such as the path after a bare ``--leaks``.
    """
    if text not in ("report", "fail"):
        raise argparse.ArgumentTypeError(
            f"invalid value {text!r}: give report or fail; before a path, write --leaks=report {text}"
        )
    return text


def parse_history(text: str) -> str:
    """The value of ``--procpar-history``.

    :raises argparse.ArgumentTypeError: for anything else.
    """
    if text not in ("record", "show", "merge", "prune"):
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: give record, show, merge or prune")
    return text


def parse_recheck_order(text: str) -> SuiteOrder:
    """The value of ``--recheck-order``.

    :raises argparse.ArgumentTypeError: if it names no order.
    """
    from pytest_procpar.core.survey.orders import OrderError, parse_order

    try:
        return parse_order(text)
    except OrderError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _whole(text: str, least: int, allowed: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: give {allowed}")
    return number


def checked(name: str, value: object, least: int) -> int | None:
    """A number that another plugin's option or hook may have given in another form; None stays None.

    :raises pytest.UsageError: if it is not a whole number from `least` up.
    """
    if value is None:
        return None
    try:
        number = int(str(value))
    except ValueError:
        number = least - 1
    if number < least:
        raise pytest.UsageError(f"{name}: invalid value {value!r}: give a whole number from {least} up")
    return number


def is_remote(spec: str) -> bool:
    """Whether a ``--tx`` value asks for anything other than local workers like this process.

    :raises pytest.UsageError: if it is malformed.
    """
    return _parse_tx(spec)[1]


def local_workers(spec: str) -> int:
    """How many workers a ``--tx`` value asks for: ``popen`` or ``N*popen``.

    :raises pytest.UsageError: if it is malformed, or asks for other than local workers.
    """
    count, remote = _parse_tx(spec)
    if remote:
        raise pytest.UsageError(
            f"--tx: {spec!r} asks for more than local workers, which is not supported yet: "
            "give popen or N*popen, such as 4*popen"
        )
    return count


def _parse_tx(spec: str) -> tuple[int, bool]:
    """How many workers a ``--tx`` value asks for, and whether it asks for other than local ones."""
    from pytest_procpar.config.tx_spec import parse_spec  # which a run without --tx need not import

    try:
        count, parts = parse_spec(spec)
    except ValueError as error:
        raise pytest.UsageError(
            f"--tx: malformed value {spec!r} ({error}): give popen or N*popen, such as 4*popen"
        ) from None
    return count, set(parts) != {"popen"}
