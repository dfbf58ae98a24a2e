import logging
import sys

import pytest


def test_properties(record_property):
    record_property("colour", "green")
    record_property("number", 7)


def test_prints():
    print("on stdout: ü")
    print("on stderr", file=sys.stderr)
    logging.warning("logged")


def test_fails():
    print("before the failure")
    assert {"a": 1} == {"a": 2}


class TestGroup:
    @pytest.mark.xfail(reason="not yet")
    def test_expected(self):
        raise ValueError

    @pytest.mark.skip(reason="not today")
    def test_skipped(self):
        pass

    def test_fails_with_properties(self, record_property):
        record_property("seen", "yes")
        pytest.fail("on purpose")


@pytest.fixture
def broken():
    raise RuntimeError("no fixture")


def test_error(broken):
    pass
