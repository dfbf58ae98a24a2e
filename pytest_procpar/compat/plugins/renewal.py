"""What an adapter is: what is done in a forked process for one plugin or library."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest

__all__ = ["KEPT", "Adapter"]

#: What was made before the fork and is used by others: were it freed here, it would end their connection.
KEPT: list[object] = []


class Adapter(NamedTuple):
    """What is done for one plugin or library.

    Attributes:
        name: Its distribution's.
        module: A module that is loaded if it is in use.
        renew: Done in a process that was forked; the second argument says whether it is a throw-away one, of
            which nobody may hear.
        sockets: Those that `renew` sees to.
        tells: Whether the plugin reports or records results: then `renew` is also called in a throw-away
            process that was not forked.
    """

    name: str
    module: str
    renew: Callable[[pytest.Config, bool], None]
    sockets: Callable[[pytest.Config], Iterable[Any]] = lambda config: ()
    tells: bool = False
