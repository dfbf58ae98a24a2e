"""Forks a run of pytest for each request, so that none has to import pytest again: see `tests/starting.py`.

Its text is what ``python -c`` runs, as that of an ordinary run is. A request is a dict, marshalled. It
imports what ``import pytest`` and pytest's own start import in any run, and nothing else.
"""

import marshal
import os
import signal
import sys

import pytest
from _pytest.config import default_plugins

#: The variable whose value in ``/proc/PID/environ`` tells whose run a process belongs to.
MARKER = b"PROCPAR_END_TO_END="


def serve() -> list[str]:
    """Fork runs until nobody is left to ask for one; return in each of them, with its arguments."""
    answers = int(sys.argv[2])
    requests = open(int(sys.argv[1]), "rb", closefd=False)  # noqa: SIM115
    while True:
        try:
            request = marshal.load(requests)
        except EOFError:
            os._exit(0)
        streams = [os.open(path, mode) for path, mode in request["streams"]]
        told, tell = os.pipe()
        awaited, go = os.pipe()
        between = os.fork()
        if between == 0:
            pid = os.fork()
            if pid == 0:
                os.close(go)
                os.read(awaited, 1)  # until its parent is the one that has asked
                become(request, streams)
                return list(request["args"])
            os.write(tell, pid.to_bytes(4, "little"))
            os._exit(0)
        os.close(tell)
        pid_or_nothing = os.read(told, 4)
        os.waitpid(between, 0)
        os.write(answers, pid_or_nothing or bytes(4))
        for fd in (*streams, told, awaited, go):
            os.close(fd)


def become(request: dict, streams: list[int]) -> None:  # type: ignore[type-arg]
    """Be what a new interpreter would be that was started in this way."""
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
    os.closerange(3, max(streams) + 16)
    if request["group"] is not None:
        os.setpgid(0, request["group"])
    sys.path_importer_cache.pop(os.getcwd(), None)
    os.chdir(request["cwd"])
    environ = request["environ"]
    os.environ.clear()
    os.environ.update(environ)
    mark(environ)
    given = [os.path.abspath(path) for path in environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[1:1] = [path for path in dict.fromkeys(given) if path not in sys.path]
    sys.orig_argv[:] = [sys.executable, *request["flags"], *request["args"]]


def mark(environ: dict) -> None:  # type: ignore[type-arg]
    """Write the mark where others look for it: in the memory that this process was given at its start."""
    with open("/proc/self/stat", "rb") as file:
        begin = int(file.read().rpartition(b")")[2].split()[47])  # env_start
    with open("/proc/self/environ", "rb") as file:
        begin += (b"\0" + file.read()).index(b"\0" + MARKER) + len(MARKER)
    memory = os.open("/proc/self/mem", os.O_WRONLY)
    os.pwrite(memory, os.fsencode(environ[MARKER.decode()[:-1]]), begin)
    os.close(memory)


if __name__ == "__main__":
    for name in default_plugins:
        __import__(f"_pytest.{name}")
    sys.argv[1:] = serve()
    vars(sys.modules["__main__"])["__doc__"] = None
    for name in ("MARKER", "become", "default_plugins", "mark", "marshal", "os", "serve", "name"):
        del globals()[name]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(pytest.main())
