import os
import tempfile

import filelock
import pytest

OF_CONFTEST = filelock.FileLock(os.path.join(tempfile.gettempdir(), "conftest.lock"))
with OF_CONFTEST:
    pass


@pytest.fixture(scope="session")
def other_locks():
    return filelock.FileLock(os.path.join(tempfile.gettempdir(), "fixture.lock"))
