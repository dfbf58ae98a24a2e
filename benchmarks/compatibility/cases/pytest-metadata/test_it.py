def test_reads(metadata):
    assert metadata["Colour"] == "green"
    assert metadata["Build"] == "17"


def test_junit(include_metadata_in_junit_xml):
    pass
