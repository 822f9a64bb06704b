"""Generator of shops of any size: BG/NBD purchases, Gamma-Gamma amounts, seasons, returns, bad and late rows.

Fader, Hardie and Lee (2005), "Counting your customers the easy way", and Fader and Hardie (2013), "The Gamma-Gamma
model of monetary value". A shop is generated in parts of customers, each from its own seed, so that the memory does not
depend on the size of the shop.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from holdfast.core.types import Bools, Floats, Ints

FIRST_DAY = np.datetime64("2023-01-01", "us")
DAYS = 730
PART = 50_000  # customers
MAPPING = """\
columns: {customer_id: customer, event_timestamp: time, amount: amount}
time_zone: UTC
"""
SCHEMA = pa.schema([("customer", pa.string()), ("time", pa.timestamp("us", "UTC")), ("amount", pa.float64())])
_DAY_US = 86_400_000_000
_SEASON = 0.3  # the purchase rate in December is 1.3 times the mean, in June 0.7 times
_RETURNED, _BAD, _LATE = 0.02, 0.002, 0.01  # shares of the rows
_LONGEST_DELAY = 5  # days


def write_shop(folder: Path, customers: int, seed: int = 1, file_type: str = "parquet") -> tuple[Path, Path]:
    """Write a shop: rows that arrived before the last day, and the file of the last day with late rows of days before.

    Args:
        folder: Existing folder.
        customers: Number of customers.
        seed: Seed of the random numbers.
        file_type: ``parquet`` or ``csv``.

    Returns:
        Paths of the history and of the last day's file.
    """
    history, day = folder / f"history.{file_type}", folder / f"day.{file_type}"
    with _open(history, file_type) as history_writer, _open(day, file_type) as day_writer:
        for table, arrives_last in generate_parts(customers, seed):
            history_writer.write_table(table.filter(pa.array(~arrives_last)))
            day_writer.write_table(table.filter(pa.array(arrives_last)))
    return history, day


def generate_parts(customers: int, seed: int = 1) -> Iterator[tuple[pa.Table, Bools]]:
    """Generate the rows of a shop, in parts of customers.

    Args:
        customers: Number of customers.
        seed: Seed of the random numbers.

    Yields:
        Rows in the order of time, and True for each row that arrives on the last day.
    """
    for first in range(0, customers, PART):
        yield _generate_part(np.random.default_rng([seed, first]), first, min(PART, customers - first))


def _open(path: Path, file_type: str) -> "pq.ParquetWriter | pa.csv.CSVWriter":
    return pa.csv.CSVWriter(path, SCHEMA) if file_type == "csv" else pq.ParquetWriter(path, SCHEMA, compression="zstd")


def _generate_part(rng: np.random.Generator, first: int, customers: int) -> tuple[pa.Table, Bools]:
    owner, day = _draw_purchases(rng, customers)
    # Gamma-Gamma: an amount is Gamma(6, scale), the scale of a customer is inverse Gamma(4, 20).
    scale = 20 / rng.gamma(4.0, 1.0, customers)
    amount = np.maximum(np.round(rng.gamma(6.0, 1.0, len(owner)) * scale[owner], 2), 0.01)
    returned = np.flatnonzero(rng.random(len(owner)) < _RETURNED)
    owner = np.concatenate([owner, owner[returned]])
    day = np.concatenate([day, day[returned] + rng.uniform(1, 20, len(returned))])
    amount = np.concatenate([amount, -amount[returned]])
    within = day < DAYS
    owner, day, amount = owner[within], day[within], amount[within]
    order = np.argsort(day, kind="stable")
    owner, day, amount = owner[order], day[order], amount[order]
    delay = np.where(rng.random(len(day)) < _LATE, rng.integers(1, _LONGEST_DELAY + 1, len(day)), 0)
    names = pa.array(np.char.add("c", np.char.zfill((first + np.arange(customers)).astype(str), 9)), pa.string())
    time = FIRST_DAY + (day * 86_400).astype(np.int64).astype("timedelta64[s]")
    columns = [
        names.take(pa.array(owner)),
        pa.array(time.astype("datetime64[us]")).cast(pa.timestamp("us", "UTC")),
        pa.array(amount, mask=rng.random(len(amount)) < _BAD),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA), np.floor(day) + delay >= DAYS - 1


def _draw_purchases(rng: np.random.Generator, customers: int) -> tuple[Ints, Floats]:
    """Draw the purchases of BG/NBD: customer and day of each, in no order.

    The times of a Poisson process are uniform, given their number. A customer leaves with a probability after each
    purchase. The season changes the speed of time, so that the process stays a Poisson process.
    """
    begin = rng.uniform(0, 0.95 * DAYS, customers)
    rate = rng.gamma(1.0, 1 / 18, customers)
    lifetime = rng.geometric(np.clip(rng.beta(0.6, 6.0, customers), 1e-9, 1))  # purchases until the customer leaves
    owner = np.repeat(np.arange(customers), rng.poisson(rate * (DAYS - begin)))
    # Sorted within each customer, because the owner is the integer part.
    position = np.sort(owner + rng.uniform(size=len(owner)))
    share = np.clip(position - owner, 0, 1)
    starts = np.searchsorted(owner, np.arange(customers))
    number = np.arange(len(owner)) - starts[owner] + 2  # the first purchase has the number 1
    alive = number <= lifetime[owner]
    later = begin[owner] + share * (DAYS - begin[owner])
    all_owners = np.concatenate([np.arange(customers), owner[alive]])
    return all_owners, _to_calendar(np.concatenate([begin, later[alive]]))


def _to_calendar(operational: Floats) -> Floats:
    """Convert operational time, in which the rate of the shop is constant, to days."""
    days = np.linspace(0, DAYS, 10 * DAYS + 1)
    passed = days + _SEASON * 365.25 / (2 * np.pi) * np.sin(2 * np.pi * (days + 15) / 365.25)
    passed = (passed - passed[0]) / (passed[-1] - passed[0]) * DAYS
    return np.minimum(np.interp(operational, passed, days), np.nextafter(DAYS, 0))
