"""What a test can leave changed in its process: snapshots of it, and the differences between two of them.

Pure: `leaks/snapshots.py` takes the snapshots.
"""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

from pytest_procpar.system.descendants import Process, line_of
from pytest_procpar.system.genuine import Handler

__all__ = ["Leak", "Descriptor", "ResourceSnapshot", "adopt", "compare", "describe"]

#: The longest text in a message, in characters.
_WIDTH = 80
#: If there are more threads than this that Python does not know, they are not listed one by one.
_FEW = 3

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Descriptor(NamedTuple):
    """What an open descriptor leads to."""

    target: str
    device: int
    inode: int

    def leads_where(self, other: Descriptor) -> bool:
        """Whether it is the same file. A file may be renamed or deleted; nameless ones share an inode."""
        return self.target == other.target or (
            (self.device, self.inode) == (other.device, other.inode)
            and self.target.startswith("/")
            and other.target.startswith("/")
        )


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that has changed: its kind and key, its new value, and all that in words."""

    kind: str
    key: Hashable
    value: Hashable
    text: str = field(compare=False)
    #: The process or thread that it is about.
    subject: Process | threading.Thread | None = field(default=None, compare=False)

    @property
    def pid(self) -> int | None:
        """The pid of the process that it is about."""
        return self.subject.pid if isinstance(self.subject, Process) else None

    @property
    def has_ended(self) -> bool:
        """Whether it is about a process that has ended."""
        return isinstance(self.subject, Process) and self.subject.ended

    @property
    def place(self) -> tuple[str, Hashable]:
        """What has changed, whatever its new value."""
        return self.kind, self.key


@dataclass(slots=True)
class ResourceSnapshot:
    """The state of this process."""

    processes: dict[tuple[int, int], Process] = field(default_factory=dict)
    threads: dict[int, threading.Thread] = field(default_factory=dict)
    #: The names of threads that Python does not know, by their id.
    foreign_threads: dict[int, str] = field(default_factory=dict)
    descriptors: dict[int, Descriptor] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    directory: str = ""
    handlers: dict[int, Handler] = field(default_factory=dict)
    path: list[object] = field(default_factory=list)

    def settings(self) -> ResourceSnapshot:
        """The part of it that can be put back to what it was. It keeps nothing alive."""
        return replace(self, processes={}, threads={}, foreign_threads={}, descriptors={})


# --- comparing ------------------------------------------------------------------------------------


def compare(before: ResourceSnapshot, after: ResourceSnapshot) -> list[Leak]:
    """What `after` has that `before` did not have, and every setting that differs.

    That a process, thread or descriptor is gone is no change. Nor is a process that one from before has
    started.
    """
    return [
        *_compare_processes(before, after),
        *_compare_threads(before, after),
        *_compare_descriptors(before, after),
        *_compare_environment(before.environment, after.environment),
        *_compare_directories(before.directory, after.directory),
        *_compare_handlers(before.handlers, after.handlers),
        *_compare_paths(before.path, after.path),
    ]


def _compare_processes(before: ResourceSnapshot, after: ResourceSnapshot) -> Iterator[Leak]:
    below = {process.pid: process for process in after.processes.values()}
    old = {process.pid for key, process in after.processes.items() if key in before.processes}
    for key, process in after.processes.items():
        if not old.isdisjoint(line_of(process, below)):
            continue
        state = "has ended, but was not waited for" if process.ended else "still runs"
        text = f"process {process.pid} ({_short(process.command)}) {state}"
        yield Leak("process", key, None, text, process)


def _compare_threads(before: ResourceSnapshot, after: ResourceSnapshot) -> Iterator[Leak]:
    for key, thread in after.threads.items():
        if key not in before.threads:
            yield Leak("thread", key, None, f"{_name_thread(thread)} still runs", thread)
    for task, name in after.foreign_threads.items():
        if task not in before.foreign_threads:
            text = f"thread {task} ({name}), which Python does not know, still runs"
            yield Leak("foreign thread", task, None, text)


def _name_thread(thread: threading.Thread) -> str:
    kind = "daemon thread" if thread.daemon else "thread"
    name, what = str(thread.name), getattr(thread, "_target", None) or type(thread)
    does = str(getattr(what, "__qualname__", ""))
    # By default a thread is named after its target.
    is_known = does == "Thread" or does.rpartition(".")[2] in name
    return f"{kind} {_quote(name)}" if is_known else f"{kind} {_quote(name)} ({_short(does)})"


def _compare_descriptors(before: ResourceSnapshot, after: ResourceSnapshot) -> Iterator[Leak]:
    for fd, now in after.descriptors.items():
        earlier = before.descriptors.get(fd)
        if earlier is None:
            yield Leak("descriptor", fd, now, f"descriptor {fd} ({_short(now.target)}) is still open")
        elif not now.leads_where(earlier):
            text = f"descriptor {fd} leads to {_short(now.target)} instead of {_short(earlier.target)}"
            yield Leak("descriptor", fd, now, text)


def _compare_environment(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Leak]:
    for name in sorted(before.keys() | after.keys(), key=str):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if old is None:
            text = f"environment variable {name} was set to {_quote(new)}"
        elif new is None:
            text = f"environment variable {name} was removed, which was {_quote(old)}"
        else:
            text = f"environment variable {name} was changed from {_quote(old)} to {_quote(new)}"
        yield Leak("environment", name, new, text)


def _compare_directories(before: str, after: str) -> Iterator[Leak]:
    if before != after:
        yield Leak("directory", None, after, f"working directory changed from {before} to {after}")


def _compare_handlers(before: Mapping[int, Handler], after: Mapping[int, Handler]) -> Iterator[Leak]:
    for signum, new in after.items():
        old = before.get(signum)
        if old is not new:
            text = (
                f"handler of {_name_signal(signum)} changed from {_name_handler(old)} to {_name_handler(new)}"
            )
            yield Leak("handler", signum, id(new), text)


def _name_signal(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"


def _name_handler(handler: Handler) -> str:
    if handler is None:
        return "one that is not Python's"
    if isinstance(handler, signal.Handlers):
        return handler.name
    name = getattr(handler, "__qualname__", None)
    return f"{handler.__module__}.{name}" if name else _quote(handler)


def _compare_paths(before: list[object], after: list[object]) -> Iterator[Leak]:
    if before == after:
        return
    old, new = Counter(map(_entry, before)), Counter(map(_entry, after))
    for entry in new - old:
        yield Leak("sys.path", entry, new[entry], f"{_quote(entry)} was added to sys.path")
    for entry in old - new:
        yield Leak("sys.path", entry, new[entry], f"{_quote(entry)} was removed from sys.path")
    if old == new:
        yield Leak("sys.path", None, tuple(map(_entry, after)), "sys.path was put into another order")


def _entry(entry: object) -> str:
    return entry if isinstance(entry, str) else repr(entry)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


def _quote(value: object) -> str:
    return _short(repr(value))


def describe(changes: Iterable[Leak]) -> list[str]:
    """The changes in words, one line each; of many threads that Python does not know, only the number."""
    changes = list(changes)
    foreign = [change for change in changes if change.kind == "foreign thread"]
    if len(foreign) > _FEW:
        changes = [change for change in changes if change not in foreign]
        text = f"{len(foreign)} threads that Python does not know still run"
        changes.append(Leak("foreign thread", None, None, text))
    return [change.text for change in changes]


def adopt(base: ResourceSnapshot, before: ResourceSnapshot, after: ResourceSnapshot) -> ResourceSnapshot:
    """`base`, as if what changed from `before` to `after` had been so all along."""
    environment, handlers = dict(base.environment), dict(base.handlers)
    for name in before.environment.keys() | after.environment.keys():
        if before.environment.get(name) != after.environment.get(name):
            environment.pop(name, None)
            if name in after.environment:
                environment[name] = after.environment[name]
    handlers |= {
        signum: handler
        for signum, handler in after.handlers.items()
        if handler is not before.handlers.get(signum)
    }
    descriptors = {
        fd: now for fd, now in after.descriptors.items() if before.descriptors.get(fd) not in (now, None)
    }
    return ResourceSnapshot(
        processes=base.processes | _new(before.processes, after.processes),
        threads=base.threads | _new(before.threads, after.threads),
        foreign_threads=base.foreign_threads | _new(before.foreign_threads, after.foreign_threads),
        descriptors=base.descriptors | _new(before.descriptors, after.descriptors) | descriptors,
        environment=environment,
        directory=base.directory if before.directory == after.directory else after.directory,
        handlers=handlers,
        path=base.path if before.path == after.path else _adopt_path(base.path, before.path, after.path),
    )


def _new(before: dict[_Key, _Value], after: dict[_Key, _Value]) -> dict[_Key, _Value]:
    return {key: value for key, value in after.items() if key not in before}


def _adopt_path(base: list[object], before: list[object], after: list[object]) -> list[object]:
    """`after` without entries of `before` that `base` lacks, and with those of `base` that `before` lacks."""
    path = list(after)
    for entry in before:
        if entry not in base and entry in path:
            path.remove(entry)
    return path + [entry for entry in base if entry not in before and entry not in path]
