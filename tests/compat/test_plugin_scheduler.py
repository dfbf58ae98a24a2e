from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pytest_procpar.compat.xdist.plugin_scheduler import SchedulerAdapter
from pytest_procpar.core.model import WorkerId
from pytest_procpar.core.run.events import Consult, Decided
from pytest_procpar.core.run.foreign.consulting import (
    AllIdle,
    CaughtUp,
    Completed,
    GivenBack,
    News,
    SchedulerOrder,
    WorkerGone,
    WorkerUp,
)

pytestmark = pytest.mark.pytest_dependent

FIRST, SECOND = WorkerId(0), WorkerId(1)


class Listener:
    """A scheduler that writes down how it is called; its nodes are names."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.collection_is_completed = False
        self.tests_finished = False
        self.calls: list[tuple[object, ...]] = []

    def add_node(self, node: Any) -> None:
        self.nodes.append(node)
        self.calls.append(("add", node))

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        self.calls.append(("collection", node, *collection))

    def schedule(self) -> None:
        self.calls.append(("schedule",))

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        self.calls.append(("complete", node, item_index, duration))

    def mark_test_pending(self, item: str) -> None:
        raise NotImplementedError

    def remove_pending_tests_from_node(self, node: Any, indices: Sequence[int]) -> None:
        self.calls.append(("given back", node, indices))

    def remove_node(self, node: Any) -> str | None:
        self.nodes.remove(node)
        self.calls.append(("remove", node))
        return None


class Node:
    def __init__(self, name: str, calls: list[tuple[object, ...]]) -> None:
        self.name = name
        self._calls = calls

    def __eq__(self, other: object) -> bool:
        return other == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def shutdown(self) -> None:
        self._calls.append(("shut down", self.name))


class Told:
    """A scheduler, and the adapter that answers for it."""

    def __init__(self, scheduler: Listener | None = None) -> None:
        self.scheduler = scheduler or Listener()
        self.nodes = [Node(f"gw{i}", self.scheduler.calls) for i in range(2)]
        self.adapter = SchedulerAdapter(self.scheduler, self.nodes.__getitem__)
        self.adapter.collection = ["a", "b", "c"]

    def tell(self, *news: News | None) -> list[Decided]:
        return [self.adapter.answer(Consult(one)) for one in news]


@pytest.mark.parametrize(
    ("news", "call"),
    [
        (Completed(FIRST, 2, 0.5), ("complete", "gw0", 2, 0.5)),
        (GivenBack(SECOND, (1, 2)), ("given back", "gw1", [1, 2])),
        (GivenBack(SECOND, ()), ("given back", "gw1", [])),
        (AllIdle(), ("schedule",)),
    ],
)
def test_news_is_a_call(news: News, call: tuple[object, ...]) -> None:
    told = Told()
    assert told.tell(news) == [Decided()]
    assert told.scheduler.calls == [call]


def test_it_begins_when_it_has_all_the_nodes_that_it_waits_for() -> None:
    told = Told()
    assert told.tell(WorkerUp(FIRST)) == [Decided()]
    told.scheduler.collection_is_completed = True
    assert told.tell(WorkerUp(SECOND)) == [Decided(dealing=True)]
    assert told.scheduler.calls == [
        ("add", "gw0"), ("collection", "gw0", "a", "b", "c"),
        ("add", "gw1"), ("collection", "gw1", "a", "b", "c"), ("schedule",),
    ]  # fmt: skip


def test_a_node_is_removed_that_it_knows_and_no_other() -> None:
    told = Told()
    told.tell(WorkerUp(FIRST), WorkerGone(SECOND), WorkerGone(FIRST), WorkerGone(FIRST))
    assert told.scheduler.calls[2:] == [("remove", "gw0")]


def test_its_nodes_are_shut_down_once_it_has_finished() -> None:
    told = Told()
    assert told.tell(WorkerUp(FIRST), WorkerUp(SECOND), CaughtUp())[-1] == Decided()
    told.scheduler.tests_finished = True
    assert told.tell(CaughtUp()) == [Decided(finished=True)]
    assert told.scheduler.calls[4:] == [("shut down", "gw0"), ("shut down", "gw1")]


def test_what_its_nodes_are_called_for_comes_with_the_next_answer_in_its_order() -> None:
    class Sends(Listener):
        def schedule(self) -> None:
            told.adapter.note(FIRST, "run", (0, 2))
            told.adapter.note(SECOND, "steal", (1,))

    told = Told(Sends())
    told.adapter.note(SECOND, "run all", ())  # out of the blue
    orders = (
        SchedulerOrder(SECOND, "run all"),
        SchedulerOrder(FIRST, "run", (0, 2)),
        SchedulerOrder(SECOND, "steal", (1,)),
    )
    assert told.tell(AllIdle(), None) == [Decided(orders), Decided()]


@pytest.mark.parametrize(
    ("test", "error", "words"),
    [
        (3, IndexError, "Listener sends test 3 to gw1: there are 3, from 0 up"),
        (-1, IndexError, "Listener sends test -1 to gw1: there are 3, from 0 up"),
        ("a", TypeError, "str"),
    ],
)
def test_a_test_that_there_is_not_is_refused(test: Any, error: type[Exception], words: str) -> None:
    told = Told()
    told.adapter.note(SECOND, "run", (0, test))
    with pytest.raises(error, match=words):
        told.tell(None)


def test_what_it_raises_is_not_caught() -> None:
    class Fails(Listener):
        def schedule(self) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Told(Fails()).tell(AllIdle())
