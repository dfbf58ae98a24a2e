import random

import hypothesis
from hypothesis import given, settings
from hypothesis import strategies as st

OWN = random.Random(0)
hypothesis.register_random(OWN)


@settings(database=None, max_examples=20)
@given(st.integers())
def test_integers(i):
    assert i + OWN.randrange(10) >= i


def test_draws():
    assert OWN.random() < 1
