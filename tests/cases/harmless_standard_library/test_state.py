import asyncio
import concurrent.futures
import logging.handlers
import random
import sqlite3
import subprocess
import sys
import uuid

import pytest

DATABASE = sqlite3.connect(":memory:")
DATABASE.execute("create table item (name)")
NAME = uuid.uuid5(uuid.NAMESPACE_DNS, "example.org")
NUMBERS = random.Random(7).sample(range(100), 10)
VERSION = subprocess.run([sys.executable, "-V"], capture_output=True, check=True).stdout
THREADS = concurrent.futures.ThreadPoolExecutor(2)
EVENT = asyncio.Event()
MEMORY = logging.handlers.MemoryHandler(10)


async def nothing():
    await asyncio.sleep(0)


asyncio.run(nothing())


@pytest.fixture(scope="session", autouse=True)
def closed_at_the_end():
    yield
    DATABASE.close()
    THREADS.shutdown()


@pytest.mark.parametrize("i", range(8))
def test_goes_on(i, tmp_path):
    DATABASE.execute("insert into item values (?)", (i,))
    DATABASE.execute("delete from item")
    assert THREADS.submit(pow, i, 2).result(timeout=60) == i * i
    asyncio.run(nothing())
