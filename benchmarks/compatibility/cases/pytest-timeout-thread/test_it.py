import threading

import pytest


@pytest.mark.parametrize("number", range(9))
def test_passes(number):
    pass


def test_has_a_timer():
    assert [thread for thread in threading.enumerate() if "pytest_timeout" in thread.name]
