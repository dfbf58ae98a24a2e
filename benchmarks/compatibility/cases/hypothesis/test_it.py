import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule


@given(st.lists(st.integers()))
def test_passes(numbers):
    assert sorted(numbers) == sorted(numbers, reverse=True)[::-1]


@given(number=st.integers())
def test_fails(number):
    note("a note")
    assert number < 100


@pytest.mark.parametrize("limit", [10, 20])
@given(number=st.integers(0, 5))
@settings(max_examples=20)
def test_parametrized(number, limit):
    assert number < limit


class Machine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.total = 0

    @rule(number=st.integers(1, 3))
    def add(self, number):
        self.total += number
        assert self.total < 4


TestMachine = Machine.TestCase
