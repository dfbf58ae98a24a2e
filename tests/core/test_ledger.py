from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_procpar.core.model import TestIndex, WorkerId
from pytest_procpar.core.run.ledger import ItemState, Ledger, LedgerError

GW0, GW1 = WorkerId(0), WorkerId(1)
T = TestIndex(5)

#: How a test comes to each state.
PATHS: dict[ItemState, list[Callable[[Ledger], None]]] = {
    ItemState.PENDING: [],
    ItemState.ASSIGNED: [lambda ledger: ledger.assign(T, GW0)],
    ItemState.RUNNING: [lambda ledger: ledger.assign(T, GW0), lambda ledger: ledger.begin(T, GW0)],
    ItemState.SETTLED: [lambda ledger: ledger.drop(T)],
}

#: What can be done, from where, and where it leads.
MOVES: dict[str, tuple[Callable[[Ledger], None], ItemState, ItemState]] = {
    "assign": (lambda ledger: ledger.assign(T, GW1), ItemState.PENDING, ItemState.ASSIGNED),
    "take_back": (lambda ledger: ledger.take_back(T), ItemState.ASSIGNED, ItemState.PENDING),
    "begin": (lambda ledger: ledger.begin(T, GW0), ItemState.ASSIGNED, ItemState.RUNNING),
    "settle": (lambda ledger: ledger.settle(T), ItemState.RUNNING, ItemState.SETTLED),
    "drop": (lambda ledger: ledger.drop(T), ItemState.PENDING, ItemState.SETTLED),
    "reopen": (lambda ledger: ledger.reopen(T), ItemState.SETTLED, ItemState.PENDING),
}


def ledger_with(state: ItemState) -> Ledger:
    """A ledger of the tests 4, 5 and 6, with 5 in that state."""
    ledger = Ledger(3, first=4)
    for step in PATHS[state]:
        step(ledger)
    return ledger


def account(ledger: Ledger) -> tuple[object, ...]:
    owners = [ledger.owner(TestIndex(i)) for i in (4, 5, 6)]
    states = [ledger.state(TestIndex(i)) for i in (4, 5, 6)]
    return owners, states, ledger.unbegun, ledger.unsettled


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("state", ItemState)
def test_a_test_moves_only_along_its_path(state: ItemState, move: str) -> None:
    act, source, target = MOVES[move]
    ledger = ledger_with(state)
    before = account(ledger)
    if state is source:
        act(ledger)
        assert ledger.state(T) is target
    else:
        with pytest.raises(LedgerError):
            act(ledger)
        assert account(ledger) == before


@pytest.mark.parametrize("move", MOVES)
def test_the_counts_are_those_of_the_states(move: str) -> None:
    act, source, target = MOVES[move]
    ledger = ledger_with(source)
    act(ledger)
    assert ledger.unbegun == 2 + (target in (ItemState.PENDING, ItemState.ASSIGNED))
    assert ledger.unsettled == 2 + (target is not ItemState.SETTLED)


@pytest.mark.parametrize("state", ItemState)
def test_a_test_has_an_owner_while_it_is_assigned_or_runs(state: ItemState) -> None:
    owner = ledger_with(state).owner(T)
    assert owner == (GW0 if state in (ItemState.ASSIGNED, ItemState.RUNNING) else None)


@pytest.mark.parametrize("move", ["take_back", "settle"])
def test_a_test_that_leaves_its_worker_has_no_owner(move: str) -> None:
    act, source, _ = MOVES[move]
    ledger = ledger_with(source)
    act(ledger)
    assert ledger.owner(T) is None


def test_a_test_does_not_begin_on_a_worker_that_does_not_own_it() -> None:
    ledger = ledger_with(ItemState.ASSIGNED)
    before = account(ledger)
    with pytest.raises(LedgerError, match="gw1"):
        ledger.begin(T, GW1)
    assert account(ledger) == before


def test_unsettled_tests_stand_in_collected_order() -> None:
    assert list(ledger_with(ItemState.RUNNING).unsettled_tests()) == [4, 5, 6]
    assert list(ledger_with(ItemState.SETTLED).unsettled_tests()) == [4, 6]
