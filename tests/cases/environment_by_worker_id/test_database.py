import os

import pytest


@pytest.mark.parametrize("i", range(6))
def test_database_is_the_workers_own(i, worker_id):
    assert os.environ["APP_DATABASE"] == "test_" + worker_id
