"""The form of an adapter: what is done in a forked process for one plugin or library."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from _typeshed import HasFileno

__all__ = ["KEPT", "Adapter"]

#: Objects from before the fork that other processes use: freed here, they would end the others' connection.
KEPT: list[object] = []


class Adapter(NamedTuple):
    """What is done for one plugin or library.

    Attributes:
        name: The name of its distribution.
        module: A module that is loaded if it is in use.
        renew: Called in a process that was forked. The second argument says whether it is a throw-away
            process, of which nobody may hear.
        sockets: The open sockets that `renew` takes care of.
        tells: Whether the plugin reports or records results. If so, `renew` is also called in a throw-away
            process that was not forked.
    """

    name: str
    module: str
    renew: Callable[[pytest.Config, bool], None]
    sockets: Callable[[pytest.Config], Iterable[HasFileno]] = lambda config: ()
    tells: bool = False
