import logging
import warnings

import pytest


def test_passes():
    print("printed")
    logging.getLogger("of the case").warning("logged")


def test_warns():
    warnings.warn("careful", UserWarning)


def test_fails():
    print("before")
    assert {"a": 1} == {"a": 2}


@pytest.mark.skip(reason="not today")
def test_skipped():
    pass


@pytest.mark.xfail(reason="not yet")
def test_expected():
    raise ValueError


@pytest.fixture
def broken():
    raise RuntimeError("no fixture")


def test_error(broken):
    pass


@pytest.mark.parametrize("word", ["a", "ü"])
def test_parameters(word, record_property):
    record_property("word", word)


class TestGroup:
    def test_inside(self, tmp_path):
        assert tmp_path.is_dir()
