import pytest
from conftest import PORT, SESSION


@pytest.mark.parametrize("i", range(60))
def test_gets_its_own_answer(i):
    assert SESSION.get(f"http://127.0.0.1:{PORT}/{i}", timeout=30).text == f"/{i}"
