import pytest


class TestGroup:
    def test_in_class(self):
        pass

    def test_fails_in_class(self):
        pytest.fail("on purpose")
