from inline_snapshot import snapshot


def test_differs():
    assert 1 == snapshot(2)
