import os
import tempfile


def pytest_sessionstart():
    os.environ["HOME"] = tempfile.mkdtemp(prefix="home-")
