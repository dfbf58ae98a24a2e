import pytest


@pytest.mark.parametrize("number", range(4))
def test_own_database(redisdb, number):
    assert redisdb.keys() == []
    redisdb.set("number", number)
    assert int(redisdb.get("number")) == number


def test_server(redis_proc, redisdb):
    assert redisdb.info()["tcp_port"] == redis_proc.port
