"""State of a process as a whole that breaks in a fork: CUDA's context, further interpreters."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress

from pytest_procpar.start_method.objects.descriptors import open_files

__all__ = ["Contexts"]


class Contexts:
    """Finds such state, whenever it was made."""

    def begin(self) -> None:
        """Do nothing: state that was there before is unsafe, too."""

    def findings(self) -> Iterator[str]:
        """Yield a reason for each kind."""
        if _uses_cuda():
            yield "CUDA was initialised"
        if _has_interpreters():
            yield "an interpreter was created beside the main one"


def _uses_cuda() -> bool:
    torch = sys.modules.get("torch")
    with suppress(Exception):
        if torch is not None and torch.cuda.is_initialized():
            return True
    return any(target.startswith("/dev/nvidia") for _, target in open_files())


def _has_interpreters() -> bool:
    """Whether there are interpreters besides the main one: a forked process loses them, or crashes."""
    module = sys.modules.get("_interpreters") or sys.modules.get("_xxsubinterpreters")
    with suppress(Exception):
        return module is not None and len(module.list_all()) > 1
    return False
