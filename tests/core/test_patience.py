"""How long who is asked to end is waited for: everybody is ended in the end, and nobody who ends in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.run.patience import (
    AT_ONCE_SECONDS,
    HEAR_SECONDS,
    LEAVE_SECONDS,
    NUDGED_SECONDS,
    REST_SECONDS,
    Patience,
    PatienceStep,
)


def steps(patience: Patience) -> list[tuple[float, PatienceStep]]:
    """What is done, and when, if nothing happens any more."""
    done = []
    while (due := patience.deadline()) is not None:
        assert patience.due(due - 0.001) is None
        step = patience.due(due)
        assert step is not None
        done.append((due, step))
    return done


def test_nobody_waits_for_one_that_is_not_asked() -> None:
    patience = Patience()
    patience.heard(1.0)
    patience.left(2.0)
    assert steps(patience) == []


def test_one_that_does_not_hear_is_nudged_and_ended() -> None:
    patience = Patience()
    patience.asked(10.0)
    nudge = 10.0 + HEAR_SECONDS
    assert steps(patience) == [(nudge, PatienceStep.NUDGE), (nudge + NUDGED_SECONDS, PatienceStep.END)]


def test_one_that_hears_has_time_for_its_processes_and_then_for_its_reports() -> None:
    patience = Patience()
    patience.asked(10.0)
    patience.heard(10.5)
    assert patience.deadline() == 10.5 + LEAVE_SECONDS
    patience.left(12.0)
    assert steps(patience) == [(12.0 + REST_SECONDS, PatienceStep.END)]


def test_an_interrupt_that_is_heard_may_take_its_time() -> None:
    patience = Patience()
    patience.asked(10.0, interrupt=True)
    patience.heard(10.5)
    assert steps(patience) == []
    patience.asked(20.0, interrupt=True)
    assert steps(patience) == [(20.0 + NUDGED_SECONDS, PatienceStep.END)]


def test_one_that_is_asked_again_is_ended_at_once() -> None:
    for first, second in ((False, False), (True, False)):
        patience = Patience()
        patience.asked(10.0, interrupt=first)
        patience.heard(10.1)
        patience.asked(11.0, interrupt=second)
        assert steps(patience) == [(11.0 + AT_ONCE_SECONDS, PatienceStep.END)]


HAPPENS = st.sampled_from(["asked", "interrupt", "heard", "left", "wait"])


@given(st.lists(st.tuples(HAPPENS, st.floats(0, 20)), max_size=12))
def test_who_is_asked_for_good_is_ended_within_bounds_whatever_happens(
    events: list[tuple[str, float]],
) -> None:
    patience, now = Patience(), 0.0
    patience.asked(now)
    ended = False
    for what, seconds in events:
        match what:
            case "asked" | "interrupt":
                patience.asked(now, interrupt=what == "interrupt")
            case "heard":
                patience.heard(now)
            case "left":
                patience.left(now)
            case _:
                pass
        while (due := patience.deadline()) is not None and due <= now + seconds:
            ended = patience.due(due) is PatienceStep.END or ended
        now += seconds
    assert ended or steps(patience)[-1][1] is PatienceStep.END
