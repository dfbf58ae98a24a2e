"""What must hold whatever scheduler a plugin comes with, and whatever its workers go through."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_procpar.core.model import Dist, RunOptions, TestIndex, WorkerId, assert_never
from pytest_procpar.core.run.events import (
    Assign,
    Consult,
    Crashed,
    Decided,
    Died,
    Effect,
    Event,
    Fewer,
    Finish,
    GiveUp,
    ItemBegan,
    ItemFinished,
    ItemPutBack,
    NotRun,
    Refused,
    Revoke,
    Revoked,
    Spawn,
    Stop,
    SuiteCollected,
    Tick,
    WorkerReady,
)
from pytest_procpar.core.run.foreign.consulting import (
    AllIdle,
    CaughtUp,
    Completed,
    GivenBack,
    News,
    SchedulerOrder,
    Want,
    WorkerGone,
    WorkerUp,
)
from pytest_procpar.core.run.ledger import LedgerError
from pytest_procpar.core.run.run import Run
from tests.core import test_run_simulated as ours
from tests.core.cluster import Scenario, simulate

PROMISES = [
    ours.every_run_comes_to_its_end,
    ours.every_test_is_settled_exactly_once,
    ours.only_a_stopped_run_leaves_tests_without_an_outcome,
    ours.a_test_crashed_or_hung_if_and_only_if_its_worker_died_while_it_ran,
    ours.no_effect_addresses_a_worker_that_is_gone_or_let_go,
    ours.workers_are_numbered_in_the_order_of_their_birth,
    ours.a_worker_is_spawned_at_the_start_or_for_a_dead_one_or_for_a_test_put_back,
    ours.only_workers_that_did_not_come_up_or_end_in_time_are_killed,
    ours.only_what_exceeds_its_limit_is_ended_and_its_stacks_are_asked_for_before,
]


class Moody:
    """A scheduler that deals, steals, shuts down and forgets as the dice fall.

    :param flaws: the chance that it does something wrong whenever it can.
    """

    def __init__(self, tests: int, workers: int, seed: int, flaws: float) -> None:
        self._dice = random.Random(seed)
        self._tests = tests
        self._flaws = flaws
        self._left = workers
        self._sent: dict[WorkerId, list[int]] = {}
        self._asked: set[WorkerId] = set()
        self._shut: set[WorkerId] = set()
        self._queue: list[int] = []
        self._deals = False
        self._orders: list[SchedulerOrder] = []

    def answer(self, consult: Consult) -> Decided:
        finished = False
        match consult.news:
            case None:
                if self._deals and self._errs():  # out of the blue
                    self._deal()
            case WorkerUp(worker):
                self._meet(worker)
            case Completed(worker, test, seconds):
                assert seconds >= 0
                self._sent[worker].remove(test)
                self._deal()
            case GivenBack(worker, tests):
                self._asked.discard(worker)
                for test in tests:
                    self._sent[worker].remove(test)
                    self._queue.append(test)
                self._deal()
            case WorkerGone(worker):
                self._mourn(worker)
            case AllIdle():
                self._deal()
            case CaughtUp():
                finished = not any(self._sent.values()) or self._errs()
                if finished:
                    self._shut_down()
            case _:
                assert_never(consult.news)
        orders = tuple(self._orders)
        self._orders.clear()
        return Decided(orders, self._deals, finished)

    def _errs(self) -> bool:
        return self._dice.random() < self._flaws

    def _want(self, worker: WorkerId, what: Want, tests: list[int]) -> None:
        self._orders.append(SchedulerOrder(worker, what, tuple(tests)))

    def _meet(self, worker: WorkerId) -> None:
        self._sent[worker] = []
        self._left -= 1
        if self._left > 0:
            return
        if not self._deals:
            self._deals = True
            self._queue = [i for i in range(self._tests) if not self._errs()]
            self._dice.shuffle(self._queue)
        self._deal()

    def _mourn(self, worker: WorkerId) -> None:
        self._asked.discard(worker)
        sent = self._sent.pop(worker)
        if sent and not self._errs():
            self._queue += sent[self._dice.randrange(2) :]  # perhaps with the culprit
        if sent:
            self._deal()

    def _deal(self) -> None:
        for worker, sent in self._sent.items():
            if worker in self._shut and not self._errs():
                continue
            if len(sent) < 2:
                size = self._dice.randrange(6)
                batch, self._queue = self._queue[:size], self._queue[size:]
                sent += batch
                self._want(worker, "run", batch)
            elif worker not in self._asked and self._dice.random() < 0.2:
                self._asked.add(worker)
                self._want(worker, "steal", sent[-self._dice.randrange(1, 4) :])
        if not self._queue and self._dice.random() < 0.3:
            self._shut_down()

    def _shut_down(self) -> None:
        for worker in self._sent:
            self._shut.add(worker)
            self._want(worker, "shut down", [])


@settings(
    max_examples=3 * ours.EXAMPLES, deadline=None, derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(
    scenario=ours.scenarios(Dist.LOAD, pinned=False), seed=st.integers(0, 2**16),
    flaws=st.sampled_from([0.0, 0.0, 0.05, 0.5]),
)  # fmt: skip
def test_every_run_keeps_its_promises(scenario: Scenario, seed: int, flaws: float) -> None:
    scheduler = Moody(scenario.tests, scenario.options.workers, seed, flaws)
    trace = simulate(scenario, scheduler.answer)
    for check in PROMISES:
        check(trace)


# --- the talk, word by word -----------------------------------------------------------------------


class Talk:
    """A run that a scheduler decides, and what is said in it; two workers are up, and one has got tests."""

    def __init__(self, tests: int, first: Decided) -> None:
        self.run = Run(RunOptions(2))
        self.run.deal_by("Mine")
        self.told: list[News | None] = []
        self.tell(SuiteCollected(tests))
        self.tell(WorkerReady(FIRST))
        self.first = self.tell(WorkerReady(SECOND), Decided(), Decided(first.orders, dealing=True))

    def tell(self, event: Event, *answers: Decided) -> list[Effect]:
        """What is to be done when the scheduler has given these answers, and nothing more."""
        said = iter(answers)
        self.told.clear()
        effects = self.run.handle(event, 0.0)
        while effects and isinstance(effects[0], Consult):
            (consult,) = effects
            assert isinstance(consult, Consult)
            self.told.append(consult.news)
            effects = self.run.handle(next(said, Decided()), 0.0)
        assert not list(said), "it was asked less often"
        return effects


def run(worker: int, *tests: int) -> Decided:
    return Decided((SchedulerOrder(WorkerId(worker), "run", tests),))


def assign(worker: int, *tests: int) -> Assign:
    return Assign(WorkerId(worker), tuple(map(TestIndex, tests)))


def hold(worker: int) -> Assign:
    return Assign(WorkerId(worker), (), "hold")


FIRST, SECOND = WorkerId(0), WorkerId(1)


def test_it_is_told_of_the_first_workers_in_their_order() -> None:
    core = Run(RunOptions(2))
    core.deal_by("Mine")
    assert core.handle(SuiteCollected(4), 0.0) == [Spawn(FIRST), Spawn(SECOND)]
    assert core.handle(WorkerReady(SECOND), 0.0) == [Consult()]
    assert core.handle(Decided(), 0.0) == [hold(1)]
    assert core.handle(WorkerReady(FIRST), 0.0) == [Consult()]
    assert core.handle(Decided(), 0.0) == [Consult(WorkerUp(FIRST))]
    assert core.handle(Decided(), 0.0) == [Consult(WorkerUp(SECOND))]
    assert core.handle(run(1, 2, 0), 0.0) == [hold(0), assign(1, 2, 0)]


def test_what_it_wants_is_carried_out_before_it_is_asked_whether_that_is_all() -> None:
    talk = Talk(4, Decided(run(0, 3).orders + run(0, 1).orders))
    assert talk.first == [assign(0, 3, 1), hold(1)]
    assert talk.told == [None, WorkerUp(SECOND), CaughtUp()]
    assert talk.tell(ItemBegan(FIRST, TestIndex(3))) == []
    assert talk.told == []
    assert talk.tell(ItemFinished(FIRST, TestIndex(3)), run(1, 0)) == [assign(1, 0)]
    assert talk.told == [Completed(FIRST, 3, 0.0), CaughtUp()]


def test_what_else_is_to_be_done_comes_after_the_talk_in_its_order() -> None:
    talk = Talk(3, run(0, 0, 1))
    talk.tell(ItemBegan(FIRST, TestIndex(0)))
    effects = talk.tell(Died(FIRST), run(1, 1))
    assert effects == [Crashed(FIRST, TestIndex(0)), Spawn(WorkerId(2), FIRST), assign(1, 1)]
    assert talk.told == [WorkerGone(FIRST), CaughtUp()]


def test_how_many_workers_there_are_is_said_after_the_talk() -> None:
    core = Run(RunOptions(2))
    core.deal_by("Mine")
    core.handle(SuiteCollected(1), 0.0)
    for event in (WorkerReady(FIRST), Decided()):
        core.handle(event, 0.0)
    assert core.handle(Decided(), 0.0) == [hold(0)]
    assert core.handle(Refused(SECOND, "no room"), 0.0) == [Consult()]
    assert core.handle(run(0, 0), 0.0) == [assign(0, 0), Fewer(1, "no room")]


def test_what_it_wants_back_is_given_back_whole() -> None:
    talk = Talk(4, run(0, 0, 1, 2, 3))
    talk.tell(ItemBegan(FIRST, TestIndex(0)))
    steal = Decided((SchedulerOrder(FIRST, "steal", (2, 3)),))
    assert talk.tell(ItemPutBack(TestIndex(3)), steal) == [Revoke(FIRST)]
    back = Revoked(FIRST, (TestIndex(2), TestIndex(3)))
    assert talk.tell(back, Decided(), run(1, 3, 2)) == [assign(1, 3, 2)]
    assert talk.told == [None, GivenBack(FIRST, (2, 3)), CaughtUp()]


def test_a_worker_finishes_only_when_it_is_known_that_its_last_test_runs_no_more() -> None:
    talk = Talk(1, run(0, 0))
    talk.tell(ItemBegan(FIRST, TestIndex(0)))
    again = talk.tell(ItemFinished(FIRST, TestIndex(0)), run(1, 0))
    assert assign(1, 1) in again  # one more copy of it
    talk.tell(ItemBegan(SECOND, TestIndex(1)))
    assert talk.tell(ItemFinished(SECOND, TestIndex(1)))[-2:] == [Finish(FIRST), Finish(SECOND)]


def test_when_nothing_moves_it_is_asked_to_go_on_and_then_its_name_is_said() -> None:
    talk = Talk(1, Decided())
    reason = "the scheduler Mine has given these tests to no worker"
    assert talk.told == [None, WorkerUp(SECOND), CaughtUp(), AllIdle(), CaughtUp()]
    assert talk.first[:2] == [GiveUp(reason), NotRun((TestIndex(0),), reason)]
    assert talk.first[-2:] == [Finish(FIRST), Finish(SECOND)]


@pytest.mark.parametrize("event", [Tick(), WorkerReady(FIRST), Died(SECOND)])
def test_nothing_but_the_answer_comes_while_it_is_asked(event: Event) -> None:
    core = asking()
    with pytest.raises(LedgerError, match="instead of its answer"):
        core.handle(event, 0.0)
    assert core.handle(Decided(), 0.0) == [hold(1)]
    with pytest.raises(LedgerError, match="no scheduler was asked"):
        core.handle(Decided(), 0.0)


def test_a_run_that_is_stopped_awaits_no_answer() -> None:
    core = asking()
    assert core.handle(Stop(), 0.0) == [Assign(SECOND, (), "last"), Finish(SECOND)]
    assert core.handle(WorkerReady(FIRST), 0.0) == [Assign(FIRST, (), "last"), Finish(FIRST)]


def asking() -> Run:
    """A run that has asked a scheduler something."""
    core = Run(RunOptions(2))
    core.deal_by("Mine")
    core.handle(SuiteCollected(4), 0.0)
    assert core.handle(WorkerReady(SECOND), 0.0) == [Consult()]
    return core
