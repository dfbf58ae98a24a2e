import os

os.environ["APP_DATABASE"] = "test_" + os.environ.get("PYTEST_XDIST_WORKER", "master")
