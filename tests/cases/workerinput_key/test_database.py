import time

import conftest
import pytest


@pytest.mark.parametrize("i", range(8))
def test_database_is_the_workers_own(i, request, worker_id):
    time.sleep(0.05)
    if hasattr(request.config, "workerinput"):
        assert conftest.DATABASE == worker_id.replace("gw", "db")
