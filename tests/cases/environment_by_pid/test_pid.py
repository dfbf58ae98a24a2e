import os

import pytest


@pytest.mark.parametrize("i", range(6))
def test_pid_is_this_process(i):
    assert os.environ["APP_PID"] == str(os.getpid())
