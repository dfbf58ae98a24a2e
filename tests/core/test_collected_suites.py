"""Several collections make one suite if they are equal, and what they say of it is heard once."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.model import WorkerId
from pytest_procpar.core.run.collected_suites import CollectedSuites, Merged, difference

_A, _B, _C = map(WorkerId, range(3))

_WORKERS = st.integers(0, 3).map(WorkerId)
_IDS = st.lists(st.sampled_from("abcd"), max_size=6)

#: What a run goes through: a worker has collected these, or (None) is dead.
_STEPS = st.lists(st.tuples(_WORKERS, st.none() | _IDS), max_size=12)


@given(_STEPS)
def test_it_knows_who_is_left_and_who_collects(
    steps: list[tuple[WorkerId, list[str] | None]],
) -> None:
    gathering = CollectedSuites(map(WorkerId, range(4)))
    dead: set[WorkerId] = set()
    collected: dict[WorkerId, list[str]] = {}
    for worker, ids in steps:
        if ids is None:
            gathering.gone(worker)
            dead.add(worker)
        elif worker not in dead:  # the dead say nothing
            gathering.collected(worker, ids)
            collected[worker] = ids
        left = [w for w in map(WorkerId, range(4)) if w not in dead]
        assert gathering.left == left
        assert gathering.waiting == [w for w in left if w in collected]
        assert gathering.collecting == [w for w in left if w not in collected]
        assert gathering.complete == (bool(left) and all(w in collected for w in left))
        if gathering.complete:
            agree = all(collected[w] == collected[left[0]] for w in left)
            assert (gathering.disagreement() is None) == agree


def test_nobody_left_is_not_complete() -> None:
    gathering = CollectedSuites([_A])
    gathering.gone(_A)
    gathering.gone(_A)
    assert not gathering.complete


def test_disagreement_is_that_of_the_first_worker_and_the_first_that_differs() -> None:
    gathering = CollectedSuites([_A, _B, _C])
    gathering.collected(_C, ["a", "c"])
    gathering.collected(_B, ["a", "b"])
    gathering.collected(_A, ["a", "b"])
    text = gathering.disagreement()
    assert text is not None
    assert "Different tests were collected between gw0 and gw2" in text
    assert text.splitlines()[3:8] == ["@@ -1,2 +1,2 @@", " a", "-b", "+c", text.splitlines()[7]]


def test_the_same_tests_in_another_order_are_different() -> None:
    gathering = CollectedSuites([_A, _B])
    gathering.collected(_A, ["a", "b"])
    gathering.collected(_B, ["b", "a"])
    assert gathering.disagreement() is not None


def test_one_that_has_collected_nothing_differs_from_one_that_has() -> None:
    gathering = CollectedSuites([_A, _B])
    gathering.collected(_A, [])
    gathering.collected(_B, ["a"])
    assert "+a" in (gathering.disagreement() or "")


@given(_IDS, _IDS)
def test_a_difference_shows_all_that_differs(ids: list[str], other: list[str]) -> None:
    lines = difference(_A, ids, _B, other).splitlines()[1:-1]
    body = [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    less, more = Counter(ids), Counter(other)
    for line in body:
        (less if line[0] == "-" else more)[line[1:]] -= 1
    assert less == more  # what is left is what they have in common
    assert bool(body) == (ids != other)


def test_a_long_difference_is_cut() -> None:
    text = difference(_A, [f"a{i}" for i in range(1000)], _B, [f"b{i}" for i in range(1000)])
    assert len(text.splitlines()) < 210
    assert "\n... and 1803 more lines\n" in text


# --- what they say ---


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc")), max_size=40))
def test_each_thing_is_heard_as_often_as_the_one_who_says_it_most(said: list[tuple[int, str]]) -> None:
    merged = Merged()
    heard = Counter(what for source, what in said if merged.is_new(source, what))
    by_source: dict[str, Counter[int]] = {}
    for source, what in said:
        by_source.setdefault(what, Counter())[source] += 1
    assert heard == {what: max(counts.values()) for what, counts in by_source.items()}


def test_what_one_says_twice_is_heard_twice() -> None:
    merged = Merged()
    said = [(None, "a"), (None, "a"), (1, "a"), (1, "a"), (1, "a")]
    assert [merged.is_new(*what) for what in said] == [True, True, False, False, True]
