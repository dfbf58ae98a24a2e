"""The event loops of gevent and eventlet: after a fork each process must have its own.

Otherwise both would share one epoll descriptor, and each would change what the other waits for. gevent's
own `os.fork` takes care of that; ours bypasses it. Written against gevent 26.9 and eventlet 0.41.
"""

from __future__ import annotations

import sys
from contextlib import suppress

__all__ = ["renew_loops"]


def renew_loops() -> None:
    """Make new loops in this process, which has just been forked, if one of the libraries is loaded."""
    gevent = sys.modules.get("gevent")
    if gevent is not None:
        with suppress(AttributeError):  # it is being imported
            gevent.reinit()
    hubs = sys.modules.get("eventlet.hubs")
    if hubs is not None and hasattr(getattr(hubs, "_threadlocal", None), "hub"):
        hubs.use_hub(hubs._threadlocal.hub.__class__)
