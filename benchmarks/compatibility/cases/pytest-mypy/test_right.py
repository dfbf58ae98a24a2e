from right import double


def test_double() -> None:
    assert double(3) == 6
