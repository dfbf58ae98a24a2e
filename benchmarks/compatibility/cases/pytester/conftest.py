import pytest


def pytest_addoption(parser):
    parser.addoption("--shout", action="store_true")


@pytest.fixture
def shout(request):
    return "HEY" if request.config.getoption("shout") else "hey"


@pytest.fixture
def inner(pytester):
    """A suite that uses this plugin."""
    pytester.makeconftest(
        """
        import pytest


        def pytest_addoption(parser):
            parser.addoption("--shout", action="store_true")


        @pytest.fixture
        def shout(request):
            return "HEY" if request.config.getoption("shout") else "hey"
        """
    )
    pytester.makepyfile(
        """
        import pytest


        @pytest.mark.parametrize("number", range(3))
        def test_shout(shout, number):
            print("said", shout)
            assert shout == "HEY"
        """
    )
    return pytester
