"""What a reader must know of the machine; never its name, its user or its folders."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path


def facts(rounds: int, memory_rounds: int) -> dict[str, str]:
    """Date, processor, Python, system and rounds, ready to print."""
    load = os.getloadavg()[0]
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{len(os.sched_getaffinity(0))} cores, {processor(_cpuinfo())}, "
        f"{platform.system()} {kernel(platform.release())}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "rounds": f"{rounds} timed and {memory_rounds} for memory, after one warm-up; "
        f"load average at the start {load:.1f}",
    }


def processor(cpuinfo: str) -> str:
    """The model in the text of /proc/cpuinfo; some architectures give none."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return " ".join(value.split())
    return platform.machine()


def kernel(release: str) -> str:
    """Major and minor version: a vendor's suffix may tell whose machine it is."""
    return ".".join(release.split(".")[:2])


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
