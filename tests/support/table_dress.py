"""Random tables of transactions, and the files and mappings in which a shop may export them."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from tests.support.compressions import COMPRESSIONS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_GROUPS = ["", "'", "\u2019", " ", "\u00a0", "\u202f"]  # the last two: no-break space, narrow no-break space


@dataclass(frozen=True)
class Transaction:
    """Row of the table that a file must give, whatever its dress."""

    customer_id: str
    event_timestamp: datetime
    amount: Decimal
    quantity: int

    @property
    def stored(self) -> tuple[str, datetime, float, float]:
        """Return the row as it is stored."""
        return self.customer_id, self.event_timestamp, float(self.amount), float(self.quantity)


@dataclass(frozen=True)
class NumberDress:
    """Notation of amounts: separators, currency and the place of the minus sign."""

    decimal: Literal[".", ","]
    group: str
    before: str
    after: str
    minus: Literal["-1", "1-", "(1)"]

    def write(self, value: Decimal) -> str:
        """Write a number in this notation."""
        whole, _, fraction = f"{abs(value):,.2f}".partition(".")
        text = f"{self.before}{whole.replace(',', self.group)}{self.decimal}{fraction}{self.after}"
        return text if value >= 0 else self.minus.replace("1", text)


@dataclass(frozen=True)
class TimeDress:
    """Notation of timestamps.

    Attributes:
        mapped: ``timestamp_format`` of the mapping; None for ISO 8601.
        step: Resolution of the notation.
        write: Local time and instant to text.
    """

    mapped: str | None
    step: timedelta
    write: Callable[[datetime], str]


@dataclass(frozen=True)
class TableDress:
    """File format, notation and mapping of a table."""

    kind: Literal["csv", "parquet", "xlsx"]
    number: NumberDress
    time: TimeDress
    time_zone: str
    delimiter: str
    line_end: str
    quote_all: bool
    last_line_end: bool
    encoding: str
    compression: str
    columns: tuple[str, ...]
    names: dict[str, str]

    def write(self, rows: list[Transaction], folder: Path) -> tuple[Path, dict[str, Any]]:
        """Write the rows as a file into a folder; returns the file and its mapping."""
        mapping: dict[str, Any] = {
            "columns": {field: self.names[field] for field in ("customer_id", "event_timestamp", "amount", "quantity")},
            "time_zone": self.time_zone,
        }
        if self.kind == "csv":
            path, content = folder / "export.csv", self._csv(rows)
            if self.time.mapped:
                mapping["timestamp_format"] = self.time.mapped
            mapping |= {"decimal": self.number.decimal, "delimiter": self.delimiter, "encoding": self.encoding}
            if not self.last_line_end:
                mapping["unterminated_row"] = "keep"
            ending, compress = COMPRESSIONS[self.compression]
            path = path.with_name(path.name + ending)
            path.write_bytes(compress(content))
            return path, mapping
        path = folder / f"export.{self.kind}"
        if self.kind == "parquet":
            pq.write_table(self._table(rows), path)
        else:
            self._workbook(rows).save(path)
        return path, mapping

    def _local(self, row: Transaction) -> datetime:
        return row.event_timestamp.astimezone(ZoneInfo(self.time_zone))

    def _csv(self, rows: list[Transaction]) -> bytes:
        text = io.StringIO(newline="")
        writer = csv.writer(
            text,
            delimiter=self.delimiter,
            lineterminator=self.line_end,
            quoting=csv.QUOTE_ALL if self.quote_all else csv.QUOTE_MINIMAL,
        )
        writer.writerow([self.names[column] for column in self.columns])
        for number, row in enumerate(rows):
            fields = {
                "customer_id": row.customer_id,
                "event_timestamp": self.time.write(self._local(row)),
                "amount": self.number.write(row.amount),
                "quantity": str(row.quantity),
                "note": f"row {number}",
            }
            writer.writerow([fields[column] for column in self.columns])
        content = text.getvalue()
        return (content if self.last_line_end else content.removesuffix(self.line_end)).encode(self.encoding)

    def _values(self, rows: list[Transaction]) -> dict[str, list[Any]]:
        return {
            "customer_id": [row.customer_id for row in rows],
            "event_timestamp": [self._local(row).replace(tzinfo=None) for row in rows],
            "amount": [row.amount for row in rows],
            "quantity": [row.quantity for row in rows],
            "note": [f"row {number}" for number in range(len(rows))],
        }

    def _table(self, rows: list[Transaction]) -> pa.Table:
        values = self._values(rows)
        return pa.table({self.names[column]: values[column] for column in self.columns})

    def _workbook(self, rows: list[Transaction]) -> openpyxl.Workbook:
        workbook = openpyxl.Workbook()
        sheet, values = workbook.active, self._values(rows)
        sheet.append([self.names[column] for column in self.columns])
        for number in range(len(rows)):
            sheet.append([values[column][number] for column in self.columns])
        return workbook


_TIMES = [
    TimeDress(None, timedelta(seconds=1), lambda local: local.strftime("%Y-%m-%d %H:%M:%S")),
    TimeDress(None, timedelta(seconds=1), lambda local: local.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")),
    TimeDress(None, timedelta(seconds=1), lambda local: local.isoformat()),
    TimeDress("%d/%m/%Y %H:%M", timedelta(minutes=1), lambda local: local.strftime("%d/%m/%Y %H:%M")),
    TimeDress("%m/%d/%Y %H:%M", timedelta(minutes=1), lambda local: local.strftime("%m/%d/%Y %H:%M")),
    TimeDress("%d.%m.%y %H:%M:%S", timedelta(seconds=1), lambda local: local.strftime("%d.%m.%y %H:%M:%S")),
    TimeDress("%d %b %Y %I:%M %p", timedelta(minutes=1), lambda local: local.strftime("%d %b %Y %I:%M %p")),
    TimeDress("epoch_seconds", timedelta(seconds=1), lambda local: str((local - _EPOCH) // timedelta(seconds=1))),
]


def transactions() -> st.SearchStrategy[list[Transaction]]:
    """Draw tables of 1 to 30 rows of a year, whose times exist and are unique in every time zone."""
    identifier = st.from_regex(r"[A-Z]{1,3}[0-9]{1,6}", fullmatch=True) | st.from_regex(r"0[1-9]{3,7}", fullmatch=True)
    minutes = st.integers(0, 120 * 24 * 60)  # of the first months of a year without a change of the clock
    cents = st.integers(1, 10_000_000) | st.integers(-1_000_000, -1)
    row = st.tuples(identifier, minutes, cents, st.integers(1, 50))
    begin = datetime(2024, 11, 5, 12, tzinfo=UTC)
    return st.lists(row, min_size=1, max_size=30).map(
        lambda drawn: [
            Transaction(
                customer_id,
                begin + timedelta(minutes=minute),
                Decimal(cent) / 100,
                quantity if cent > 0 else -quantity,
            )
            for customer_id, minute, cent, quantity in drawn
        ]
    )


@st.composite
def dresses(
    draw: Callable[[st.SearchStrategy[Any]], Any], kinds: Sequence[str] = ("csv", "csv", "csv", "parquet", "xlsx")
) -> TableDress:
    """Draw a dress whose mapping describes it fully and without ambiguity."""
    decimal = draw(st.sampled_from([".", ","]))
    delimiter = draw(st.sampled_from([",", ";", "\t", "|"]))
    groups = [*_GROUPS, "." if decimal == "," else ","]
    before, after = draw(st.sampled_from([("", ""), ("$", ""), ("", " \u20ac"), ("\u00a3", ""), ("CHF ", "")]))
    number = NumberDress(
        decimal, draw(st.sampled_from(groups)), before, after, draw(st.sampled_from(["-1", "1-", "(1)"]))
    )
    is_latin = (number.before + number.after + number.group).encode("latin-1", "ignore").decode("latin-1") == (
        number.before + number.after + number.group
    )
    encodings = ["utf-8", "utf-8-sig", "utf-16", *(["latin-1"] if is_latin else [])]
    columns = draw(st.permutations(["customer_id", "event_timestamp", "amount", "quantity", "note"]))
    words = draw(st.sampled_from([("id", "when", "amount", "quantity"), ("Kunde", "Datum", "Betrag \u20ac", "Menge")]))
    names = dict(zip(("customer_id", "event_timestamp", "amount", "quantity"), words, strict=True)) | {"note": "note"}
    encoding = draw(st.sampled_from(encodings))
    if encoding == "latin-1":
        names["amount"] = "amount"
    return TableDress(
        kind=draw(st.sampled_from(kinds)),
        number=number,
        time=draw(st.sampled_from(_TIMES)),
        time_zone=draw(st.sampled_from(["UTC", "Europe/London", "Asia/Kolkata", "America/New_York"])),
        delimiter=delimiter,
        line_end=draw(st.sampled_from(["\n", "\r\n"])),
        quote_all=draw(st.booleans()),
        last_line_end=draw(st.booleans()),
        encoding=encoding,
        compression=draw(st.sampled_from(list(COMPRESSIONS))),
        columns=tuple(columns),
        names=names,
    )
