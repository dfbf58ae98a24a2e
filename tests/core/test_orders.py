from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.survey.orders import OrderError, SuiteOrder, parse_order, shuffled

NODEIDS = st.lists(st.text(st.characters(), max_size=8), max_size=30)
SEEDS = st.integers() | st.text()


@given(NODEIDS, SEEDS)
def test_a_random_order_has_every_test_once(nodeids: list[str], seed: int | str) -> None:
    assert sorted(shuffled(nodeids, seed)) == list(range(len(nodeids)))


@given(NODEIDS, SEEDS, st.data())
def test_a_subset_keeps_its_relative_order(nodeids: list[str], seed: int | str, data: st.DataObject) -> None:
    unique = list(dict.fromkeys(nodeids))
    subset = [nodeid for nodeid in unique if data.draw(st.booleans())]
    whole = [unique[i] for i in shuffled(unique, seed)]
    assert [subset[i] for i in shuffled(subset, seed)] == [nodeid for nodeid in whole if nodeid in subset]


@given(NODEIDS, SEEDS, st.randoms(use_true_random=False))
def test_the_collected_order_does_not_matter(nodeids: list[str], seed: int | str, chance: object) -> None:
    mixed = list(nodeids)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    assert [mixed[i] for i in shuffled(mixed, seed)] == [nodeids[i] for i in shuffled(nodeids, seed)]


@given(NODEIDS, SEEDS)
def test_the_later_ones_of_a_shared_nodeid_can_be_left_out(nodeids: list[str], seed: int | str) -> None:
    seen: Counter[str] = Counter()
    firsts = []
    for place, nodeid in enumerate(nodeids):
        if not seen[nodeid]:
            firsts.append(place)
        seen[nodeid] += 1
    whole = [place for place in shuffled(nodeids, seed) if place in firsts]
    assert [firsts[i] for i in shuffled([nodeids[i] for i in firsts], seed)] == whole


def test_another_seed_is_another_order() -> None:
    nodeids = [f"t.py::test[{i}]" for i in range(50)]
    orders = {tuple(shuffled(nodeids, seed)) for seed in range(20)}
    assert len(orders) == 20
    assert tuple(range(50)) not in orders


def test_every_test_comes_first_about_as_often() -> None:
    nodeids = [f"t.py::test[{i}]" for i in range(4)]
    firsts = Counter(shuffled(nodeids, seed)[0] for seed in range(1000))
    assert all(200 < firsts[i] < 300 for i in range(4))


def test_an_order_is_the_same_on_every_machine_and_for_ever() -> None:
    assert shuffled([f"t.py::test[{i}]" for i in range(8)], 7) == [5, 6, 7, 1, 2, 3, 4, 0]


def test_a_seed_is_the_same_as_a_number_or_a_text() -> None:
    assert shuffled("abcdef", 7) == shuffled("abcdef", "7")


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("reverse", SuiteOrder(random=False)),
        ("random", SuiteOrder(random=True)),
        ("random:7", SuiteOrder(random=True, seed="7")),
        ("random:a:b", SuiteOrder(random=True, seed="a:b")),
    ],
)
def test_an_order_is_named(text: str, order: SuiteOrder) -> None:
    assert parse_order(text) == order


@pytest.mark.parametrize("text", ["", "Reverse", "random:", "random: ", "reverse:7", "7", "shuffle:7"])
def test_anything_else_is_no_order_and_the_value_is_named(text: str) -> None:
    with pytest.raises(OrderError, match="give reverse, random or random:SEED") as caught:
        parse_order(text)
    assert repr(text) in str(caught.value)
