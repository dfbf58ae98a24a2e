"""Puts together what limits the number of workers, and says in a few words which limit counts."""

from __future__ import annotations

from pytest_procpar.core.record import changed, record

__all__ = ["Limits", "number_of", "reason_of", "size_to_expect"]

#: What a worker takes beyond what it shares, in bytes, if no earlier run has measured it: at least this, and
#: this part of the process that it is forked from.
_LEAST_SIZE, _COPIED = 32 << 20, 4


@record
class Limits:
    """What limits the number of workers; None: it does not.

    ``wanted`` is how many there may be at most. With ``worth`` the run is about as fast as with any number.
    ``fitting`` fit into memory. ``share`` is what the other runs of the machine leave, and ``runs`` is their
    number.
    """

    wanted: int
    worth: int | None = None
    fitting: int | None = None
    share: int | None = None
    runs: int = 0


def number_of(limits: Limits) -> int:
    """How many workers to start: at least one."""
    some = (limits.wanted, limits.worth, limits.fitting, limits.share)
    return max(1, min(limit for limit in some if limit is not None))


def reason_of(limits: Limits, processors: int) -> str:
    """Why there are fewer workers than processors, in a few words; empty if there are not, or tests are few.

    :param processors: how many workers there would be without any limit.
    """
    number = number_of(limits)
    if number >= min(limits.wanted, processors):
        return ""
    own = number_of(changed(limits, share=None))
    if limits.share is not None and limits.share < own:
        runs = f"{limits.runs} other run" + ("" if limits.runs == 1 else "s")
        why = f"shared with {runs}"
    elif limits.fitting is not None and number >= limits.fitting and number != limits.worth:
        why = "memory for more is not left"
    else:
        why = "more would gain nothing"
    return f"of {processors} processors: {why}"


def size_to_expect(measured: int, parent: int) -> int:
    """How many bytes a worker is going to take beyond what it shares with the process that it is forked from.

    :param measured: what one took in an earlier run; 0: unknown.
    :param parent: what that process takes.
    """
    return measured or max(_LEAST_SIZE, parent // _COPIED)
