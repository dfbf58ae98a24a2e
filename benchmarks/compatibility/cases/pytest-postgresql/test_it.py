import pytest


@pytest.mark.parametrize("number", range(4))
def test_own_database(postgresql, number):
    assert postgresql.execute("SELECT name FROM fruits").fetchall() == [("apple",)]
    postgresql.execute("INSERT INTO fruits VALUES ('pear')")
    postgresql.commit()
    assert postgresql.execute("SELECT count(*) FROM fruits").fetchone() == (2,)


def test_again(postgresql):
    assert postgresql.execute("SELECT count(*) FROM fruits").fetchone() == (1,)


def test_server(postgresql, postgresql_proc):
    assert postgresql.info.port == postgresql_proc.port
