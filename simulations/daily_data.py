"""Daily transaction files of CDNOW, as an upstream system would deliver them."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd

from holdfast.core.atomic_files import replace_file

START = datetime(1998, 5, 1, tzinfo=UTC)  # earlier transactions are history; CDNOW ends with June
MAX_DAYS = 61
# CDNOW's columns, as text; dates have no time of day.
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
class DailyTransactions:
    """All transactions of a sample of customers, as text."""

    rows: pd.DataFrame

    def history(self) -> pd.DataFrame:
        """Select the transactions before the simulation starts.

        Returns:
            Rows before ``START``.
        """
        return self.rows[self.rows[DATE] < _to_text(START.date())]

    def on_day(self, day: datetime) -> pd.DataFrame:
        """Select the transactions of a day.

        Args:
            day: Midnight at the start of the day.

        Returns:
            Rows of the day.
        """
        return self.rows[self.rows[DATE] == _to_text(day.date())]


def read_transactions(path: Path, customers: int) -> DailyTransactions:
    """Read CDNOW's file.

    Args:
        path: The file.
        customers: Size of the sample, drawn by the hash of the customer: deterministic, and a larger sample contains
            a smaller one. 0: all customers.

    Returns:
        The transactions of the sample.
    """
    rows = pd.read_csv(path, sep=r"\s+", dtype=str)[[CUSTOMER, DATE, QUANTITY, AMOUNT]]
    if customers:
        by_hash = sorted(rows[CUSTOMER].unique(), key=lambda customer: hashlib.sha256(customer.encode()).digest())
        rows = rows[rows[CUSTOMER].isin(by_hash[:customers])]
    return DailyTransactions(rows.reset_index(drop=True))


def start_of_day(number: int) -> datetime:
    """Compute the midnight at the start of a simulated day.

    Args:
        number: Number of the day; 0: ``START``.

    Returns:
        Midnight at the start of the day.
    """
    return START + timedelta(days=number)


def write_day(rows: pd.DataFrame, folder: Path, name: str) -> Path:
    """Write the file of a day as CSV, atomically.

    Args:
        rows: Transactions.
        folder: Folder of the files.
        name: Name of the file, without suffix.

    Returns:
        Path of the file.
    """
    path = folder / f"{name}.csv"
    with replace_file(path) as temporary:
        rows.to_csv(temporary, index=False)
    return path


def _to_text(day: date) -> str:
    return f"{day:%Y%m%d}"
