import numpy  # noqa: F401
import pytest
import torch

PRODUCT = torch.eye(300) @ torch.ones(300, 300)


@pytest.mark.parametrize("i", range(6))
def test_again(i):
    assert float((torch.eye(300) @ torch.ones(300, 300)).sum()) == float(PRODUCT.sum())
