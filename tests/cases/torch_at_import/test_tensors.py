import pytest
import torch

A = torch.ones(300, 300)
B = A @ A


@pytest.mark.parametrize("i", range(4))
def test_product(i):
    assert torch.equal(A @ A, B)
    assert float((A * 2).sum()) == 180_000


class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        return torch.ones(2) * i


def test_loader_with_processes():
    loader = torch.utils.data.DataLoader(Numbers(), num_workers=2)
    assert sum(float(batch.sum()) for batch in loader) == 56
