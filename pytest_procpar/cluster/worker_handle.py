"""What the controller keeps of a worker, and the descriptors that this takes."""

from __future__ import annotations

from pytest_procpar.cluster.server_process import ServerProcess
from pytest_procpar.core.protocol.worker import FromWorker
from pytest_procpar.ipc.blackbox import BlackBox
from pytest_procpar.ipc.board import Board, BoardSlot
from pytest_procpar.ipc.inbox import WorkerPort

__all__ = ["WorkerHandle", "make_handle"]


class WorkerHandle:
    """What the controller keeps of a worker."""

    def __init__(self, server: ServerProcess, port: WorkerPort, box: BlackBox, slot: BoardSlot) -> None:
        #: The process that starts it.
        self.server = server
        self.port = port
        self.box = box
        self.slot = slot
        self.pid: int | None = None
        #: Whether nothing more is expected from it.
        self.lost = False

    def receive(self) -> tuple[list[FromWorker], str | None]:
        """Its messages; and, once, the reason why no more can come: it need not be dead."""
        messages, is_open = self.port.receive()
        reason = self.port.garbled or (None if is_open else "its connection to the controller is closed")
        if reason is None or self.lost:
            return messages, None  # type: ignore[return-value]
        self.lost = True
        return messages, reason  # type: ignore[return-value]


def make_handle(server: ServerProcess, board: Board) -> WorkerHandle:
    """Make what a new worker of this server needs, and take a slot for it.

    :raises OSError: if this process has no descriptors for it; no slot is taken then.
    """
    box = BlackBox()
    number = board.take_slot()
    try:
        port = WorkerPort(board.preview(number))
    except OSError:
        board.free_slot(number)
        box.sent()
        box.close()
        raise
    return WorkerHandle(server, port, box, board.slot(number))
