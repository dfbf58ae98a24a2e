"""What counts of an output, and how two differ. Pure: texts in, texts out."""

from __future__ import annotations

import difflib
import re

from benchmarks.compatibility.cases import Output

__all__ = ["difference", "view"]

_SHOWN = 60  # lines of a difference
#: What no two runs have in common, or what only says that there are workers.
_ALWAYS = ((r"\x1b\[[0-9;]*m", ""), (r"0x[0-9a-f]{6,}", "0xADDRESS"))


def view(output: Output, text: str, folder: str) -> list[str]:
    """The lines of ``text`` that count, without what may differ; ``folder`` is where the suite has run.

    A line of which a replacement leaves nothing does not count.
    """
    text = text.replace(folder, "<folder>")
    lines = [line.rstrip() for line in text.splitlines()]
    if output.keep:
        lines = [line for line in lines if re.search(output.keep, line)]
    for pattern, by in (*_ALWAYS, *output.replace):
        lines = [changed for line in lines if (changed := re.sub(pattern, by, line)) or not line]
    if output.by:
        return sorted(lines, key=lambda line: _found(output.by, line))
    return sorted(lines) if output.sort else lines


def _found(pattern: str, line: str) -> str:
    found = re.search(pattern, line)
    return found[0] if found else ""


def difference(plain: list[str], parallel: list[str]) -> str:
    """A unified diff; empty if there is none."""
    lines = list(difflib.unified_diff(plain, parallel, "plain", "parallel", lineterm="", n=1))
    if len(lines) > _SHOWN:
        lines[_SHOWN:] = [f"and {len(lines) - _SHOWN} lines more"]
    return "\n".join(lines)
