"""The transactions of CDNOW, day by day, as an upstream system would deliver them."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd

from holdfast.core.atomic_files import replace_file

START = datetime(1998, 5, 1, tzinfo=UTC)  # what is earlier is history; CDNOW ends with June
MOST_DAYS = 61
# CDNOW's own columns, as text; dates have no time of day.
CUSTOMER, DATE, QUANTITY, AMOUNT = "customer_id", "date", "number_of_cds", "dollar_value"
MAPPING = f"""\
columns:
  customer_id: {CUSTOMER}
  event_timestamp: {DATE}
  quantity: {QUANTITY}
  amount: {AMOUNT}
timestamp_format: "%Y%m%d"
"""


@dataclass(frozen=True)
class Days:
    """All transactions of some customers, as text."""

    rows: pd.DataFrame

    def history(self) -> pd.DataFrame:
        """What happened before the simulation starts."""
        return self.rows[self.rows[DATE] < _text(START.date())]

    def of(self, day: datetime) -> pd.DataFrame:
        """What happened on the day that begins at ``day``."""
        return self.rows[self.rows[DATE] == _text(day.date())]


def read_days(path: Path, customers: int) -> Days:
    """CDNOW's file; only of so many customers, always the same ones and a fair sample of all; 0: of all."""
    rows = pd.read_csv(path, sep=r"\s+", dtype=str)[[CUSTOMER, DATE, QUANTITY, AMOUNT]]
    if customers:
        drawn = sorted(rows[CUSTOMER].unique(), key=lambda one: hashlib.sha256(one.encode()).digest())[:customers]
        rows = rows[rows[CUSTOMER].isin(drawn)]
    return Days(rows.reset_index(drop=True))


def day_after(start: datetime, number: int) -> datetime:
    """The midnight with which the day of this number begins, the first being 0."""
    return start + timedelta(days=number)


def write_day(rows: pd.DataFrame, folder: Path, name: str) -> Path:
    """A day's delivery as CSV, whole or not at all."""
    path = folder / f"{name}.csv"
    with replace_file(path) as temporary:
        rows.to_csv(temporary, index=False)
    return path


def _text(day: date) -> str:
    return f"{day:%Y%m%d}"
