from __future__ import annotations

import pytest

from pytest_procpar.core.model import Dist, RunOptions, TestIndex, WorkerId
from pytest_procpar.core.run.crew import START_TIMEOUT
from pytest_procpar.core.run.events import (
    Assign,
    Crashed,
    Died,
    Effect,
    Event,
    Fewer,
    Finish,
    GiveUp,
    Interrupt,
    ItemBegan,
    ItemFinished,
    ItemPutBack,
    Kill,
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
from pytest_procpar.core.run.ledger import LedgerError
from pytest_procpar.core.run.run import Run
from pytest_procpar.core.run.scheduler import HORIZON


class Desk:
    """A run, and short words for what happens to it. Time stands still unless told otherwise."""

    def __init__(
        self,
        workers: int,
        tests: int,
        dist: Dist = Dist.LOAD,
        *,
        keys: str | None = None,
        ready: bool = True,
        in_hand: int = 64,
        max_restarts: int | None = None,
        pinned: bool = False,
    ) -> None:
        self.run = Run(RunOptions(workers, dist, max_restarts=max_restarts, pinned=pinned), in_hand)
        self.now = 0.0
        self.first = self.tell(SuiteCollected(tests, None if keys is None else tuple(keys)))
        if ready:
            for worker in range(workers):
                self.ready(worker)

    def later(self) -> None:
        """Let so much time pass that it is worth asking a worker for what it has not begun."""
        self.now += HORIZON

    def tell(self, event: Event) -> list[Effect]:
        return self.run.handle(event, self.now)

    def ready(self, worker: int) -> list[Effect]:
        return self.tell(WorkerReady(WorkerId(worker)))

    def began(self, worker: int, test: int) -> list[Effect]:
        return self.tell(ItemBegan(WorkerId(worker), TestIndex(test)))

    def finished(self, worker: int, test: int) -> list[Effect]:
        return self.tell(ItemFinished(WorkerId(worker), TestIndex(test)))

    def ran(self, worker: int, *tests: int) -> list[Effect]:
        return [e for test in tests for e in (*self.began(worker, test), *self.finished(worker, test))]

    def revoked(self, worker: int, *tests: int) -> list[Effect]:
        return self.tell(Revoked(WorkerId(worker), tuple(map(TestIndex, tests))))

    def died(self, worker: int) -> list[Effect]:
        return self.tell(Died(WorkerId(worker)))

    def refused(self, worker: int) -> list[Effect]:
        return self.tell(Refused(WorkerId(worker), "no room"))

    def put_back(self, test: int) -> list[Effect]:
        return self.tell(ItemPutBack(TestIndex(test)))


def spawn(worker: int, replaces: int | None = None) -> Spawn:
    return Spawn(WorkerId(worker), None if replaces is None else WorkerId(replaces))


def assign(worker: int, *tests: int, then: str | None = None) -> Assign:
    return Assign(WorkerId(worker), tuple(map(TestIndex, tests)), then)  # type: ignore[arg-type]


def crashed(worker: int, test: int) -> Crashed:
    return Crashed(WorkerId(worker), TestIndex(test))


def revoke(worker: int) -> Revoke:
    return Revoke(WorkerId(worker))


def finish(worker: int) -> Finish:
    return Finish(WorkerId(worker))


# --- the start --------------------------------------------------------------------------------------


def test_as_many_workers_are_spawned_as_asked_for() -> None:
    assert Desk(3, 9, ready=False).first == [spawn(0), spawn(1), spawn(2)]


def test_there_are_no_more_workers_than_tests() -> None:
    assert Desk(3, 2, ready=False).first == [spawn(0), spawn(1)]


def test_each_has_all_its_workers_however_few_the_tests() -> None:
    assert len(Desk(3, 1, Dist.EACH, ready=False).first) == 3


def test_a_suite_without_tests_has_one_worker_which_finishes_its_session() -> None:
    desk = Desk(3, 0, ready=False)
    assert desk.first == [spawn(0)]
    assert desk.ready(0) == [assign(0, then="last"), finish(0)]
    desk.died(0)
    assert desk.run.over


def test_the_first_tests_go_to_the_workers_in_order_whoever_comes_up_first() -> None:
    desk = Desk(2, 40, ready=False)
    assert desk.ready(1) == [assign(1, *range(10, 17))]
    assert desk.ready(0) == [assign(0, *range(10))]


def test_a_worker_that_is_coming_up_keeps_its_first_batch() -> None:
    desk = Desk(2, 2, ready=False)
    desk.ready(0)
    assert desk.began(0, 0) == [assign(0, then="hold")]
    assert desk.finished(0, 0) == []
    assert desk.ready(1) == [assign(1, 1, then="last")]


def test_those_who_wait_share_what_a_late_worker_has_reserved() -> None:
    desk = Desk(2, 4, Dist.WORKSTEAL, ready=False)
    desk.ready(0)
    desk.ran(0, 0, 1)
    assert desk.ready(1) == [assign(1, 2, 3, then="last")]
    desk.later()
    assert desk.tell(Tick()) == [revoke(1)]
    assert desk.revoked(1, 2, 3) == [assign(0, 3), assign(1, 2)]


def test_under_each_every_worker_gets_a_copy_of_all_tests() -> None:
    desk = Desk(2, 3, Dist.EACH, ready=False)
    assert desk.ready(0) == [assign(0, 0, 1, 2, then="last")]
    assert desk.ready(1) == [assign(1, 3, 4, 5, then="last")]


# --- the course -------------------------------------------------------------------------------------


def test_the_worker_that_has_all_that_is_left_knows_that_it_is_the_last() -> None:
    assert Desk(1, 1, ready=False).ready(0) == [assign(0, 0, then="last")]


def test_all_workers_finish_once_the_last_test_has_ended() -> None:
    desk = Desk(2, 2)
    assert desk.began(0, 0) == [assign(0, then="hold")]
    assert desk.began(1, 1) == [assign(1, then="last"), assign(0, then="last")]
    assert desk.finished(0, 0) == []
    assert desk.finished(1, 1) == [finish(0), finish(1)]


def test_a_worker_draws_its_next_batch_as_its_last_test_begins() -> None:
    desk = Desk(1, 4, ready=False)
    assert desk.ready(0) == [assign(0, 0, 1)]
    assert desk.began(0, 0) == []
    desk.finished(0, 0)
    assert desk.began(0, 1) == [assign(0, 2)]


def test_a_worker_with_fast_tests_draws_ahead() -> None:
    desk = Desk(1, 40, ready=False)
    desk.ready(0)
    desk.now = 0.001
    desk.ran(0, 0)
    assert desk.began(0, 1) == [assign(0, *range(20, 30))]


def test_a_worker_with_slow_tests_does_not_draw_ahead() -> None:
    desk = Desk(1, 40, ready=False)
    desk.ready(0)
    desk.now = 1.0
    desk.ran(0, 0)
    assert desk.began(0, 1) == []


def test_a_worker_in_whose_hand_few_tests_are_left_is_sent_more() -> None:
    desk = Desk(1, 6, Dist.WORKSTEAL, ready=False, in_hand=2)
    assert desk.ready(0) == [assign(0, 0, 1, 2, 3)]
    assert desk.ran(0, 0, 1) == []
    assert desk.ran(0, 2) == [assign(0, 4, 5, then="last")]


def test_the_controller_is_in_a_hurry_while_a_worker_has_little_in_hand() -> None:
    desk = Desk(1, 8, Dist.WORKSTEAL, in_hand=8)
    assert not desk.run.hungry()
    desk.ran(0, 0, 1, 2, 3)
    assert not desk.run.hungry()
    desk.ran(0, 4)
    assert desk.run.hungry()


def test_running_says_who_runs_what() -> None:
    desk = Desk(2, 2)
    desk.began(0, 0)
    desk.began(1, 1)
    desk.finished(0, 0)
    assert desk.run.running() == {1: 1}


@pytest.mark.parametrize(
    "event",
    [
        ItemBegan(WorkerId(0), TestIndex(1)),
        ItemBegan(WorkerId(1), TestIndex(0)),
        ItemBegan(WorkerId(9), TestIndex(0)),
        ItemFinished(WorkerId(0), TestIndex(0)),
        ItemFinished(WorkerId(9), TestIndex(0)),
        WorkerReady(WorkerId(0)),
        WorkerReady(WorkerId(9)),
        Died(WorkerId(9)),
    ],
    ids=repr,
)
def test_an_event_that_cannot_be_is_refused_and_changes_nothing(event: Event) -> None:
    desk = Desk(2, 8)
    with pytest.raises(LedgerError):
        desk.tell(event)
    assert desk.ran(0, 0, 1) == Desk(2, 8).ran(0, 0, 1)


# --- taking back ------------------------------------------------------------------------------------


def test_a_worker_takes_half_of_what_another_has_left_as_its_last_test_begins() -> None:
    desk = Desk(2, 10, Dist.WORKSTEAL)
    desk.began(1, 5)
    desk.later()
    desk.ran(0, 0, 1, 2, 3)
    assert desk.began(0, 4) == [revoke(1), assign(0, then="hold")]
    assert desk.revoked(1, 6, 7, 8, 9) == [assign(0, 8, 9), assign(1, 6, 7)]


def test_nothing_is_taken_from_a_worker_before_it_is_seen_to_be_slow() -> None:
    desk = Desk(2, 4, Dist.WORKSTEAL)
    desk.began(1, 2)
    desk.ran(0, 0)
    assert desk.began(0, 1) == [assign(0, then="hold")]
    assert desk.finished(0, 1) == []
    assert desk.run.deadline() == HORIZON
    desk.later()
    assert desk.tell(Tick()) == [revoke(1)]
    assert desk.run.deadline() is None


def test_a_worker_that_was_quick_keeps_its_tests() -> None:
    desk = Desk(2, 4, Dist.WORKSTEAL)
    desk.began(1, 2)
    desk.ran(0, 0, 1)
    desk.now += HORIZON / 2
    desk.finished(1, 2)
    desk.began(1, 3)
    desk.now += HORIZON / 2
    assert desk.tell(Tick()) == []
    assert desk.run.deadline() is None


def test_slow_tests_are_taken_at_once() -> None:
    desk = Desk(2, 8, Dist.WORKSTEAL)
    desk.now = 1.0
    desk.ran(1, 4)
    desk.began(1, 5)
    assert revoke(1) in desk.ran(0, 0, 1, 2, 3)


def test_few_tests_are_dealt_at_once_and_neighbours_stay_together() -> None:
    desk = Desk(2, 3, ready=False)
    assert (desk.ready(0), desk.ready(1)) == ([assign(0, 0)], [assign(1, 1, 2)])


def test_what_was_not_handed_out_is_taken_without_asking() -> None:
    desk = Desk(2, 12, Dist.WORKSTEAL, in_hand=1)
    desk.ran(0, 0, 1, 2, 3, 4)
    desk.later()
    assert desk.began(0, 5) == [assign(0, 9, 10)]


def test_a_test_that_has_been_claimed_stays_where_it_is() -> None:
    desk = Desk(2, 4, Dist.WORKSTEAL)
    desk.began(1, 2)
    desk.later()
    desk.ran(0, 0)
    desk.began(0, 1)
    assert desk.finished(0, 1) == [revoke(1)]
    assert desk.revoked(1) == []
    # It is not asked for again, though the controller has not heard yet that it began.
    assert desk.finished(1, 2) == []
    assert assign(1, then="last") in desk.began(1, 3)


def test_two_free_workers_do_not_pass_the_last_test_to_and_fro() -> None:
    desk = Desk(2, 4, Dist.WORKSTEAL)
    desk.ran(1, 2)
    # gw1 begins test 3 at any moment.
    assert revoke(1) not in desk.ran(0, 0, 1)


def test_a_waiting_worker_takes_the_last_test_of_a_busy_one() -> None:
    desk = Desk(2, 4, Dist.WORKSTEAL)
    desk.began(1, 2)
    desk.later()
    desk.ran(0, 0, 1)
    assert desk.revoked(1, 3) == [assign(0, 3, then="last"), assign(1, then="hold")]


def test_what_stood_behind_the_tests_taken_back_is_said_again() -> None:
    desk = Desk(2, 4, Dist.WORKSTEAL)
    desk.ran(0, 0)
    desk.began(0, 1)
    desk.died(1)
    desk.finished(0, 1)
    assert desk.began(0, 2) == [assign(0, 3, then="last")]
    desk.later()
    assert desk.ready(2) == [revoke(0), assign(2, then="hold")]
    assert desk.revoked(0) == []
    assert desk.finished(0, 2) == []
    assert desk.began(0, 3) == [assign(0, then="last"), assign(2, then="last")]


def test_the_rest_of_a_group_goes_back_to_the_worker_that_began_it() -> None:
    desk = Desk(2, 5, Dist.LOADSCOPE, keys="aaabc")
    desk.now = 0.001
    desk.ran(0, 0)
    assert desk.began(0, 1) == [assign(0, 4)]
    desk.began(1, 3)
    desk.later()
    assert desk.finished(1, 3) == [revoke(0)]
    assert desk.revoked(0, 2, 4) == [assign(0, 2), assign(1, 4)]


def test_nothing_is_said_to_a_worker_whose_answer_is_out() -> None:
    desk = Desk(2, 4, Dist.WORKSTEAL)
    desk.began(1, 2)
    desk.later()
    desk.ran(0, 0)
    desk.began(0, 1)
    assert desk.finished(0, 1) == [revoke(1)]
    desk.finished(1, 2)
    assert desk.began(1, 3) == [assign(0, then="last")]
    assert desk.revoked(1) == [assign(1, then="last")]


def test_a_group_that_has_not_begun_is_taken_as_a_whole() -> None:
    desk = Desk(2, 5, Dist.LOADSCOPE, keys="aabbc", ready=False)
    desk.ready(0)
    desk.now = 0.001
    desk.began(0, 0)
    desk.finished(0, 0)
    assert desk.began(0, 1) == [assign(0, 4)]
    assert desk.ready(1) == [assign(1, 2, 3)]
    # gw1 begins c last; gw0 has nothing but c.
    desk.began(1, 2)
    desk.finished(1, 2)
    desk.began(1, 3)
    desk.later()
    assert desk.finished(1, 3) == [revoke(0)]
    assert desk.revoked(0, 4) == [assign(1, 4, then="last"), assign(0, then="hold")]


# --- deaths -----------------------------------------------------------------------------------------


def test_a_test_whose_worker_dies_has_crashed_and_the_rest_goes_to_others() -> None:
    desk = Desk(2, 4, Dist.WORKSTEAL)
    desk.began(0, 0)
    assert desk.died(0) == [crashed(0, 0), spawn(2, replaces=0)]
    assert desk.ready(2) == [assign(2, 1)]


def test_a_crash_between_tests_blames_no_test() -> None:
    desk = Desk(1, 2)
    desk.ran(0, 0)
    assert desk.died(0) == [spawn(1, replaces=0)]
    assert desk.ready(1) == [assign(1, 1, then="last")]


def test_the_rest_of_a_group_goes_to_another_worker_as_a_group() -> None:
    desk = Desk(2, 5, Dist.LOADFILE, keys="aaabb")
    desk.began(0, 0)
    desk.died(0)
    assert desk.ready(2) == [assign(2, 1, 2)]


def test_a_worker_that_dies_when_nothing_is_left_to_begin_is_not_replaced() -> None:
    desk = Desk(2, 2)
    desk.began(0, 0)
    desk.began(1, 1)
    assert desk.died(0) == [crashed(0, 0)]
    assert desk.finished(1, 1) == [finish(1)]


def test_under_each_a_worker_that_has_run_all_its_copies_is_not_replaced() -> None:
    desk = Desk(2, 1, Dist.EACH)
    desk.ran(0, 0)
    assert desk.died(0) == []
    assert desk.ran(1, 1) == [finish(1)]


def test_under_each_a_replacement_inherits_the_copies_of_the_dead() -> None:
    desk = Desk(2, 2, Dist.EACH)
    desk.began(1, 2)
    assert desk.died(1) == [crashed(1, 2), spawn(2, replaces=1)]
    assert desk.ready(2) == [assign(2, 3, then="last")]


def test_under_each_a_worker_that_is_through_is_not_told_to_hold_for_the_others() -> None:
    desk = Desk(2, 2, Dist.EACH)
    assert desk.ran(0, 0, 1) == []  # "last" came with its tests


def test_a_worker_that_waits_takes_what_a_dead_one_leaves() -> None:
    desk = Desk(2, 4, Dist.WORKSTEAL)
    desk.ran(0, 0, 1)
    assert desk.died(1) == [spawn(2, replaces=1), assign(0, 2)]


def test_under_each_nobody_finishes_before_all_copies_are_settled() -> None:
    desk = Desk(2, 1, Dist.EACH)
    assert desk.ran(1, 1) == []
    assert desk.ran(0, 0) == [finish(0), finish(1)]


def test_beyond_max_restarts_the_others_go_on() -> None:
    desk = Desk(2, 4, Dist.WORKSTEAL, max_restarts=0)
    desk.began(0, 0)
    assert desk.died(0) == [crashed(0, 0), GiveUp("worker gw0 crashed and worker restarting disabled")]
    assert desk.began(1, 2) == []
    desk.finished(1, 2)
    assert assign(1, 1, then="last") in desk.began(1, 3)
    desk.finished(1, 3)
    assert desk.ran(1, 1) == [finish(1)]


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        (0, "worker gw0 crashed and worker restarting disabled"),
        (1, "maximum crashed workers reached: 1"),
    ],
)
def test_without_a_worker_left_the_rest_is_not_run_for_a_reason(limit: int, reason: str) -> None:
    desk = Desk(1, 3, max_restarts=limit)
    for worker in range(limit):
        desk.died(worker)
        desk.ready(worker + 1)
    desk.began(limit, 0)
    assert desk.died(limit) == [
        crashed(limit, 0),
        GiveUp(reason),
        NotRun((TestIndex(1), TestIndex(2)), reason),
    ]
    assert desk.run.over


def test_a_limit_that_is_passed_is_named_though_nothing_is_left_to_run() -> None:
    desk = Desk(2, 2, max_restarts=1)
    desk.began(0, 0)
    desk.began(1, 1)
    assert desk.died(0) == [crashed(0, 0)]
    assert desk.died(1) == [crashed(1, 1), GiveUp("maximum crashed workers reached: 1")]
    assert desk.run.over


def test_all_workers_come_up_for_one_test_if_somebody_waits_for_all() -> None:
    run = Run(RunOptions(workers=3))
    run.all_wanted = True
    assert run.workers_for(1) == run.workers_for(0) == 3
    assert run.handle(SuiteCollected(1), 0.0) == [spawn(0), spawn(1), spawn(2)]


def test_under_each_a_partition_without_a_worker_is_given_up_and_the_others_go_on() -> None:
    desk = Desk(3, 2, Dist.EACH, max_restarts=0)
    first = "worker gw0 crashed and worker restarting disabled"
    assert desk.died(0) == [GiveUp(first), NotRun((TestIndex(0), TestIndex(1)), first)]
    assert desk.ran(1, 2, 3) == []
    assert desk.ran(2, 4, 5) == [finish(1), finish(2)]


def test_the_same_reason_for_giving_up_is_given_once() -> None:
    desk = Desk(3, 1, Dist.EACH, max_restarts=1)
    desk.died(0)
    effects = [*desk.died(1), *desk.died(2)]
    assert [e for e in effects if isinstance(e, GiveUp)] == [GiveUp("maximum crashed workers reached: 1")]
    assert len([e for e in effects if isinstance(e, NotRun)]) == 2


def test_run_goes_on_with_the_workers_that_can_be_had_and_says_so_once() -> None:
    desk = Desk(4, 4, ready=False)
    assert desk.refused(1) == []
    assert desk.ready(0) == [assign(0, 0)]
    assert desk.refused(3) == []
    assert desk.ready(2) == [assign(2, 2), Fewer(2, "no room")]


def test_replacement_that_cannot_be_had_leaves_the_tests_to_the_others() -> None:
    desk = Desk(2, 2)
    desk.began(0, 0)
    assert desk.died(0) == [crashed(0, 0), spawn(2, replaces=0)]
    assert desk.refused(2) == [Fewer(1, "no room")]
    assert desk.ran(1, 1)[-1] == finish(1)


def test_worker_that_cannot_go_on_leaves_its_tests_to_the_others() -> None:
    desk = Desk(2, 2)
    assert Fewer(1, "no room") in desk.refused(0)
    assert desk.ran(1, 1, 0)[-1] == finish(1)


def test_without_any_worker_the_tests_are_not_run_for_that_reason() -> None:
    desk = Desk(2, 2, ready=False)
    desk.refused(0)
    give_up, not_run = desk.refused(1)
    assert give_up == GiveUp("no room")
    assert isinstance(not_run, NotRun)
    assert (set(not_run.tests), not_run.reason) == ({0, 1}, "no room")
    assert desk.run.over


def test_workers_that_all_die_before_their_first_test_are_not_replaced_for_ever() -> None:
    desk = Desk(1, 1, ready=False)
    for worker in range(3):
        assert desk.died(worker) == [spawn(worker + 1, replaces=worker)]
    why = "4 workers in a row died before their first test"
    assert desk.died(3) == [GiveUp(why), NotRun((TestIndex(0),), why)]
    assert desk.run.over


def test_a_test_that_begins_clears_the_workers_that_died_before() -> None:
    desk = Desk(2, 6, Dist.WORKSTEAL)
    worker = 1
    for test in range(3):
        for _ in range(4):
            assert isinstance(desk.died(worker)[0], Spawn)
            worker = worker + 1
        desk.ran(0, test)


def test_a_worker_that_does_not_come_up_is_killed_and_replaced() -> None:
    desk = Desk(1, 1, ready=False)
    assert desk.run.deadline() == START_TIMEOUT
    assert desk.tell(Tick()) == []
    desk.now = START_TIMEOUT
    assert desk.tell(Tick()) == [Kill(WorkerId(0))]
    assert desk.tell(Tick()) == []
    assert desk.run.deadline() == 2 * START_TIMEOUT
    assert desk.died(0) == [spawn(1, replaces=0)]


def test_there_is_no_deadline_once_all_workers_are_up() -> None:
    assert Desk(2, 2).run.deadline() is None


def test_a_worker_that_ends_its_session_is_not_replaced_although_a_test_came_back() -> None:
    desk = Desk(2, 2)
    desk.ran(0, 0)
    desk.began(1, 1)
    assert desk.died(1) == [crashed(1, 1), finish(0)]
    assert desk.put_back(1) == [spawn(2)]
    assert desk.died(0) == []
    assert desk.ready(2) == [assign(2, 1, then="last")]
    assert desk.ran(2, 1) == [finish(2)]


# --- crashed tests that are put back ----------------------------------------------------------------


def test_a_test_put_back_runs_again_on_the_replacement() -> None:
    desk = Desk(1, 2)
    desk.began(0, 0)
    desk.died(0)
    assert desk.put_back(0) == []
    assert desk.ready(1) == [assign(1, 0)]
    assert desk.began(1, 0) == [assign(1, 1, then="last")]


def test_a_test_put_back_goes_to_a_worker_that_waits() -> None:
    desk = Desk(3, 3)
    desk.ran(0, 0)
    desk.began(1, 1)
    desk.began(2, 2)
    assert desk.died(1) == [crashed(1, 1)]
    assert desk.put_back(1) == [assign(0, 1, then="last")]


def test_a_test_put_back_goes_to_a_worker_that_runs_its_last_test() -> None:
    desk = Desk(2, 2)
    desk.began(0, 0)
    desk.began(1, 1)
    desk.died(0)
    assert desk.put_back(0) == [assign(1, 0, then="last")]
    assert desk.finished(1, 1) == []


def test_a_test_put_back_after_all_else_has_its_own_worker() -> None:
    desk = Desk(1, 1)
    desk.began(0, 0)
    assert desk.died(0) == [crashed(0, 0)]
    assert desk.put_back(0) == [spawn(1)]
    desk.ready(1)
    assert desk.ran(1, 0) == [finish(1)]


def test_under_each_a_test_put_back_stays_in_its_partition() -> None:
    desk = Desk(2, 2, Dist.EACH)
    desk.ran(1, 2)
    desk.began(1, 3)
    desk.died(1)
    assert desk.put_back(3) == [spawn(2)]
    assert desk.ready(2) == [assign(2, 3, then="last")]


def test_a_pinned_test_put_back_stays_in_its_partition() -> None:
    desk = Desk(2, 4, keys="0011", pinned=True)
    desk.ran(0, 0, 1)
    desk.ran(1, 2)
    desk.began(1, 3)
    desk.died(1)
    assert desk.put_back(3) == [spawn(2)]
    assert desk.ready(2) == [assign(2, 3, then="last")]


def test_what_a_dead_worker_leaves_of_its_pinned_tests_waits_for_its_replacement() -> None:
    desk = Desk(2, 5, keys="00111", pinned=True)
    desk.ran(0, 0, 1)
    desk.began(1, 2)
    assert desk.died(1) == [crashed(1, 2), spawn(2, replaces=1)]
    assert desk.ready(2) == [assign(2, 3, 4, then="last")]
    assert desk.ran(2, 3, 4) == [finish(0), finish(2)]


def test_a_test_put_back_is_not_run_if_no_worker_may_be_started_for_it() -> None:
    desk = Desk(1, 2, max_restarts=0)
    why = "worker gw0 crashed and worker restarting disabled"
    desk.began(0, 0)
    assert desk.died(0) == [crashed(0, 0), GiveUp(why), NotRun((TestIndex(1),), why)]
    assert desk.put_back(0) == [NotRun((TestIndex(0),), why)]
    assert desk.run.over


def test_the_worker_of_a_test_put_back_counts_as_a_restart() -> None:
    desk = Desk(1, 1, max_restarts=1)
    for worker in range(2):
        if worker > 0:
            desk.ready(worker)
        desk.began(worker, 0)
        died = desk.died(worker)
        effects = desk.put_back(0)
    why = "maximum crashed workers reached: 1"
    assert died == [crashed(1, 0), GiveUp(why)]
    assert effects == [NotRun((TestIndex(0),), why)]


def test_a_test_put_back_twice_runs_once() -> None:
    desk = Desk(1, 1)
    desk.began(0, 0)
    desk.died(0)
    desk.put_back(0)
    assert desk.put_back(0) == []
    desk.ready(1)
    assert desk.ran(1, 0) == [finish(1)]


def test_a_stopped_run_takes_no_test_back() -> None:
    desk = Desk(2, 2)
    desk.began(0, 0)
    desk.tell(Stop())
    desk.died(0)
    assert desk.put_back(0) == []
    assert list(desk.run.unsettled()) == [1]


# --- stop -------------------------------------------------------------------------------------------


def test_a_stop_takes_back_what_has_not_begun_and_lets_the_running_test_end() -> None:
    desk = Desk(1, 4, Dist.WORKSTEAL)
    desk.began(0, 0)
    assert desk.tell(Stop()) == [revoke(0)]
    # "last" was taken back with the tests, and the running one ends only with a word of what follows.
    assert desk.revoked(0, 1, 2, 3) == [assign(0, then="last")]
    assert desk.finished(0, 0) == [finish(0)]
    assert list(desk.run.unsettled()) == [1, 2, 3]
    desk.died(0)
    assert desk.run.over


def test_a_test_claimed_before_the_stop_is_run() -> None:
    desk = Desk(1, 3, Dist.WORKSTEAL)
    desk.began(0, 0)
    desk.tell(Stop())
    assert desk.revoked(0, 2) == []
    assert desk.finished(0, 0) == []
    assert desk.began(0, 1) == [assign(0, then="last")]
    assert desk.finished(0, 1) == [finish(0)]
    assert list(desk.run.unsettled()) == [2]


def test_tests_are_taken_back_before_the_running_one_is_interrupted() -> None:
    desk = Desk(1, 2, Dist.WORKSTEAL)
    desk.began(0, 0)
    assert desk.tell(Stop(interrupt=True)) == [revoke(0), Interrupt(WorkerId(0))]


def test_a_second_stop_only_interrupts() -> None:
    desk = Desk(1, 2, Dist.WORKSTEAL)
    desk.began(0, 0)
    desk.tell(Stop())
    desk.revoked(0)
    assert desk.tell(Stop(interrupt=True)) == [Interrupt(WorkerId(0))]
    assert desk.tell(Stop()) == []


def test_a_stopped_run_replaces_nobody() -> None:
    desk = Desk(1, 3)
    desk.began(0, 0)
    desk.tell(Stop())
    assert desk.died(0) == [crashed(0, 0)]
    assert desk.run.over
    assert list(desk.run.unsettled()) == [1, 2]


def test_a_worker_that_comes_up_after_the_stop_is_let_go() -> None:
    desk = Desk(1, 3, ready=False)
    assert desk.tell(Stop()) == []
    assert not desk.run.over
    assert desk.ready(0) == [assign(0, then="last"), finish(0)]


def test_a_stop_while_an_answer_is_out_waits_for_it() -> None:
    desk = Desk(2, 6, Dist.WORKSTEAL)
    desk.began(1, 3)
    desk.ran(0, 0, 1)
    desk.later()
    assert revoke(1) in desk.began(0, 2)
    assert desk.tell(Stop()) == [assign(0, then="last")]
    assert desk.revoked(1, 4, 5) == [assign(1, then="last")]
    desk.finished(0, 2)
    assert desk.finished(1, 3) == [finish(0), finish(1)]


def test_an_answer_that_comes_after_its_workers_death_is_ignored() -> None:
    desk = Desk(1, 3, Dist.WORKSTEAL)
    desk.tell(Stop())
    desk.died(0)
    assert desk.revoked(0, 0, 1, 2) == []


def test_a_run_stopped_before_the_collection_starts_nobody() -> None:
    run = Run(RunOptions(2))
    assert run.handle(Stop(interrupt=True), 0.0) == []
    assert run.over
    assert run.handle(SuiteCollected(3), 0.0) == []
    assert list(run.unsettled()) == [0, 1, 2]


def test_a_run_is_not_over_before_its_collection() -> None:
    assert not Run(RunOptions(2)).over
