import os
import subprocess
import sys

import conftest
import pytest


@pytest.mark.parametrize(
    ("name", "value"), [("PLAIN", "of the ini file"), ("KEPT", "outside"), ("DEFAULT", "default")]
)
def test_variable(name, value):
    assert os.environ.get(name) == value


def test_elsewhere():
    assert conftest.AT_IMPORT == "of the ini file"
    code = "import os; print(os.environ['COMPOSED'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "outside/inside"
