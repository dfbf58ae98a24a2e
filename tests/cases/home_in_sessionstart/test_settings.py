import pathlib
import time

import pytest


@pytest.mark.parametrize("i", range(8))
def test_settings_are_its_own(i):
    file = pathlib.Path.home() / ".app"
    file.write_text(str(i))
    time.sleep(0.02)
    assert file.read_text() == str(i)
    file.unlink()
