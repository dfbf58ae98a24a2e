import os
import subprocess
import sys
import threading

import pytest
from pkg.shapes import area, in_thread


@pytest.mark.parametrize("size", [1, 2])
def test_square(size):
    assert area("square", size) == size**2


def test_circle():
    assert area("circle", 1) == 3


@pytest.fixture
def unknown():
    with pytest.raises(ValueError):
        area("unknown", 1)


def test_error(unknown):
    pass


def test_thread():
    values = []
    thread = threading.Thread(target=in_thread, args=(values,))
    thread.start()
    thread.join()
    assert values == [0, 1, 2]


def test_subprocess():
    assert subprocess.run([sys.executable, "-c", "from pkg.shapes import never; never()"]).returncode == 0


def test_fork():
    pid = os.fork()
    if not pid:
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
