"""The machines that the end-to-end tests are tried on: made of this one, for one command.

A machine is a few lines of shell that run before the command, in the same process. ``$PLACE`` is a folder
that every user may read; ``tmp`` and ``out`` in it everybody may write to, ``suite`` only its owner. Whether
a machine can be made here is found out by making it, for a command that does nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

__all__ = ["MACHINES", "Ending", "Machine", "Reader", "Terminal", "unavailable"]

#: A user and group that own nothing. The number has a name nearly everywhere, the other one nowhere.
_NOBODY, _NAMELESS = 65534, 54321
#: The parts of the suite that need room in the temporary folder.
_NEED_ROOM = ("test_talking.py", "test_writing.py")


class Ending(Enum):
    """How a run ends there."""

    #: Every outcome and finding is as everywhere.
    AS_EVERYWHERE = auto()
    #: The same, but no file can be written that a fresh process needs to confirm a finding.
    UNCONFIRMED = auto()
    #: Plain pytest itself gives up there: so does the run, with the same status and without a trace.
    AS_PLAIN_PYTEST = auto()


class Reader(Enum):
    """What reads the output of the run."""

    READS = auto()
    #: Closes its end after the first bytes.
    LEAVES = auto()
    #: Reads nothing until the run waits for it.
    SLEEPS = auto()
    #: Is a terminal, which hangs up while a test runs.
    HANGS_UP = auto()


@dataclass(frozen=True)
class Machine:
    """One of them: what makes it, and what is expected there."""

    name: str
    #: What is different there, for the documentation.
    what: str
    #: Shell, before the command replaces it.
    script: str = ""
    #: What starts the shell.
    prefix: tuple[str, ...] = ()
    environ: dict[str, str | None] = field(default_factory=dict)
    #: Options of the interpreter.
    python: tuple[str, ...] = ()
    ending: Ending = Ending.AS_EVERYWHERE
    reader: Reader = Reader.READS
    #: Files of the suite that cannot pass there with plain pytest either.
    without: tuple[str, ...] = ()
    #: The suite has a test there that allocates for ever.
    greedy: bool = False
    #: The start methods that are tried there.
    methods: tuple[str, ...] = ("fork", "fork-early", "spawn")

    def command(self, *command: str) -> list[str]:
        """What runs a command on that machine."""
        return [*self.prefix, "/bin/sh", "-euc", f'{self.script}\nexec "$@"', "sh", *command]


def _name_space(*options: str) -> tuple[str, ...]:
    """What starts a command in name spaces of its own; where one is not root, as root of one of users."""
    return ("unshare", *([] if os.geteuid() == 0 else ["-r"]), *options)


def _for_all(path: Path) -> bool:
    """Whether every user can reach a folder and read it."""
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in (path, *path.parents))


def _user(number: int) -> tuple[str, ...]:
    """What runs a command as another user.

    The interpreter often lies where only its owner can go: then that user may read and enter every folder.
    That is the least that must be added.
    """
    places = {sys.prefix, sys.base_prefix, os.path.dirname(os.path.realpath(sys.executable))}
    reads: tuple[str, ...] = ()
    if not all(_for_all(Path(place)) for place in places):
        reads = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    return ("setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups", *reads)


def _in_control_group(controller: str, limits: dict[str, str]) -> str:
    """Shell that runs the command in a control group (v1, else v2) with a limit; the group is removed."""
    v1, v2 = f"/sys/fs/cgroup/{controller}", "/sys/fs/cgroup"
    old, new = limits["v1"], limits["v2"]
    return f"""
        if [ -d {v1} ]; then parent={v1} limit={old}; else parent={v2} limit={new}; fi
        group=$parent/procpar-$$
        mkdir "$group"
        trap 'rmdir "$group"' EXIT
        echo {limits["value"]} > "$group/$limit"
        status=0
        sh -euc 'echo $$ > "$0/cgroup.procs"; exec "$@"' "$group" "$@" || status=$?
        exit $status
    """


_MOUNTS = _name_space("--mount")
_ON_TERMINAL = ("setsid", "--ctty")
_CHILD = ("--fork", "--kill-child")
_SMALL_TMPDIR = 'mount -t tmpfs -o size=64k,mode=1777 none "$PLACE/tmp"\n'
_READ_ONLY = """
    mount --bind "$PLACE/suite" "$PLACE/suite"
    mount -o remount,bind,ro "$PLACE/suite"
    cd "$PLACE/suite"
"""
_WITHOUT_SHARED_MEMORY = """
    mkdir "$PLACE/dev"
    mount -t tmpfs -o mode=755 none "$PLACE/dev"
    for name in null zero full random urandom tty; do
      touch "$PLACE/dev/$name"
      mount --bind "/dev/$name" "$PLACE/dev/$name"
    done
    ln -s /proc/self/fd "$PLACE/dev/fd"
    mount --rbind "$PLACE/dev" /dev
    test ! -e /dev/shm
"""

#: Enough where it makes no difference which process has forked the workers.
_TWO = ("fork", "spawn")

MACHINES = (
    Machine("limit-1024", "a soft limit of 1024 descriptors, below the hard one", "ulimit -Sn 1024"),
    Machine("limit-256", "a soft limit of 256 descriptors", "ulimit -Sn 256", methods=_TWO),
    Machine("limit-64", "a soft limit of 64 descriptors", "ulimit -Sn 64"),
    Machine("hard-limit-64", "a limit of 64 descriptors that cannot be raised", "ulimit -n 64"),
    Machine("unprivileged", "a user who owns nothing but the temporary folder", prefix=_user(_NOBODY)),
    Machine("nameless", "a user without a name, as containers have", prefix=_user(_NAMELESS), methods=_TWO),
    Machine(
        "read-only-rootdir",
        "a root folder that cannot be written to",
        _READ_ONLY,
        prefix=_MOUNTS,
    ),
    Machine(
        "full-tmpdir",
        "a temporary folder on a full disk",
        # pytest's own folder would be in /tmp, where another user of that name may have one.
        _SMALL_TMPDIR
        + 'export PYTEST_DEBUG_TEMPROOT="$PLACE/out"\n'
        + 'cat /dev/zero > "$PLACE/tmp/full" 2>/dev/null || true',
        prefix=_MOUNTS,
        ending=Ending.UNCONFIRMED,
        without=_NEED_ROOM,
    ),
    Machine(
        "tiny-tmpdir",
        "a temporary folder of 64 KiB",
        _SMALL_TMPDIR,
        prefix=_MOUNTS,
        without=("test_talking.py",),
        methods=_TWO,
    ),
    Machine(
        "long-tmpdir",
        "a temporary folder whose path is longer than a socket's address may be",
        f'TMPDIR=$PLACE/tmp/{"/".join(["long" * 20] * 3)}\nexport TMPDIR\nmkdir -p "$TMPDIR"',
    ),
    Machine("no-shared-memory", "no `/dev/shm`", _WITHOUT_SHARED_MEMORY, prefix=_MOUNTS),
    Machine("no-proc", "no `/proc`", "mount -t tmpfs -o ro none /proc", prefix=_MOUNTS),
    Machine(
        "first-process",
        "the run is process 1 of a name space, as in a container",
        "test $$ = 1",
        prefix=_name_space("--pid", "--mount-proc", *_CHILD),
    ),
    Machine(
        "foreign-proc",
        "process 1 of a name space, whose `/proc` is that of another one",
        "test $$ = 1",
        prefix=_name_space("--pid", *_CHILD),
    ),
    Machine("no-environment", "`env -i`: no environment at all", prefix=("env", "-i"), methods=_TWO),
    Machine("no-home", "`HOME` not set", environ={"HOME": None}, methods=_TWO),
    Machine(
        "c-locale", "`LC_ALL=C`, and no UTF-8 mode", environ={"LC_ALL": "C", "PYTHONUTF8": "0"}, methods=_TWO
    ),
    Machine(
        "byte-code",
        "`PYTHONDONTWRITEBYTECODE` not set",
        environ={"PYTHONDONTWRITEBYTECODE": None},
        methods=_TWO,
    ),
    Machine(
        "no-byte-code", "`PYTHONDONTWRITEBYTECODE=1`", environ={"PYTHONDONTWRITEBYTECODE": "1"}, methods=_TWO
    ),
    Machine(
        "developer",
        "`PYTHONDEVMODE=1` and `-W error`",
        environ={"PYTHONDEVMODE": "1"},
        python=("-W", "error"),
        methods=_TWO,
    ),
    Machine("optimized", "`python -O`", python=("-O",), methods=_TWO),
    Machine("isolated", "`python -I`", python=("-I",), methods=_TWO),
    Machine("no-stdin", "standard input closed", "exec <&-", methods=_TWO),
    Machine("no-stdout", "standard output closed", "exec >&-", ending=Ending.AS_PLAIN_PYTEST, methods=_TWO),
    Machine("no-stderr", "standard error closed", "exec 2>&-", ending=Ending.AS_PLAIN_PYTEST, methods=_TWO),
    Machine(
        "no-streams", "all three closed", "exec <&- >&- 2>&-", ending=Ending.AS_PLAIN_PYTEST, methods=_TWO
    ),
    Machine(
        "full-stdout",
        "standard output to `/dev/full`",
        "exec >/dev/full",
        ending=Ending.AS_PLAIN_PYTEST,
        methods=_TWO,
    ),
    Machine("full-stderr", "standard error to `/dev/full`", "exec 2>/dev/full", methods=_TWO),
    Machine(
        "reader-leaves",
        "what reads the output closes it after the first lines",
        ending=Ending.AS_PLAIN_PYTEST,
        reader=Reader.LEAVES,
    ),
    Machine(
        "reader-sleeps", "what reads the output does so only when nobody can go on", reader=Reader.SLEEPS
    ),
    Machine("lost-terminal", "a terminal that hangs up", prefix=_ON_TERMINAL, reader=Reader.HANGS_UP),
    Machine(
        "lost-terminal-ignored",
        "a terminal that hangs up, and `SIGHUP` is ignored",
        "trap '' HUP",
        prefix=_ON_TERMINAL,
        reader=Reader.HANGS_UP,
    ),
    Machine(
        "memory-limit",
        "a control group with 220 MB of memory, and a test that allocates for ever",
        _in_control_group(
            "memory", {"v1": "memory.limit_in_bytes", "v2": "memory.max", "value": str(220_000_000)}
        ),
        greedy=True,
    ),
    Machine(
        "process-limit",
        "a control group with room for 16 processes",
        _in_control_group("pids", {"v1": "pids.max", "v2": "pids.max", "value": "16"}),
    ),
)


class Terminal:
    """A terminal: what a user sees, and what programs have for their standard streams."""

    def __init__(self) -> None:
        self.ours, self.theirs = os.openpty()
        self._is_there = True

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        """Go away: whoever has it as controlling terminal gets SIGHUP."""
        if self._is_there:
            self._is_there = False
            os.close(self.theirs)
            os.close(self.ours)


def unavailable(machine: Machine) -> str:
    """Why a machine cannot be made here; empty if it can."""
    tools = [tool for tool in machine.prefix[:1] if shutil.which(tool) is None]
    if tools:
        return f"{tools[0]} is not installed"
    with tempfile.TemporaryDirectory() as folder, Terminal() as terminal:
        for name in ("suite", "tmp", "out"):
            os.mkdir(os.path.join(folder, name))
        os.chmod(folder, 0o755)
        tried = subprocess.run(
            machine.command("true"),
            env={**os.environ, "PLACE": folder},
            stdin=terminal.theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=60,
            errors="replace",
        )
    return "" if tried.returncode == 0 else tried.stderr.strip() or f"exit status {tried.returncode}"
