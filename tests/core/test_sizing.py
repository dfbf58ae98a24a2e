"""How many workers a run is to have: what more would gain, and what its share of a machine is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.advice.makespan import Batch, schedule
from pytest_procpar.core.record import changed
from pytest_procpar.core.sizing.claims import (
    CLAIM_BYTES,
    MOST_PROCESSORS,
    MOST_WORKERS,
    Claim,
    packed,
    unpacked,
)
from pytest_procpar.core.sizing.numbers import Limits, number_of, reason_of, size_to_expect
from pytest_procpar.core.sizing.sharing import LOOK_SECONDS, HostShare, share_of
from pytest_procpar.core.sizing.worth import START_SECONDS, batches_of, worth

MB = 1 << 20
SECOND = 10**9


def claims(processors: int, most: int = 40) -> st.SearchStrategy[list[Claim]]:
    """Runs that may use all of so many processors, in any order; no two came at the same time."""
    wants = st.lists(st.tuples(st.integers(0, 10**12), st.integers(1, most)), min_size=1, max_size=12)
    return wants.map(
        lambda some: [Claim(since, want, (1 << processors) - 1) for since, want in dict(some).items()]
    )


def shares(runs: list[Claim]) -> list[int]:
    return [share_of(run, [other for other in runs if other is not run]) for run in runs]


# --- what each run gets ---


@given(st.integers(1, 64).flatmap(lambda count: st.tuples(st.just(count), claims(count))))
def test_all_together_get_no_more_than_there_is_and_everybody_gets_one(case: tuple[int, list[Claim]]) -> None:
    processors, runs = case
    found = shares(runs)
    assert all(1 <= share <= run.want for share, run in zip(found, runs, strict=True))
    if len(runs) > 1:
        assert sum(found) <= max(processors, len(runs))


@given(st.integers(1, 64).flatmap(lambda count: st.tuples(st.just(count), claims(count))))
def test_nothing_is_left_over_while_somebody_wants_more(case: tuple[int, list[Claim]]) -> None:
    processors, runs = case
    found = shares(runs)
    if any(share < run.want for share, run in zip(found, runs, strict=True)):
        assert sum(found) >= processors


@given(st.integers(1, 64).flatmap(lambda count: st.tuples(st.just(count), claims(count))))
def test_who_gets_less_than_it_wants_has_as_much_as_anybody_but_for_one(
    case: tuple[int, list[Claim]],
) -> None:
    _, runs = case
    found = shares(runs)
    for share, run in zip(found, runs, strict=True):
        assert share == run.want or share >= max(found) - 1


@given(claims(16), st.data())
def test_a_run_gets_no_less_when_another_ends_or_wants_less(runs: list[Claim], data: st.DataObject) -> None:
    mine, *others = runs
    before = share_of(mine, others)
    if others:
        one = data.draw(st.sampled_from(others))
        rest = [other for other in others if other is not one]
        less = changed(one, want=data.draw(st.integers(1, one.want)))
        assert share_of(mine, rest) >= share_of(mine, [*rest, less]) >= before


@given(st.integers(1, 64), st.integers(1, 100), st.integers(0, 8), st.integers(1, 4))
def test_a_run_alone_gets_all_that_it_wants(processors: int, want: int, quota: int, threads: int) -> None:
    mine = Claim(1, want, (1 << processors) - 1, 7 if quota else 0, quota)
    elsewhere = Claim(0, 50, ((1 << 8) - 1) << processors)
    assert share_of(mine, [], threads) == share_of(mine, [elsewhere], threads) == want


@pytest.mark.parametrize(
    ("mine", "others", "threads", "share"),
    [
        (Claim(1, 16, 0xFFFF), [Claim(0, 16, 0xFFFF)], 1, 8),
        (Claim(1, 5, 0x1F), [Claim(0, 5, 0x1F)], 1, 2),  # the one that came first has the odd one
        (Claim(0, 5, 0x1F), [Claim(1, 5, 0x1F)], 1, 3),
        (Claim(1, 16, 0xFFFF), [Claim(0, 2, 0xFFFF)], 1, 14),
        (Claim(1, 4, 0xF), [Claim(0, 16, 0xFFFF)], 1, 4),  # the other one has twelve more to go to
        (Claim(1, 8, 0xFFFF), [Claim(0, 8, 0xFFFF)], 2, 4),  # eight cores of two threads
        (Claim(1, 2, 0xFFFF, 7, 2), [Claim(0, 2, 0xFFFF, 7, 2)], 1, 1),  # one container's two processors
        (Claim(1, 2, 0xFFFF, 7, 2), [Claim(0, 2, 0xFFFF, 8, 2)], 1, 2),
        (Claim(1, 2, 0x3), [Claim(0, 2, 0x3), Claim(2, 2, 0x3)], 1, 1),
    ],
)
def test_a_share(mine: Claim, others: list[Claim], threads: int, share: int) -> None:
    assert share_of(mine, others, threads) == share


# --- as runs come and go ---


def test_a_run_keeps_what_it_has_and_takes_what_others_leave() -> None:
    newcomer, older = Claim(20 * SECOND, 8, 0xFF), Claim(10 * SECOND, 8, 0xFF)
    share = HostShare(newcomer, [older])
    looks = [
        share.look(8, [older], 1.0),
        share.look(8, [changed(older, want=2)], 2.0),
        share.look(8, [older], 3.0),
        share.look(8, [], 4.0),
    ]
    assert (share.claim.want, looks) == (8, [4, 6, 6, 8])


def test_a_newcomer_has_its_share_at_once() -> None:
    assert HostShare(Claim(20 * SECOND, 8, 0xFF), [Claim(10 * SECOND, 8, 0xFF)]).workers == 4


def test_a_run_does_not_grow_into_what_a_newcomer_has() -> None:
    share = HostShare(Claim(0, 8, 0xFF), [Claim(-1, 8, 0xFF)])
    assert share.look(8, [Claim(10 * SECOND, 8, 0xFF)], 1.0) == 4


def test_a_run_of_a_given_number_follows_nobody_and_counts_for_others() -> None:
    fixed = HostShare(Claim(0, 8, 0xFF), [], follows=False)
    assert fixed.look(8, [Claim(-9, 8, 0xFF)], 1.0) == 8
    assert fixed.deadline() is None
    assert HostShare(Claim(1, 8, 0xFF), [fixed.claim]).workers == 4


def test_at_its_end_a_run_wants_only_what_it_can_use() -> None:
    share = HostShare(Claim(0, 8, 0xFF), [])
    share.look(3, [], 1.0)
    assert share.claim.want == 3
    share.look(0, [], 2.0)
    assert share.claim.want == 1


def test_only_who_wants_more_looks_though_nothing_happens() -> None:
    alone, short = HostShare(Claim(0, 8, 0xFF), []), HostShare(Claim(0, 8, 0xFF), [Claim(1, 8, 0xFF)])
    for one in (alone, short):
        assert one.wants_a_look(5.0)
    alone.look(8, [], 5.0)
    short.look(8, [Claim(-1, 8, 0xFF)], 5.0)
    assert not short.wants_a_look(5.0 + LOOK_SECONDS / 2)
    assert alone.deadline() is None
    assert short.deadline() == 5.0 + LOOK_SECONDS


@given(
    st.builds(
        Claim, st.integers(0, 2**64 - 1), st.integers(1, MOST_WORKERS),
        st.integers(1, 2**MOST_PROCESSORS - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1),
    )
)  # fmt: skip
def test_a_claim_is_read_as_it_was_written(claim: Claim) -> None:
    assert len(packed(claim)) == CLAIM_BYTES
    assert unpacked(packed(claim)) == claim


@given(st.binary(max_size=2 * CLAIM_BYTES))
def test_what_is_no_claim_is_none(data: bytes) -> None:
    assert unpacked(data) is None


@given(st.integers(0, CLAIM_BYTES - 1), st.integers(1, 255))
def test_half_a_claim_is_none(place: int, change: int) -> None:
    whole = Claim(1, 2, 3, 4, 5)
    data = bytearray(packed(whole))
    data[place] ^= change
    assert unpacked(bytes(data)) in (None, whole)  # what follows the checksum does not matter
    assert unpacked(packed(whole)[:place]) is None or place >= 160


# --- what more workers would gain ---


@given(
    st.lists(st.floats(0.0, 5.0), min_size=1, max_size=60),
    st.lists(
        st.tuples(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=9), st.floats(0.0, 2.0)), max_size=5
    ),
    st.integers(1, 12),
)
def test_the_number_is_about_as_fast_as_any_and_no_smaller_one_is(
    tests: list[float], dear: list[tuple[list[float], float]], most: int
) -> None:
    batches = [Batch(tuple(tests)), *(Batch(tuple(some), cost) for some, cost in dear)]
    took = {n: schedule(batches, n).seconds + n * START_SECONDS for n in range(1, most + 1)}
    found = worth(batches, most)
    assert found.seconds == took[found.workers]
    assert found.workers == most or found.seconds <= 1.03 * took[most] + 1e-9
    assert all(took[n] > found.seconds for n in range(1, found.workers))


@pytest.mark.parametrize(
    ("tests", "workers"),
    [
        ([60.0, *[0.1] * 100], 2),  # one long test: whoever else there is waits for it
        ([1.0] * 64, 16),
        ([1.0] * 4, 4),
        ([1.0] * 17, 9),  # two rounds, as with sixteen
        ([0.001] * 10, 1),
    ],
)
def test_what_is_worth_having(tests: list[float], workers: int) -> None:
    assert worth([Batch(tuple(tests))], 16).workers == workers


def test_what_shares_a_dear_fixture_is_kept_together() -> None:
    ids = [f"{file}.py::test[{n}]" for file in "ab" for n in range(3)]
    costs = {"": 9.0, "a.py": 5.0, "b.py": 0.001}
    found = batches_of(ids, [0.1] * 6, costs)
    assert sorted((batch.cost, len(batch.tests)) for batch in found) == [(0.0, 3), (5.0, 3)]
    assert worth(found, 16).workers == 2


def test_groups_are_not_divided() -> None:
    ids = [f"test[{n}]" for n in range(8)]
    found = batches_of(ids, [1.0] * 8, {"a.py": 5.0}, list("aaaabbcc"))
    assert sorted(batch.seconds for batch in found) == [2.0, 2.0, 4.0]
    assert worth(found, 16).workers == 2


# --- all limits together ---


@pytest.mark.parametrize(
    ("limits", "number", "reason"),
    [
        (Limits(16), 16, ""),
        (Limits(3), 3, ""),  # there are no more tests
        (Limits(16, worth=4), 4, "of 16 processors: more would gain nothing"),
        (Limits(16, worth=4, fitting=2), 2, "of 16 processors: memory for more is not left"),
        (Limits(16, fitting=0), 1, "of 16 processors: memory for more is not left"),
        (Limits(16, worth=9, share=8, runs=1), 8, "of 16 processors: shared with 1 other run"),
        (Limits(16, share=5, runs=2), 5, "of 16 processors: shared with 2 other runs"),
        (Limits(16, worth=4, share=4, runs=0), 4, "of 16 processors: more would gain nothing"),
    ],
)
def test_the_least_limit_counts_and_is_named(limits: Limits, number: int, reason: str) -> None:
    assert number_of(limits) == number
    assert reason_of(limits, 16) == reason


def test_a_worker_is_expected_to_take_what_one_took_or_a_part_of_what_it_is_forked_from() -> None:
    assert size_to_expect(5 * MB, 900 * MB) == 5 * MB
    assert size_to_expect(0, 900 * MB) == 225 * MB
    assert size_to_expect(0, 40 * MB) == 32 * MB
