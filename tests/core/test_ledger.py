from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_procpar.core.ledger import Ledger, LedgerError, State
from pytest_procpar.core.model import TestIndex, WorkerId

GW0, GW1 = WorkerId(0), WorkerId(1)
T = TestIndex(5)

#: How a test comes to each state.
PATHS: dict[State, list[Callable[[Ledger], None]]] = {
    State.PENDING: [],
    State.ASSIGNED: [lambda ledger: ledger.assign(T, GW0)],
    State.RUNNING: [lambda ledger: ledger.assign(T, GW0), lambda ledger: ledger.begin(T, GW0)],
    State.SETTLED: [lambda ledger: ledger.drop(T)],
}

#: What can be done, from where, and where it leads.
MOVES: dict[str, tuple[Callable[[Ledger], None], State, State]] = {
    "assign": (lambda ledger: ledger.assign(T, GW1), State.PENDING, State.ASSIGNED),
    "take_back": (lambda ledger: ledger.take_back(T), State.ASSIGNED, State.PENDING),
    "begin": (lambda ledger: ledger.begin(T, GW0), State.ASSIGNED, State.RUNNING),
    "settle": (lambda ledger: ledger.settle(T), State.RUNNING, State.SETTLED),
    "drop": (lambda ledger: ledger.drop(T), State.PENDING, State.SETTLED),
    "reopen": (lambda ledger: ledger.reopen(T), State.SETTLED, State.PENDING),
}


def ledger_with(state: State) -> Ledger:
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
@pytest.mark.parametrize("state", State)
def test_a_test_moves_only_along_its_path(state: State, move: str) -> None:
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
    assert ledger.unbegun == 2 + (target in (State.PENDING, State.ASSIGNED))
    assert ledger.unsettled == 2 + (target is not State.SETTLED)


@pytest.mark.parametrize("state", State)
def test_a_test_has_an_owner_while_it_is_assigned_or_runs(state: State) -> None:
    owner = ledger_with(state).owner(T)
    assert owner == (GW0 if state in (State.ASSIGNED, State.RUNNING) else None)


@pytest.mark.parametrize("move", ["take_back", "settle"])
def test_a_test_that_leaves_its_worker_has_no_owner(move: str) -> None:
    act, source, _ = MOVES[move]
    ledger = ledger_with(source)
    act(ledger)
    assert ledger.owner(T) is None


def test_a_test_does_not_begin_on_a_worker_that_does_not_own_it() -> None:
    ledger = ledger_with(State.ASSIGNED)
    before = account(ledger)
    with pytest.raises(LedgerError, match="gw1"):
        ledger.begin(T, GW1)
    assert account(ledger) == before


def test_unsettled_tests_stand_in_collected_order() -> None:
    assert list(ledger_with(State.RUNNING).unsettled_tests()) == [4, 5, 6]
    assert list(ledger_with(State.SETTLED).unsettled_tests()) == [4, 6]
