"""A shop too small to need tests, with the two globals that cause half of all order-dependent tests."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Prices in cents; empty until `open_shop` is called.
CATALOGUE: dict[str, int] = {}

#: What prices are shown in.
CURRENCY = "EUR"


class UnknownItemError(LookupError):
    """There is no such thing in the shop."""


def open_shop() -> None:
    """Fill the catalogue."""
    CATALOGUE.update(apple=30, bread=250, cheese=480)


def price_tag(cents: int) -> str:
    """A price as the customer reads it."""
    return f"{cents / 100:.2f} {CURRENCY}"


@dataclass
class Basket:
    """What one customer is about to buy."""

    prices: dict[str, int]
    items: dict[str, int] = field(default_factory=dict)

    def add(self, item: str, count: int = 1) -> None:
        """Put something in."""
        if item not in self.prices:
            raise UnknownItemError(item)
        self.items[item] = self.items.get(item, 0) + count

    def total(self) -> int:
        """The sum, in cents."""
        return sum(self.prices[item] * count for item, count in self.items.items())

    def receipt(self) -> str:
        """One line an item, and the sum."""
        lines = [f"{count} x {item}" for item, count in sorted(self.items.items())]
        return "\n".join([*lines, f"total {self.total()}"])
