"""Coverage's data in a process that ends without a session's end.

Coverage is never imported here: who does not measure does not pay for it.
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["save_coverage"]


def save_coverage() -> None:
    """Write out what this process has measured, if anything measures: by ``coverage run``, pytest-cov, or
    the API.

    See coverage's `control.py`; if its private list of running measurements is gone, nothing is done.
    """
    control = sys.modules.get("coverage.control")
    instances: list[Any] = getattr(getattr(control, "Coverage", None), "_instances", [])
    for instance in reversed(list(instances)):
        instance.stop()
        instance.save()
