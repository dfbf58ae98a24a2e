import pytest
import time_machine


@pytest.fixture(scope="module")
def past():
    with time_machine.travel("2013-04-09"):
        yield


def test_in_2013(past):
    pass


STATE = []


def test_polluter():
    STATE.append(1)


def test_after_polluter():
    assert STATE
