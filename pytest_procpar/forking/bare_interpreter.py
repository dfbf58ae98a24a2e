"""The command of an interpreter with little in it, which finds our modules where this process does."""

from __future__ import annotations

import json
import sys

__all__ = ["bare_interpreter"]


def bare_interpreter(module: str, *arguments: str) -> list[str]:
    """The command that calls ``main`` of one of our modules, whose arguments are ``sys.argv[2:]``.

    The interpreter ignores site-packages' start-up files and the environment's options.
    """
    bootstrap = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {module} import main; main()"
    path = json.dumps([str(entry) for entry in sys.path])
    return [sys.executable, "-I", "-S", "-c", bootstrap, path, *arguments]
