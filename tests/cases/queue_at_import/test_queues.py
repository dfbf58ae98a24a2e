import multiprocessing
import os
import time

import pytest

CONTEXT = multiprocessing.get_context("fork")
QUEUE = CONTEXT.Queue()
SIMPLE = CONTEXT.SimpleQueue()


def answer(i):
    SIMPLE.put((os.getppid(), i))


@pytest.mark.parametrize("i", range(8))
def test_simple_queue(i):
    process = CONTEXT.Process(target=answer, args=(i,))
    process.start()
    process.join(60)
    assert SIMPLE.get() == (os.getpid(), i)


@pytest.mark.parametrize("i", range(8))
def test_queue(i):
    QUEUE.put((os.getpid(), i))
    time.sleep(0.01)
    assert QUEUE.get(timeout=60) == (os.getpid(), i)
