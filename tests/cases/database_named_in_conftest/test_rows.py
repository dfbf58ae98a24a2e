import os
import sqlite3
import time
from contextlib import closing

import pytest


@pytest.fixture
def database():
    with closing(sqlite3.connect(os.environ["APP_DATABASE"], timeout=5)) as connection:
        with connection:
            connection.execute("drop table if exists item")
            connection.execute("create table item (name)")
        yield connection
        with connection:
            connection.execute("drop table item")


@pytest.mark.parametrize("i", range(8))
def test_counts_its_own_rows(database, i):
    for row in range(5):
        with database:
            database.execute("insert into item values (?)", (row,))
        time.sleep(0.01)
    assert database.execute("select count(*) from item").fetchone() == (5,)
