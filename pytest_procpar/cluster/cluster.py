"""The controller's handle on its fork server and, through it, on the workers' processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from pytest_procpar.cluster.listener import Listener
from pytest_procpar.cluster.server_group import ServerGroup
from pytest_procpar.cluster.worker_handle import WorkerHandle, make_handle
from pytest_procpar.config.settings import Settings
from pytest_procpar.core.model import StartMethod, WorkerId, WorkerInput
from pytest_procpar.core.protocol.records import Record
from pytest_procpar.core.protocol.server import Fork, FromServer, Signal, StartRoot, fingerprint
from pytest_procpar.core.protocol.worker import FromWorker
from pytest_procpar.core.protocol.worker_status import Death, WorkerStatus
from pytest_procpar.forking.children import signal_group
from pytest_procpar.forking.heap import SharedHeap
from pytest_procpar.ipc.blackbox import in_memory
from pytest_procpar.ipc.board import Board
from pytest_procpar.ipc.port import Port
from pytest_procpar.start_method.choose import choose_method
from pytest_procpar.system.calls import out_of_reach, socket_pair
from pytest_procpar.system.shortage import in_words

__all__ = ["Cluster"]


class Cluster:
    """The process that starts workers, the workers, and the streams to them."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._owner = os.getpid()
        self._closed = False
        method, self.reason = choose_method(config, settings)
        #: A warning about threads, since this process is forked as it is.
        self.warning: str | None = None
        if settings.start_method not in (None, StartMethod.SPAWN):
            from pytest_procpar.start_method.thread_warning import thread_warning

            self.warning = thread_warning(settings.worker.fork_safe)
        shared = -1
        if method is StartMethod.SPAWN:
            shared = out_of_reach(in_memory())
        elif settings.start_method is None:  # for `switch`, which fails without it
            with suppress(OSError):
                shared = out_of_reach(in_memory())
        # Besides the living workers, there may be some whose death has not been reported yet.
        self.board = Board(settings.maxfail, 2 * settings.workers + 16, shared)
        self._heap = SharedHeap(freeze=settings.worker.freeze_heap)
        self._servers = ServerGroup(config, settings, self.board, method)
        self._ids: list[str] | None = None
        self._workers: dict[WorkerId, WorkerHandle] = {}
        #: Why workers that were to collect could not be started.
        self.refusals: dict[WorkerId, str] = {}
        #: How many workers the system has granted; None if all.
        self.room: int | None = None
        self._listener = Listener()
        self._servers.heard_by(self._listener)

    @property
    def method(self) -> StartMethod:
        """How workers are started."""
        return self._servers.method

    # --- waiting ---

    def wait(self, seconds: float | None) -> list[WorkerId | None]:
        """Wait until a process has something to say; return those workers, with None for the fork server."""
        ports = [server.port for server in self._servers.every]
        inboxes = [(worker, held.port.inbox) for worker, held in self._workers.items()]
        return self._listener.wait(seconds, ports, inboxes)

    def listen_to(self, fd: int) -> None:
        """Make `wait` also end when `fd` becomes readable (its owner reads it)."""
        self._listener.add(fd)

    # --- the fork server ---

    def from_server(self) -> tuple[list[FromServer], bool]:
        """The messages of the fork server, and whether it is still there.

        :raises WireError: if something else wrote to its stream.
        """
        return self._servers.receive()

    def setup(
        self, inputs: list[WorkerInput], environ: dict[str, str], cwd: str, basetemp: str | None
    ) -> None:
        """Send the fork server what it waits for."""
        self._servers.set_up(inputs, environ, cwd, basetemp)

    def fall_back(self) -> None:
        """End the fork server and use the standby: the suite must not run in forks of the former."""
        self._servers.fall_back()

    def switch(self) -> None:
        """Start workers as fresh interpreters from now on. The existing ones go on as they are.

        :raises OSError: if no interpreter can be started, or there is no memory to share with it.
        """
        self._servers.switch()

    def give_up_former(self) -> list[WorkerId]:
        """Kill the processes that started workers before `switch`; return the workers that die with them.

        The messages of these workers can still be read.
        """
        former = self._servers.former
        workers = [worker for worker, held in self._workers.items() if held.server in former]
        self._servers.give_up_former()
        return workers

    def forked_workers(self) -> dict[WorkerId, int]:
        """The living workers that were forked, with their pids."""
        former = self._servers.former
        return {
            worker: held.pid
            for worker, held in self._workers.items()
            if held.pid is not None and (held.server in former or self.method is not StartMethod.SPAWN)
        }

    def fork_server(self) -> int | None:
        """The pid of the process that workers are, or were, forked from; None if there is none."""
        return self._servers.forking()

    def has(self, worker: WorkerId) -> bool:
        """Whether a worker has been started and is not known to be dead."""
        return worker in self._workers

    def spawn(self, worker: WorkerId, workerinput: WorkerInput) -> str | None:
        """Order a worker to be started; return why not, if this process has no descriptors for it."""
        try:
            held = make_handle(self._servers.current, self.board)
        except OSError as error:
            return in_words(error)
        order = Fork(worker, workerinput, held.slot.number)
        self._workers[worker] = held
        try:
            self._servers.current.port.send(order, [*held.port.theirs, *held.box.theirs])
        except OSError as error:
            self.release(worker)
            return in_words(error)
        finally:
            held.box.sent()
            held.port.sent()
        self._listener.add(held.port, worker)
        self._listener.add(held.box, worker)
        return None

    def start_root(self, worker: WorkerId, workerinput: WorkerInput, basetemp: str | None, kept: str) -> Port:
        """Order the root of a checkpoint tree to be started; the caller owns the stream to it.

        :param kept: the folder for copies of files that its processes change, see `system.kept_files`.
        """
        ours, theirs = socket_pair()
        own = self._ids is not None and not self.method.collects_once
        suite = fingerprint(self._ids or ()) if own else None
        self._servers.current.port.send(
            StartRoot(worker, workerinput, basetemp, kept, suite), [theirs.fileno()]
        )
        theirs.close()
        return Port(ours)

    def fileno(self) -> int:
        """The descriptor of the fork server's stream."""
        return self._servers.current.port.fileno()

    def interrupt_collection(self) -> None:
        """Interrupt the fork server's collection, if there is one, as Ctrl-C would."""
        self._servers.interrupt_collection()

    def collected(self, ids: list[str]) -> None:
        """Note the collected suite; the server that has led to it is the one to use."""
        self._ids = ids
        self._servers.collected()

    def has_server(self) -> bool:
        """Whether the fork server is still alive. Messages from it are dropped."""
        return self._servers.is_up()

    def server_note(self) -> str:
        """What the fork server has noted last."""
        return self.board.slot(0).read().note

    # --- workers ---

    def forked(self, worker: WorkerId, pid: int) -> None:
        """Note a worker's process id, in case the fork server dies before it."""
        self._workers[worker].pid = pid

    def from_worker(self, worker: WorkerId) -> tuple[list[FromWorker], str | None]:
        """The messages of a worker; and, once, the reason why no more can come: it need not be dead."""
        held = self._workers.get(worker)
        if held is None:
            return [], None
        messages, reason = held.receive()
        if reason is not None:
            self._listener.drop(held.port)
        return messages, reason

    def is_silent(self, worker: WorkerId) -> bool:
        """Whether everything that a lost worker sent was understood: then it is most likely dead."""
        return self._workers[worker].port.garbled is None

    def tell(self, worker: WorkerId, records: list[Record]) -> None:
        """Put records into a worker's inbox."""
        self._workers[worker].port.inbox.send(records)

    def has_unread(self, worker: WorkerId) -> bool:
        """Whether there are records in a worker's inbox."""
        return self._workers[worker].port.inbox.untouched

    def take_back(self, worker: WorkerId) -> list[Record]:
        """Empty a worker's inbox; return what the worker had not read."""
        return self._workers[worker].port.inbox.drain()

    def signal(self, worker: WorkerId, signum: int, *, group: bool = False) -> None:
        """Send a signal to a worker, or to its process group."""
        held = self._workers.get(worker)
        if held is not None:
            held.server.port.send(Signal(worker, signum, group))

    def worker_status(self, worker: WorkerId) -> WorkerStatus:
        """A worker's status: how far it has come."""
        return self._workers[worker].slot.read()

    def pid(self, worker: WorkerId) -> int | None:
        """A worker's process id, once it is known."""
        return self._workers[worker].pid

    def stacks(self, worker: WorkerId) -> str:
        """The stacks that a worker has written since the last call (see `DUMP_SIGNAL`)."""
        return self._workers[worker].box.stacks()

    def death(self, worker: WorkerId, cause: str, peak_memory: int | None, out_of_memory: str) -> Death:
        """Everything that is known about a dead worker whose last messages have been read."""
        held = self._workers[worker]
        return held.box.death(cause, held.slot.read(), peak_memory, out_of_memory)

    def release(self, worker: WorkerId) -> None:
        """Forget a dead worker whose last messages have been read."""
        held = self._workers.pop(worker, None)
        if held is not None:
            self._listener.forget(held.port, held.box)
            held.port.close()
            held.box.close()
            self.board.free_slot(held.slot.number)

    # --- Ctrl-Z ---

    def suspend(self, *, serving: bool) -> None:
        """Stop all processes but this one; `serving` says that the fork server is past the collection."""
        self._servers.suspend(serving=serving)

    def resume(self) -> None:
        """Let all processes continue."""
        self._servers.resume()

    # --- the end ---

    def dismiss(self) -> None:
        """Let the fork server end, without waiting for it."""
        self._servers.dismiss()

    def kill_server(self) -> None:
        """Kill a fork server that does not answer."""
        self._servers.kill(standby=False)

    def hurry(self) -> None:
        """Give the processes only a few seconds to end: a signal has asked for the end."""
        self._servers.hurry()

    def kill(self) -> None:
        """Kill every process. Any thread may call this, at any moment."""
        self._servers.kill(standby=True)

    def ping(self) -> None:
        """Ask the fork server for a sign of life: `Pong`."""
        self._servers.ping()

    def close(self) -> None:
        """Close everything and wait until fork server and workers are gone. Repeating it does nothing."""
        if self._closed or os.getpid() != self._owner:
            return
        self._closed = True
        self._listener.close()
        self.dismiss()
        try:
            status = self._servers.end()
        except BaseException:  # a signal
            self.kill()
            raise
        for held in self._workers.values():
            if held.pid is not None and status != 0:  # the fork server could not do it
                signal_group(held.pid, signal.SIGKILL)
            held.port.close()
            held.box.close()
        self._workers.clear()
        self._heap.release()

    def server_status(self) -> int:
        """The wait status of a fork server that has closed its stream."""
        return self._servers.status()

    def stood_still(self) -> bool:
        """Whether a server was killed at its exit, where it waited for a lock that nothing could release."""
        return self._servers.stood_still()

    def kill_orphans(self) -> Iterator[WorkerId]:
        """Kill the workers of a dead fork server; yield those that had been running."""
        for worker, held in list(self._workers.items()):
            if held.pid is not None:
                signal_group(held.pid, signal.SIGKILL)
            yield worker
