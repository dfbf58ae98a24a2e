"""What is weighed before a worker is given up for good."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.model import WorkerId
from pytest_procpar.core.run.deadlock import (
    LIKELY_LEAST,
    LIKELY_TIMES,
    PROVEN_LEAST,
    PROVEN_MOST,
    PROVEN_TIMES,
    Deadlocks,
    Evidence,
    Frame,
    WorkerLook,
    frames_of,
)

GW0, GW1 = WorkerId(0), WorkerId(1)


def look(worker: WorkerId = GW0, evidence: Evidence = Evidence.PROVEN, mark: int = 0) -> WorkerLook:
    return WorkerLook(worker, evidence, mark)


def hopeless(watch: Deadlocks, now: float, longest: float = 0.0, silent_since: float = 0.0) -> list[WorkerId]:
    return watch.hopeless(now, longest=longest, silent_since=silent_since)


def test_who_is_proven_to_stand_still_is_hopeless_after_a_while() -> None:
    watch = Deadlocks()
    watch.looked([look()], 100.0)
    assert watch.proven(100.0) == []  # one look proves nothing
    watch.looked([look()], 100.0 + PROVEN_LEAST / 2)
    assert watch.proven(100.0 + PROVEN_LEAST / 2) == [GW0]
    assert hopeless(watch, 100.0 + PROVEN_LEAST - 0.1) == []
    assert hopeless(watch, 100.0 + PROVEN_LEAST) == [GW0]


def test_who_has_moved_begins_anew() -> None:
    watch = Deadlocks()
    watch.looked([look(mark=1)], 0.0)
    watch.looked([look(mark=2)], 100.0)
    assert hopeless(watch, 100.0 + PROVEN_LEAST - 0.1) == []
    assert watch.seconds(GW0, 101.0) == 1.0


def test_who_was_not_found_in_between_begins_anew() -> None:
    watch = Deadlocks()
    watch.looked([look()], 0.0)
    watch.looked([], 50.0)
    watch.looked([look()], 100.0)
    assert hopeless(watch, 100.0 + PROVEN_LEAST - 0.1) == []


def test_where_tests_take_long_it_takes_longer_but_not_for_ever() -> None:
    watch = Deadlocks()
    watch.looked([look()], 0.0)
    longest = 2 * PROVEN_LEAST
    assert hopeless(watch, PROVEN_TIMES * longest - 0.1, longest) == []
    assert hopeless(watch, PROVEN_TIMES * longest, longest) == [GW0]
    assert hopeless(watch, PROVEN_MOST, 1e6) == [GW0]


def test_one_that_is_proven_is_given_up_though_others_go_on() -> None:
    watch = Deadlocks()
    watch.looked([look(), look(GW1, Evidence.NONE)], 0.0)
    assert hopeless(watch, PROVEN_LEAST) == [GW0]


def test_who_is_about_to_be_given_up_goes_with_the_others() -> None:
    watch = Deadlocks()
    watch.looked([look()], 0.0)
    watch.looked([look(), look(GW1)], 1.0)
    assert hopeless(watch, PROVEN_LEAST) == [GW0, GW1]


def test_what_is_likely_only_counts_if_it_goes_for_all_and_nothing_has_ended() -> None:
    likely = [look(worker, Evidence.LIKELY) for worker in (GW0, GW1)]
    watch = Deadlocks()
    watch.looked(likely, 0.0)
    assert hopeless(watch, LIKELY_LEAST - 0.1) == []
    assert hopeless(watch, LIKELY_LEAST) == [GW0, GW1]
    assert hopeless(watch, LIKELY_LEAST, silent_since=1.0) == []
    assert hopeless(watch, LIKELY_LEAST, longest=LIKELY_LEAST / LIKELY_TIMES + 1) == []
    watch.looked([likely[0], look(GW1, Evidence.NONE)], 0.0)
    assert hopeless(watch, 1e9) == []


LOOKS = st.lists(
    st.tuples(
        st.floats(0.1, 40.0),
        st.dictionaries(
            st.sampled_from([GW0, GW1]), st.tuples(st.sampled_from(Evidence), st.integers(0, 2)), max_size=2
        ),
    ),
    max_size=30,
)


@given(looks=LOOKS, longest=st.floats(0.0, 100.0))
def test_nobody_is_given_up_who_has_moved_or_of_whom_nothing_speaks_for_it(
    looks: list[tuple[float, dict[WorkerId, tuple[Evidence, int]]]], longest: float
) -> None:
    watch, now = Deadlocks(), 0.0
    history: list[tuple[float, dict[WorkerId, tuple[Evidence, int]]]] = []
    for seconds, found in looks:
        now += seconds
        history.append((now, found))
        watch.looked([WorkerLook(worker, *how) for worker, how in found.items()], now)
        for worker in hopeless(watch, now, longest):
            how = found[worker]
            assert how[0] is not Evidence.NONE
            least = PROVEN_LEAST / 2 if how[0] is Evidence.PROVEN else LIKELY_LEAST
            meanwhile = [then for when, then in history if when > now - least]
            assert all(then.get(worker) == how for then in meanwhile)
            if how[0] is not Evidence.PROVEN and not any(e is Evidence.PROVEN for e, _ in found.values()):
                assert all(e is not Evidence.NONE for e, _ in found.values())


def test_the_stack_is_the_main_threads() -> None:
    stacks = (
        "Thread 0x1 (most recent call first):\n"
        '  File "/usr/lib/python3/threading.py", line 5 in wait\n\n'
        "Current thread 0x2 [name] (most recent call first):\n"
        '  File "/site/lib/a b.py", line 12 in <module>\n'
        '  File "/project/test_it.py", line 3 in test\n'
    )
    frames = frames_of(stacks)
    assert frames == [Frame("/site/lib/a b.py", 12, "<module>"), Frame("/project/test_it.py", 3, "test")]
    assert frames[0].within(["/site", "/root"]) == "lib/a b.py:12 in <module>"
    assert frames[1].within(["/elsewhere"]) == "/project/test_it.py:3 in test"
    assert frames_of("") == []
