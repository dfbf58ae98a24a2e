import pathlib
import tempfile
import time
import uuid

import pytest

BUCKET = pathlib.Path(tempfile.gettempdir()) / f"it-{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def bucket():
    BUCKET.mkdir()
    yield BUCKET
    BUCKET.rmdir()


@pytest.mark.parametrize("i", range(6))
def test_put(bucket, i):
    file = bucket / "key"
    file.write_text(str(i))
    time.sleep(0.05)
    assert file.read_text() == str(i)
    file.unlink()
