"""Waits for what processes say, and for room in the pipes to them."""

from __future__ import annotations

import selectors
from collections.abc import Iterable
from contextlib import suppress
from typing import TypeAlias

from pytest_procpar.core.model import WorkerId
from pytest_procpar.ipc.blackbox import BlackBox
from pytest_procpar.ipc.inbox import Inbox, WorkerPort
from pytest_procpar.ipc.port import Port

__all__ = ["Listener"]

#: What can be heard: a descriptor whose owner reads it, a process's stream, or the output of a worker.
Source: TypeAlias = "int | Port | WorkerPort | BlackBox"


class Listener:
    """Knows whom each stream belongs to: a worker, or None for the fork server and for descriptors."""

    def __init__(self) -> None:
        #: The inboxes that have no room for what is to go there.
        self._clogged: set[Inbox] = set()
        # Use the module's current class: gevent's replacement lets greenlets of plugins run while this waits.
        self._selector = selectors.DefaultSelector()

    def add(self, source: Source, worker: WorkerId | None = None) -> None:
        """Listen to a source from now on."""
        self._selector.register(source, selectors.EVENT_READ, worker)

    def drop(self, source: Source) -> None:
        """Listen to a source no more.

        :raises KeyError: if it was not listened to.
        """
        self._selector.unregister(source)

    def forget(self, port: WorkerPort, box: BlackBox) -> None:
        """Drop all that belongs to a worker, of which some may be dropped or closed already."""
        self._clogged.discard(port.inbox)
        for source in (port, port.inbox, box):
            with suppress(KeyError, ValueError):
                self._selector.unregister(source)

    def wait(
        self, seconds: float | None, ports: Iterable[Port], inboxes: Iterable[tuple[WorkerId, Inbox]]
    ) -> list[WorkerId | None]:
        """Wait until somebody has something to say, and write what there was no room for.

        :param ports: the streams that may have something to write.
        :param inboxes: the same of workers.
        :return: to whom the streams belong that can be read.
        """
        for port in ports:
            self._watch(port)
        for worker, inbox in inboxes:
            self._watch_inbox(inbox, worker)
        ready: list[WorkerId | None] = []
        for key, events in self._selector.select(seconds):
            source = key.fileobj
            if isinstance(source, BlackBox):
                if not source.relay():
                    self._selector.unregister(source)
                continue
            if events & selectors.EVENT_WRITE and isinstance(source, (Inbox, Port)):
                source.flush()
            if events & selectors.EVENT_READ:
                ready.append(key.data)
        return ready

    def _watch(self, port: Port) -> None:
        interest = selectors.EVENT_READ | (selectors.EVENT_WRITE if port.clogged else 0)
        key = self._selector.get_key(port)
        if key.events != interest:
            self._selector.modify(port, interest, key.data)

    def _watch_inbox(self, inbox: Inbox, worker: WorkerId) -> None:
        if inbox.clogged != (inbox in self._clogged):
            if inbox.clogged:
                self._clogged.add(inbox)
                self._selector.register(inbox, selectors.EVENT_WRITE, worker)
            else:
                self._clogged.remove(inbox)
                self._selector.unregister(inbox)

    def close(self) -> None:
        """Listen to nothing more."""
        self._selector.close()
