import urllib.request

import pytest


@pytest.mark.vcr
@pytest.mark.parametrize("number", range(3))
def test_replays(number):
    with urllib.request.urlopen(f"http://example.invalid/{number}") as answer:
        assert answer.read().decode() == f"number {number}"


def test_blocked():
    with pytest.raises(RuntimeError, match="Network is disabled"):
        urllib.request.urlopen("http://127.0.0.1:1/")


@pytest.mark.vcr
def test_no_cassette():
    urllib.request.urlopen("http://example.invalid/nothing")
