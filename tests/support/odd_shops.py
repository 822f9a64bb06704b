"""Shops with too little in them: each kind is a function of nothing that returns its transactions."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np

from tests.support.feature_oracle import Transaction

FIRST = datetime(2023, 1, 1, tzinfo=UTC)
LAST = datetime(2024, 12, 1, tzinfo=UTC)
ARRIVAL = datetime(2025, 1, 1, tzinfo=UTC)
_DAYS = (LAST - FIRST).days


def no_second_purchase_day() -> list[Transaction]:
    """Generate 100 customers with one purchase each: every gap between purchases is null."""
    return [_row(number, day) for number, day in enumerate(np.linspace(0, _DAYS - 1, 100))]


def only_returns() -> list[Transaction]:
    """Generate customers who return goods without a purchase."""
    return [row._replace(amount=-row.amount) for row in no_second_purchase_day()]


def all_inactive() -> list[Transaction]:
    """Generate purchases in the first 300 days, then returns only: a single row would not be the end of the data."""
    rows = [_row(number % 40, day) for number, day in enumerate(np.linspace(0, 300, 240))]
    return [*rows, *(_row(day % 40, day)._replace(amount=-1.0) for day in range(301, _DAYS, 3))]


def one_customer() -> list[Transaction]:
    """Generate one customer who buys every two weeks."""
    return [_row(0, day) for day in range(0, _DAYS, 14)]


def one_day() -> list[Transaction]:
    """Generate 50 customers who buy within one day."""
    return [_row(number, number / 100) for number in range(50)]


KINDS: list[Callable[[], list[Transaction]]] = [
    no_second_purchase_day,
    only_returns,
    all_inactive,
    one_customer,
    one_day,
]


def _row(customer: int, day: float) -> Transaction:
    return Transaction(f"c{customer:03d}", FIRST + timedelta(seconds=int(day * 86_400)), 10.0, ARRIVAL)
