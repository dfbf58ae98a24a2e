"""Whether a text holds a moment in time, finer than a second, as names do that are meant to be unique."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from itertools import chain, product

__all__ = ["holds_moment"]

#: Seconds since the epoch in ten digits, and their fraction, perhaps without a point.
_SINCE_EPOCH = re.compile(r"(?<!\d)(\d{10})[._-]?(\d{3,9})(?!\d)")
#: Milliseconds, microseconds or nanoseconds since the epoch in hexadecimal digits, and how many are a second,
#: by the number of digits.
_HEXADECIMAL = re.compile(
    r"(?<![0-9a-z])(?:[0-9a-f]{11}|[0-9a-f]{13}|[0-9a-f]{15,16})(?![0-9a-z])", re.IGNORECASE
)
_IN_A_SECOND = {11: 1e3, 13: 1e6, 15: 1e9, 16: 1e9}
#: What ``%Y%m%d%H%M%S%f`` makes, with separators that may be in file names between the parts.
_DATE = re.compile(
    r"(?<!\d)(\d{4})[-_.]?(\d\d)[-_.]?(\d\d)[-_.T]?(\d\d)[-_.]?(\d\d)[-_.]?(\d\d)[-_.]?(\d{3,6})(?!\d)"
)
#: What ``%H%M%S%f`` makes, perhaps after ``%y%m%d``, and ``%M%S%f``.
_TIME_OF_DAY = re.compile(
    r"(?<!\d)(?:\d\d[-_.]?\d\d[-_.]?\d\d[-_.T]?)?"
    r"(\d\d)[-_.]?(\d\d)[-_.]?(\d\d)[-_.]?(\d{6})(?!\d)"
)
_TIME_OF_HOUR = re.compile(r"(?<!\d)(\d\d)(\d\d)(\d{6})(?!\d)")
#: A text that is only a number: it tells when something was, not what it is called.
_NUMBER = re.compile(r"\d+\.\d+")
#: How much earlier than it was a moment may be written down, in seconds: fractions are rounded.
_ROUNDED = 0.001


def holds_moment(text: str, since: float, until: float) -> bool:
    """Whether a text holds a moment between these two, in seconds since the epoch, and is not only a number.

    A time written for people, with colons or blanks, is not a name.
    """
    if _NUMBER.fullmatch(text):
        return False
    moments = chain(_moments(text), _times(text, since, until))
    return any(since - _ROUNDED <= moment <= until for moment in moments)


def _moments(text: str) -> Iterator[float]:
    for seconds, fraction in _SINCE_EPOCH.findall(text):
        yield float(f"{seconds}.{fraction}")
    for digits in _HEXADECIMAL.findall(text):
        yield int(digits, 16) / _IN_A_SECOND[len(digits)]
    for *parts, fraction in _DATE.findall(text):
        with suppress(ValueError, OverflowError, OSError):  # there is no such day or time
            year, month, day, hour, minute, second = map(int, parts)
            moment = datetime(year, month, day, hour, minute, second, int(fraction.ljust(6, "0")))
            yield moment.timestamp()
            yield moment.replace(tzinfo=timezone.utc).timestamp()


def _times(text: str, *near: float) -> Iterator[float]:
    """The moments that times without a date may be, on these days and in these hours."""
    days = _TIME_OF_DAY.findall(text)
    hours = _TIME_OF_HOUR.findall(text)
    if not days and not hours:
        return
    for at, zone in product(near, (None, timezone.utc)):
        around = datetime.fromtimestamp(at, zone)
        times = [*days, *((around.hour, *parts) for parts in hours)]
        for hour, minute, second, fraction in (map(int, parts) for parts in times):
            with suppress(ValueError, OverflowError, OSError):
                yield around.replace(
                    hour=hour, minute=minute, second=second, microsecond=fraction
                ).timestamp()
