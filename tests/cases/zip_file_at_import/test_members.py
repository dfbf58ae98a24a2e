import io
import random
import zipfile
from pathlib import Path

import pytest

FILE = Path(__file__).with_name("data.zip")


def member(i):
    return random.Random(i).randbytes(20_000)


if not FILE.exists():
    with zipfile.ZipFile(data := io.BytesIO(), "w") as made:
        for number in range(20):
            made.writestr(f"f{number}", member(number))
    FILE.write_bytes(data.getvalue())

ZIP = zipfile.ZipFile(FILE)


@pytest.fixture(scope="session", autouse=True)
def closed_at_the_end():
    yield
    ZIP.close()


@pytest.mark.parametrize("i", range(200))
def test_reads(i):
    assert ZIP.read(f"f{i % 20}") == member(i % 20)
