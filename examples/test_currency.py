"""A victim and its polluter: each passes alone, together the second one fails."""

from __future__ import annotations

import shop


def test_prices_can_be_in_pounds() -> None:
    # The polluter: it changes a global for good. The cure is monkeypatch.setattr(shop, "CURRENCY", "GBP").
    shop.CURRENCY = "GBP"
    assert shop.price_tag(250) == "2.50 GBP"


def test_prices_are_in_euros() -> None:
    # The victim. Alone it passes; after the test above it never does.
    assert shop.price_tag(250) == "2.50 EUR"
