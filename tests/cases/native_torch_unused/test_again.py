import pytest
import torch


@pytest.mark.parametrize("i", range(6))
def test_again(i):
    assert float((torch.eye(300) @ torch.ones(300, 300)).sum()) == 90000.0
