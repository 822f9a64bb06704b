"""Made-up shops, and exports of them with the table that is right by construction."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

PEOPLE = [
    f"{first} {last}"
    for last in ("Adler", "Bianchi", "Castro", "Dubois", "Eriksen", "Fischer", "Garcia", "Haas", "Ivanov", "Jansen")
    for first in ("Ana", "Ben", "Clara", "David", "Elif", "Femke", "Georg", "Hanna", "Igor", "Julia")
]
PRODUCTS = ["Lamp", "Oak frame", "Glass bowl", "Candle, white", "Tea", "Mug", "Scarf", "Notebook", "Vase", "Soap"]


@dataclass(frozen=True)
class Export:
    """File of an export with the tables that are right for it.

    Attributes:
        name: File name.
        content: Bytes of the file.
        tables: Right tables, the first one preferred; empty where no column holds what a table needs.
    """

    name: str
    content: bytes
    tables: tuple[pd.DataFrame, ...]


System = Callable[[np.random.Generator], Export]


def make_lines(
    rng: np.random.Generator, orders: int = 300, customers: int = 60, lines: int = 3, days: int = 500
) -> pd.DataFrame:
    """Make the lines of orders: order, customer, time, product, quantity, price, total, order_total, first."""
    weights = rng.gamma(1.0, 1.0, customers) + 0.05
    who = rng.choice(customers, orders, p=weights / weights.sum())
    minutes = np.sort(rng.integers(0, days, orders)) * 1440 + rng.integers(8 * 60, 20 * 60, orders)
    times = (pd.Timestamp("2023-02-03") + pd.to_timedelta(minutes, unit="min")).sort_values()
    counts = rng.integers(1, lines + 1, orders)
    order = np.repeat(np.arange(orders), counts)
    prices = np.round(rng.lognormal(2.8, 0.7, len(PRODUCTS)), 2)
    product = rng.integers(0, len(PRODUCTS), len(order))
    quantity = rng.choice([1, 1, 1, 2, 3, 5], len(order))
    frame = pd.DataFrame({"order": order, "customer": who[order], "time": times[order], "product": product})
    frame["quantity"], frame["price"] = quantity, prices[product]
    frame["total"] = (frame["quantity"] * frame["price"]).round(2)
    frame["order_total"] = frame.groupby("order")["total"].transform("sum").round(2)
    frame["first"] = ~frame["order"].duplicated()
    return frame


def make_orders(rng: np.random.Generator, orders: int = 300, customers: int = 60, days: int = 500) -> pd.DataFrame:
    """Make orders of one row: order, customer, time, total."""
    lines = make_lines(rng, orders, customers, 3, days)
    found = lines[lines["first"]].reset_index(drop=True)
    return found.assign(total=found["order_total"])


def make_table(ids: Sequence[Any], times: Any, amounts: Any, is_sale: Any = None) -> pd.DataFrame:
    """Make a table of transactions in the order in which tables are compared."""
    times = pd.Series(pd.DatetimeIndex(times))
    times = times.dt.tz_localize("UTC") if times.dt.tz is None else times.dt.tz_convert("UTC")
    frame = pd.DataFrame({"customer_id": list(map(str, ids)), "event_timestamp": times, "amount": list(amounts)})
    return sort_table(frame if is_sale is None else frame[np.asarray(is_sale, dtype=bool)])


def sort_table(table: pd.DataFrame) -> pd.DataFrame:
    """Sort a table of transactions so that equal tables compare as equal."""
    frame = table[["customer_id", "event_timestamp", "amount"]].copy()
    frame["customer_id"] = frame["customer_id"].astype(object)
    frame["event_timestamp"] = frame["event_timestamp"].dt.as_unit("us")
    frame["amount"] = frame["amount"].astype(float).round(4)
    return frame.sort_values(["customer_id", "event_timestamp", "amount"], ignore_index=True)


def pick(rng: np.random.Generator, rows: int, **shares: float) -> np.ndarray:
    """Draw a word per row with given shares; an underscore in a word stands for a blank."""
    words = [word.replace("_", " ") for word in shares]
    weights = np.array(list(shares.values()))
    return rng.choice(np.array(words, dtype=object), rows, p=weights / weights.sum())


def money(
    values: Any, decimal: str = ".", group: str = "", before: str = "", after: str = "", digits: int = 2
) -> list[str]:
    """Write amounts in a notation; NaN becomes a blank."""
    texts = []
    for value in values:
        text = f"{abs(value):,.{digits}f}".translate(str.maketrans({",": group, ".": decimal}))
        texts.append("" if np.isnan(value) else f"{'-' if value < 0 else ''}{before}{text}{after}")
    return texts


def write_csv(
    name: str,
    columns: dict[str, Any],
    *tables: pd.DataFrame,
    separator: str = ",",
    encoding: str = "utf-8",
    quote_all: bool = False,
    above: str = "",
    below: str = "",
    header: bool = True,
) -> Export:
    """Write columns as delimited text; a scalar fills its column."""
    text = pd.DataFrame(columns).to_csv(index=False, sep=separator, quoting=1 if quote_all else 0, header=header)
    return Export(name, (above + text + below).encode(encoding), tables)


def write_parquet(name: str, columns: dict[str, Any], *tables: pd.DataFrame) -> Export:
    """Write columns as Parquet with their types."""
    buffer = io.BytesIO()
    pd.DataFrame(columns).to_parquet(buffer, index=False)
    return Export(name, buffer.getvalue(), tables)
