def pytest_metadata(metadata):
    metadata["Colour"] = "green"
    metadata.pop("CI", None)
