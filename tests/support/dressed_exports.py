"""Made-up exports: one table of transactions, written in many notations, column names and layouts."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tests.support.compressions import COMPRESSIONS
from tests.support.exports.history import sort_table

NAMES = (
    {
        "customer": "customer_id",
        "time": "order_date",
        "amount": "amount",
        "quantity": "quantity",
        "price": "unit_price",
    },
    {"customer": "CustomerID", "time": "InvoiceDate", "amount": "Total", "quantity": "Quantity", "price": "UnitPrice"},
    {
        "customer": "Kundennummer",
        "time": "Bestelldatum",
        "amount": "Betrag",
        "quantity": "Menge",
        "price": "Einzelpreis",
    },
    {"customer": "id_cliente", "time": "fecha", "amount": "importe", "quantity": "cantidad", "price": "precio"},
    {"customer": "client", "time": "date_achat", "amount": "montant", "quantity": "quantité", "price": "prix"},
    {"customer": "user_id", "time": "created_at", "amount": "revenue", "quantity": "qty", "price": "item_price"},
    {"customer": "email", "time": "timestamp", "amount": "total_paid", "quantity": "units", "price": "price"},
    {
        "customer": "household_key",
        "time": "day",
        "amount": "sales_value",
        "quantity": "quantity",
        "price": "price_each",
    },
    {"customer": "who", "time": "when", "amount": "spent", "quantity": "n", "price": "price"},
    {"customer": "id", "time": "when", "amount": "amount", "quantity": "count", "price": "price"},
    {"customer": "A", "time": "B", "amount": "C", "quantity": "D", "price": "E"},
)
TIME_FORMATS = (
    *("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%d/%m/%Y", "%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M"),
    *("%d-%b-%Y", "%Y%m%d", "%m/%d/%y", "%Y/%m/%d %H:%M", "%d/%m/%Y %I:%M %p", "%b %d, %Y", "%s"),
)
FORMS = ("amount", "price", "price and amount", "quantity and amount")
EXTRAS = {
    "country": ("Country", "Germany", "France", "Spain"),
    "product": ("product_id", "P100", "P200", "P300", "P400", "P500"),
    "description": ("description", "Lamp, green", "Bowl of glass and wood", 'Frame 10" in oak'),
    "store": ("store_id", "1", "2", "3"),
    "currency": ("currency", "EUR"),
    "discount": ("discount", "0", "0", "0.1"),
    "rating": ("rating", "1", "2", "3", "4", "5"),
}


@dataclass(frozen=True)
class DressedExport:
    """Export with the table that it holds.

    Attributes:
        path: File.
        table: Columns customer_id, event_timestamp (UTC), amount; sorted.
        dress: Description for a failing test.
    """

    path: Path
    table: pd.DataFrame
    dress: dict[str, object]


def write_export(folder: Path, seed: int) -> DressedExport:
    """Write a table in a random dress."""
    draw = random.Random(seed)
    rows = draw.choice((12, 60, 400, 3000))
    dress: dict[str, object] = {
        "seed": seed,
        "rows": rows,
        "names": draw.choice(NAMES),
        "time_format": draw.choice(TIME_FORMATS),
        "form": draw.choice(FORMS),
        "decimal": draw.choice("..,"),
        "delimiter": draw.choice(",;\t|"),
        "encoding": draw.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252")),
        "ids": draw.choice(("number", "padded", "code", "email", "hash")),
        "extras": draw.sample(sorted(EXTRAS), draw.randint(0, 3)),
        "orders": draw.choice((False, True)),
        "first_days_only": draw.random() < 0.15,
        "returns": draw.choice((0.0, 0.05)),
        "quote_all": draw.random() < 0.3,
        "compression": draw.choice(("none",) * 15 + tuple(COMPRESSIONS)),
        "grouped": draw.random() < 0.3,
        "currency_sign": draw.choice(("", "", "", "$", "€ ")),
    }
    return _write(folder, dress, np.random.default_rng(seed), draw)


def _write(folder: Path, dress: dict[str, object], rng: np.random.Generator, draw: random.Random) -> DressedExport:
    rows, names = int(dress["rows"]), dress["names"]  # type: ignore[call-overload]
    assert isinstance(names, dict)
    pattern = str(dress["time_format"])
    customers = rng.integers(1, max(3, rows // 4), rows)
    days = rng.integers(0, 12, rows) if dress["first_days_only"] else rng.integers(0, 500, rows)
    times = pd.Timestamp("2023-03-01") + pd.to_timedelta(np.sort(days), unit="D")
    if "H" in pattern or "I" in pattern or pattern == "%s":
        times = times + pd.to_timedelta(rng.integers(6 * 60, 22 * 60, rows), unit="min")
    quantity = rng.integers(1, 9, rows) * np.where(rng.random(rows) < float(dress["returns"]), -1, 1)  # type: ignore[arg-type]
    price = np.round(rng.uniform(0.5, 1800 if dress["grouped"] else 90, rows), 2)
    amount = np.round(quantity * price, 2)
    if dress["form"] == "amount":
        quantity, price = np.sign(amount), np.abs(amount)

    ids = [_id(int(c), str(dress["ids"])) for c in customers]
    columns: dict[str, list[str]] = {names["customer"]: ids}
    columns[names["time"]] = [str(int(t.timestamp())) if pattern == "%s" else t.strftime(pattern) for t in times]
    money = {"amount": amount, "quantity": quantity, "price": price}
    parts = {"price": ("quantity", "price"), "price and amount": ("quantity", "price", "amount")}
    for part in parts.get(
        str(dress["form"]), ("quantity", "amount") if "quantity" in str(dress["form"]) else ("amount",)
    ):
        columns[names[part]] = [_number(value, part, dress) for value in money[part]]
    for extra in dress["extras"]:  # type: ignore[attr-defined]
        name, *values = EXTRAS[extra]
        columns[name] = [draw.choice(values) for _ in range(rows)]
    if dress["orders"]:
        numbers = pd.factorize(pd.MultiIndex.from_arrays([customers, times]))[0] + 536365
        columns["order_no"] = [str(number) for number in numbers]
    order = list(columns)
    draw.shuffle(order)
    frame = pd.DataFrame({name: columns[name] for name in order})
    ending, compress = COMPRESSIONS[str(dress["compression"])]
    path = folder / f"export-{dress['seed']}.csv{ending}"
    text = frame.to_csv(index=False, sep=str(dress["delimiter"]), quoting=1 if dress["quote_all"] else 0)
    content = text.encode(str(dress["encoding"]))
    path.write_bytes(compress(content))
    table = pd.DataFrame({"customer_id": ids, "event_timestamp": times.tz_localize("UTC"), "amount": amount})
    return DressedExport(path, sort_table(table), dress)


def _id(customer: int, kind: str) -> str:
    texts = {"number": str(12000 + customer), "padded": f"{customer:06d}", "code": f"K{customer:04d}"}
    texts |= {"email": f"person{customer}@shop.example", "hash": f"{customer * 2654435761 % 2**32:08x}x"}
    return texts[kind]


def _number(value: float, part: str, dress: dict[str, object]) -> str:
    if part == "quantity":
        return str(int(value))
    text = f"{abs(value):,.2f}" if dress["grouped"] else f"{abs(value):.2f}"
    if dress["decimal"] == ",":
        text = text.translate(str.maketrans(",.", ".,"))
    sign = "-" if value < 0 else ""
    mark = str(dress["currency_sign"]) if dress["encoding"] != "cp1252" else ""
    return f"{sign}{mark}{text}"
