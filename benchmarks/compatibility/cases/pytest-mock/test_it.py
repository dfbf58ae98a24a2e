import os
import time

import pytest


@pytest.mark.parametrize("name", ["getpid", "fork", "write", "close", "_exit"])
def test_patches_the_system(mocker, name):
    fake = mocker.patch(f"os.{name}", return_value=7)
    assert getattr(os, name)() == 7
    fake.assert_called_once_with()


def test_patches_time(mocker):
    mocker.patch("time.time", return_value=0.0)
    mocker.patch("time.monotonic", return_value=0.0)
    assert time.time() == time.monotonic() == 0.0


def test_spies(mocker):
    spy = mocker.spy(os.path, "join")
    assert os.path.join("a", "b") == "a/b"
    assert spy.spy_return == "a/b"


def test_stub(mocker):
    stub = mocker.stub(name="stub")
    stub(1, a=2)
    stub.assert_called_once_with(1, a=2)


def test_of_class(class_mocker):
    class_mocker.patch("os.getcwd", return_value="/nowhere")
    assert os.getcwd() == "/nowhere"


def test_is_undone():
    assert os.getcwd() != "/nowhere"
    assert os.getpid() != 7


def test_says_what_differs(mocker):
    stub = mocker.stub()
    stub("one")
    stub.assert_called_with("two")
