"""What execnet is asked for: the only module that imports it."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["parse_spec"]


def parse_spec(text: str) -> tuple[int, dict[str, Any]]:
    """An execnet specification such as ``4*popen//python=python3``: how many, and its parts.

    :raises ValueError: if it cannot be understood.
    """
    from execnet import XSpec

    match = re.fullmatch(r"(?:(\d+)\*)?(.+)", text)
    if match is None or match[1] == "0":
        raise ValueError("an empty specification")
    try:
        spec = XSpec(match[2])
    except (AttributeError, AssertionError) as error:
        raise ValueError(str(error)) from None
    return int(match[1] or 1), {k: v for k, v in vars(spec).items() if k not in ("_spec", "env", "execmodel")}
