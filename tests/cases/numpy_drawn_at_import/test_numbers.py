import pathlib
import tempfile

import numpy
import pytest

AT_IMPORT = numpy.random.rand(100, 100)


@pytest.fixture(scope="session")
def number():
    number = numpy.random.randint(2**62)
    (pathlib.Path(tempfile.gettempdir()) / str(number)).touch(exist_ok=False)
    return number


@pytest.mark.parametrize("i", range(4))
def test_no_other_worker_has_this_number(number, i):
    assert 0 <= number < 2**62
