"""Generator of a shop with events of two kinds: one changes the hazard of leaving, the other has no effect.

Tickets and mails arrive at random, at one constant rate, for every customer and also after the customer has left: only
their effect on the hazard makes them informative.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.shops.generators import COLUMNS, DAYS, FIRST_DAY
from holdfast.core.types import Floats, Ints

EFFECT_DAYS = 60  # days for which a ticket changes the hazard
_EVENT_RATE = 1 / 60  # per day and kind
_HAZARD = 1 / 250  # per day, the mean over all days, whatever the effect


class EventShop(NamedTuple):
    """Transactions, with the columns ``COLUMNS``, and events with customer_id, event_timestamp and kind."""

    transactions: pd.DataFrame
    events: pd.DataFrame


def generate_event_shop(seed: int, log_hazard_ratio: float, customers: int = 1500) -> EventShop:
    """Generate a shop whose tickets change the hazard of leaving.

    Args:
        seed: Seed of the random numbers.
        log_hazard_ratio: Change of the log hazard by each ticket of the last ``EFFECT_DAYS``: above 0 customers leave
            sooner, below 0 later; 0 has no effect.
        customers: Number of customers.

    Returns:
        Purchases, and events of the kinds ticket and mail.
    """
    rng = np.random.default_rng(seed)
    first = rng.integers(0, int(0.85 * DAYS), customers)
    tickets, mails = (rng.poisson(_EVENT_RATE, (DAYS, customers)) for _ in range(2))
    leaves = _draw_leaving(rng, first, tickets, log_hazard_ratio)
    rates = rng.gamma(2.0, 1 / 40, customers)
    owner = np.repeat(np.arange(customers), rng.poisson(rates * (leaves - first)))
    later = rng.uniform(first[owner], leaves[owner])
    customer, day = (
        np.concatenate([np.arange(customers), owner]),
        np.concatenate([first + rng.random(customers), later]),
    )
    transactions = _table(customer, day).assign(amount=np.round(rng.lognormal(3, 0.5, len(customer)), 2))
    events = [
        _table(np.repeat(who, counts[day_of, who]), np.repeat(day_of, counts[day_of, who]) + 0.5).assign(kind=kind)
        for kind, counts in (("ticket", tickets), ("mail", mails))
        for day_of, who in [np.nonzero(counts)]
    ]
    order = ["event_timestamp", "customer_id"]
    return EventShop(
        transactions[COLUMNS].sort_values(order, ignore_index=True),
        pd.concat(events).sort_values(order, ignore_index=True),
    )


def _draw_leaving(rng: np.random.Generator, first: Ints, tickets: Ints, log_hazard_ratio: float) -> Floats:
    """Draw the day on which each customer leaves; the end of the data for those who stay."""
    recent = np.zeros(len(first))
    mean_ratio = np.exp(EFFECT_DAYS * _EVENT_RATE * np.expm1(log_hazard_ratio))  # of a Poisson number of tickets
    leaves = np.full(len(first), float(DAYS))
    for day in range(DAYS):
        recent += tickets[day] - (tickets[day - EFFECT_DAYS] if day >= EFFECT_DAYS else 0)
        hazard = -np.expm1(-_HAZARD * np.exp(log_hazard_ratio * recent) / mean_ratio)
        leaving = (day >= first) & (leaves == DAYS) & (rng.random(len(first)) < hazard)
        leaves[leaving] = day + 1
    return leaves


def _table(customer: Ints, day: npt.NDArray[np.floating[Any]]) -> pd.DataFrame:
    inside = day < DAYS
    return pd.DataFrame(
        {
            "customer_id": [f"c{number:05d}" for number in customer[inside]],
            "event_timestamp": FIRST_DAY + pd.to_timedelta(np.floor(day[inside] * 86_400), unit="s"),
        }
    )
