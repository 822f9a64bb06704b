"""Generators of shops: pure functions of a seed that return transactions.

Each generator is one kind of shop. Customers differ in their purchase rate and leave for good at a random time, except
where a docstring describes other customers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from holdfast.core.types import Floats, Ints

FIRST_DAY = pd.Timestamp("2021-01-04", tz="UTC")
COLUMNS = ["customer_id", "event_timestamp", "amount"]
DAYS = 1000  # from the first day to the end of the data
_BREAK = 690  # at the dates of the benchmark: in the test, in the embargo, in the training
_CUSTOMERS = 1500
_Factor = Callable[[Floats], Floats]


@dataclass(frozen=True)
class ShopKind:
    """Kind of generated shop.

    Attributes:
        generate: Function from a seed to transactions with the columns ``COLUMNS``.
        has_signal: Whether past purchases predict the next purchase.
        level_known: Whether the past determines the share of customers who churn next.
    """

    generate: Callable[[int], pd.DataFrame]
    has_signal: bool = True
    level_known: bool = True


def bg_nbd_shop(seed: int, customers: int = _CUSTOMERS) -> pd.DataFrame:
    """Generate a shop under BG/NBD: Poisson purchases, and drop-out with some probability after each purchase.

    Args:
        seed: Seed of the random numbers.
        customers: Number of customers.

    Returns:
        Transactions.
    """
    rng = np.random.default_rng(seed)
    first, rates = rng.uniform(0, 0.85 * DAYS, customers), rng.gamma(1.0, 1 / 40, customers)
    lifetime = rng.geometric(np.clip(rng.beta(0.8, 2.5, customers), 1e-9, 1))  # purchases until the drop-out
    repeats = np.minimum(lifetime - 1, (2 * rates * DAYS + 100).astype(int))  # more than fit into the data
    owner = np.repeat(np.arange(customers), repeats)
    gaps = pd.Series(rng.exponential(1 / rates[owner]))
    return _transactions(rng, first, owner, first[owner] + gaps.groupby(owner).cumsum().to_numpy())


def seasonal_shop(seed: int) -> pd.DataFrame:
    """Generate a shop that sells three times as much before Christmas as in summer.

    Args:
        seed: Seed of the random numbers.

    Returns:
        Transactions.
    """
    return _poisson_shop(seed, factor=lambda day: 1 + 0.5 * np.cos(2 * np.pi * (_day_of_year(day) - 345) / 365.25))


def growing_shop(seed: int) -> pd.DataFrame:
    """Generate a shop whose number of new customers triples every year.

    Args:
        seed: Seed of the random numbers.

    Returns:
        Transactions.
    """
    return _poisson_shop(seed, new_per_year=3.0)


def shrinking_shop(seed: int) -> pd.DataFrame:
    """Generate a shop whose number of new customers falls to a third every year.

    Args:
        seed: Seed of the random numbers.

    Returns:
        Transactions.
    """
    return _poisson_shop(seed, new_per_year=1 / 3)


def break_shop(seed: int) -> pd.DataFrame:
    """Generate a shop whose customers suddenly buy a third as often as before.

    Args:
        seed: Seed of the random numbers.

    Returns:
        Transactions.
    """
    return _poisson_shop(seed, factor=lambda day: np.where(day < _BREAK, 1.0, 1 / 3))


def subscription_shop(seed: int) -> pd.DataFrame:
    """Generate a shop whose customers buy every 30 days until they cancel.

    Args:
        seed: Seed of the random numbers.

    Returns:
        Transactions.
    """
    rng = np.random.default_rng(seed)
    first = rng.uniform(0, 0.85 * DAYS, _CUSTOMERS)
    cancels = np.clip(rng.beta(1.0, 7.0, _CUSTOMERS), 1e-9, 1)
    repeats = np.minimum(rng.geometric(cancels) - 1, DAYS // 30 + 1)
    owner = np.repeat(np.arange(_CUSTOMERS), repeats)
    number = pd.Series(np.ones(len(owner))).groupby(owner).cumsum().to_numpy()
    return _transactions(rng, first, owner, first[owner] + 30 * number + rng.normal(0, 1.5, len(owner)))


def no_signal_shop(seed: int, customers: int = 500) -> pd.DataFrame:
    """Generate a shop without any signal: all customers buy at the same constant rate and never leave.

    The time to the next purchase is independent of the past, and the same for everybody: churn is a coin toss.

    Args:
        seed: Seed of the random numbers.
        customers: Number of customers.

    Returns:
        Transactions.
    """
    rng = np.random.default_rng(seed)
    first = rng.uniform(0, 0.3 * DAYS, customers)
    owner = np.repeat(np.arange(customers), rng.poisson((DAYS - first) / 100))
    return _transactions(rng, first, owner, rng.uniform(first[owner], DAYS))


def twenty_customers(seed: int) -> pd.DataFrame:
    """Generate a BG/NBD shop of twenty customers.

    Args:
        seed: Seed of the random numbers.

    Returns:
        Transactions.
    """
    return bg_nbd_shop(seed, customers=20)


KINDS = {
    "bg_nbd": ShopKind(bg_nbd_shop),
    "seasonal": ShopKind(seasonal_shop),
    "growing": ShopKind(growing_shop),
    "shrinking": ShopKind(shrinking_shop),
    "break": ShopKind(break_shop, level_known=False),
    "subscription": ShopKind(subscription_shop),
    "no_signal": ShopKind(no_signal_shop, has_signal=False),
    "twenty_customers": ShopKind(twenty_customers),
}


def _poisson_shop(
    seed: int,
    factor: _Factor = np.ones_like,
    new_per_year: float = 1.0,
    customers: int = _CUSTOMERS,
    largest_factor: float = 1.5,
) -> pd.DataFrame:
    """Generate a Pareto/NBD shop, with a factor of all purchase rates by day and a yearly factor of new customers."""
    rng = np.random.default_rng(seed)
    growth, position = np.log(new_per_year) * 0.85 * DAYS / 365.25, rng.uniform(size=customers)
    share = np.log1p(position * np.expm1(growth)) / growth if growth else position
    first, rates = 0.85 * DAYS * share, rng.gamma(1.0, 1 / 40, customers)
    end = np.minimum(first + rng.exponential(1 / rng.gamma(1.5, 1 / 300, customers)), DAYS)
    owner = np.repeat(np.arange(customers), rng.poisson(largest_factor * rates * (end - first)))
    times = rng.uniform(first[owner], end[owner])
    included = rng.uniform(size=len(times)) * largest_factor < factor(times)
    return _transactions(rng, first, owner[included], times[included])


def _transactions(rng: np.random.Generator, first: Floats, owner: Ints, later: Floats) -> pd.DataFrame:
    """Build the table from each customer's first purchase and all later purchases before the end of the data."""
    customer, day = np.concatenate([np.arange(len(first)), owner]), np.concatenate([first, later])
    customer, day = customer[day < DAYS], day[day < DAYS]
    level = rng.lognormal(3, 0.6, len(first))  # some customers spend more per purchase than others
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{number:05d}" for number in customer],
            "event_timestamp": FIRST_DAY + pd.to_timedelta(np.floor(day * 86_400), unit="s"),
            "amount": np.round(level[customer] * rng.lognormal(0, 0.4, len(customer)), 2),
        },
        columns=COLUMNS,
    )
    return frame.sort_values(["event_timestamp", "customer_id"], ignore_index=True)


def _day_of_year(day: Floats) -> Floats:
    return day + FIRST_DAY.dayofyear
