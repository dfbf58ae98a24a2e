import pytest


@pytest.fixture(autouse=True)
def extra(json_metadata, request):
    json_metadata["name"] = request.node.name


def pytest_json_modifyreport(json_report):
    json_report["colour"] = "green"
