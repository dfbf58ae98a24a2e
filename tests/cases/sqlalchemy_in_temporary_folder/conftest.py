import tempfile

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, create_engine

FOLDER = tempfile.TemporaryDirectory()
ENGINE = create_engine(f"sqlite:///{FOLDER.name}/app.sqlite", connect_args={"timeout": 5})
METADATA = MetaData()
ITEMS = Table("items", METADATA, Column("id", Integer, primary_key=True))


@pytest.fixture(autouse=True)
def engine():
    METADATA.create_all(ENGINE)
    yield ENGINE
    METADATA.drop_all(ENGINE)


def pytest_unconfigure():
    ENGINE.dispose()
    FOLDER.cleanup()
