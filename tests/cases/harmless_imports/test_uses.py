import filelock
import numpy
import polars
import pytest
import requests
import sqlalchemy

SESSION = requests.Session()
ENGINE = sqlalchemy.create_engine("sqlite://")


@pytest.fixture(scope="session", autouse=True)
def closed_at_the_end():
    yield
    SESSION.close()
    ENGINE.dispose()


@pytest.mark.parametrize("i", range(4))
def test_uses_them(i, tmp_path):
    frame = polars.DataFrame({"a": numpy.arange(1000)}).with_columns(b=polars.col("a") % 7)
    assert frame.lazy().group_by("b").agg(polars.col("a").sum()).collect()["a"].sum() == 499_500
    with ENGINE.connect() as connection:
        assert connection.execute(sqlalchemy.text("select 1")).scalar() == 1
    with filelock.FileLock(tmp_path / "lock"):
        pass
