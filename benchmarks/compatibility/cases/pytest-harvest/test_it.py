import pytest


@pytest.mark.parametrize("number", range(4))
def test_harvested(number, results_bag):
    results_bag.square = number**2
    assert results_bag.square == number**2


def test_synthesis(module_results_dct):
    done = {name: v for name, v in module_results_dct.items() if "harvested" in name}
    assert {v["status"] for v in done.values()} <= {"passed"}
