from __future__ import annotations

import pytest
from shop import Basket


@pytest.fixture
def basket() -> Basket:
    return Basket(prices={"apple": 30, "bread": 250, "cheese": 480})


@pytest.fixture(scope="session")
def till(worker_id: str) -> list[str]:
    """Made once in every worker: a session fixture is not shared between processes."""
    return [f"till of {worker_id}"]
