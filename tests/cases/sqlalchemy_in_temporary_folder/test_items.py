import time

import pytest
from conftest import ITEMS


@pytest.mark.parametrize("i", range(8))
def test_has_its_own_rows(engine, i):
    with engine.begin() as connection:
        connection.execute(ITEMS.insert(), [{"id": row} for row in range(5)])
    time.sleep(0.02)
    with engine.begin() as connection:
        assert len(connection.execute(ITEMS.select()).all()) == 5
