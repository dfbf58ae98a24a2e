from pkg.shapes import never


def test_never():
    assert never() == 1


def test_nothing():
    pass
