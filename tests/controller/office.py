"""What stands in the place of the controller's collaborators."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

from pytest_procpar.controller.run_end import Ending
from pytest_procpar.core.model import WorkerId
from pytest_procpar.core.protocol.worker_status import Death, Stage, WorkerStatus


class Office:
    """Collaborators without processes: mocks that answer, and keep what they were told in its order."""

    def __init__(self) -> None:
        self.mocks: Any = MagicMock()
        self.ending = Ending()
        self.mocks.ending = self.ending
        self.mocks.clock.now.return_value = 7.0
        self.cluster = self.mocks.cluster
        self.cluster.refusals = {}
        self.cluster.has.return_value = False
        self.cluster.spawn.return_value = None
        self.nodes: dict[int, Any] = {}
        self.mocks.nodes.__getitem__.side_effect = lambda worker: self.nodes.setdefault(worker, MagicMock())
        self.mocks.run.running.return_value = {}
        self.mocks.run.stopping = False
        self.mocks.run_record.worker_memory = 0
        self.cluster.pid.return_value = None
        self.mocks.supervisor.limit_of.return_value = None
        self.mocks.supervisor.had_lost.return_value = False

    def told(self, *names: str) -> list[tuple[Any, ...]]:
        """The calls of these names (``cluster.tell``), in their order, with what they were given."""
        return [(name, *args) for name, args, _ in self.mocks.mock_calls if name in names]


def death(stage: Stage = Stage.CALL, test: Any = 0, cause: str = "killed by SIGSEGV", **more: Any) -> Death:
    return Death(
        cause, WorkerStatus(stage, test, 0.0, more.pop("phases", None), more.pop("note", "")), **more
    )


GW0, GW1, GW2 = map(WorkerId, range(3))
