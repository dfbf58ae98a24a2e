"""Asks execnet what a specification means: this is the only module that imports it."""

from __future__ import annotations

import re

__all__ = ["parse_spec"]


def parse_spec(text: str) -> tuple[int, dict[str, object]]:
    """The number and the parts of an execnet specification such as ``4*popen//python=python3``.

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
