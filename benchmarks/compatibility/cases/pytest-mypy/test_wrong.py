from right import double


def test_double() -> None:
    assert double(2) == 4
    text: str = double(2)
    assert text
