"""Ordinary tests, and one that other tests should not need: it opens the shop and leaves it open."""

from __future__ import annotations

import pytest
import shop
from shop import Basket, UnknownItemError


def test_the_shop_opens_with_three_things() -> None:
    # A state-setter: test_checkout.py has a test that passes only after this one.
    shop.open_shop()
    assert sorted(shop.CATALOGUE) == ["apple", "bread", "cheese"]


def test_a_new_basket_costs_nothing(basket: Basket) -> None:
    assert basket.total() == 0


@pytest.mark.parametrize(
    ("item", "count", "cents"),
    [("apple", 1, 30), ("apple", 10, 300), ("bread", 2, 500), ("cheese", 1, 480)],
)
def test_many_of_a_kind(basket: Basket, item: str, count: int, cents: int) -> None:
    basket.add(item, count)
    assert basket.total() == cents


def test_adding_twice_counts_twice(basket: Basket) -> None:
    basket.add("apple")
    basket.add("apple")
    assert basket.items == {"apple": 2}


def test_what_is_not_sold_cannot_be_bought(basket: Basket) -> None:
    with pytest.raises(UnknownItemError):
        basket.add("television")
