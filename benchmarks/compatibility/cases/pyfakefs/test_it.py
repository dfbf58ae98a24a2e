import os
import tempfile
from pathlib import Path

import pytest


@pytest.mark.parametrize("number", range(3))
def test_files(fs, number):
    fs.create_file(f"/made/{number}.txt", contents=str(number))
    assert Path("/made").is_dir()
    assert sorted(os.listdir("/made")) == [f"{number}.txt"]
    assert not Path(__file__).exists()
    print("printed inside")


def test_outside():
    assert Path(__file__).exists()
    assert not Path("/made").exists()


def test_temporary(fs):
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"text")


def test_with_tmp_path(tmp_path, fs):
    assert not tmp_path.exists()
    fs.add_real_directory(str(tmp_path))
    assert tmp_path.exists()


def test_fails(fs):
    print("before")
    open("/not/there")
