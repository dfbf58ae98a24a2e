import pytest
from syrupy.extensions.image import PNGImageSnapshotExtension
from syrupy.extensions.json import JSONSnapshotExtension


@pytest.mark.parametrize("number", range(3))
def test_numbers(snapshot, number):
    assert {"number": number, "square": number**2} == snapshot
    assert ["again", number] == snapshot


def test_changed(snapshot):
    assert "the new text" == snapshot


def test_named(snapshot):
    assert "named" == snapshot(name="of its own")


def test_json(snapshot):
    assert {"a": [1, 2]} == snapshot.use_extension(JSONSnapshotExtension)


def test_image(snapshot):
    assert b"\x89PNG made up" == snapshot.use_extension(PNGImageSnapshotExtension)
