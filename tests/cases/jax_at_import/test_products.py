import jax
import jax.numpy as jnp
import pytest

X = jnp.ones((100, 100))
PRODUCT = (X @ X).block_until_ready()


@pytest.mark.parametrize("i", range(4))
def test_product(i):
    assert float(jax.jit(lambda x: (x @ x).sum())(X)) == float(PRODUCT.sum()) == 1e6
