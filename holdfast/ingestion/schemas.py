"""Pandera schemas of transactions and quarantine."""

from typing import Annotated

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

UtcMicroseconds = Annotated[pd.DatetimeTZDtype, "us", "UTC"]

_MAX_ABSOLUTE_VALUE = 1e12  # sums must fit the decimals of the transformations


class Transactions(pa.DataFrameModel):
    """Table of transactions: one purchase (amount and quantity above zero) or one return (both below) per row.

    The ``error`` of each check is the quarantine reason of the rows that fail it. ``n_failure_cases`` is small because
    the rows are read from the check's output: formatting a million failure cases would take longer than the checks.
    """

    customer_id: Series[str] = pa.Field(nullable=False)
    event_timestamp: Series[UtcMicroseconds] = pa.Field(nullable=False)
    amount: Series[np.float64] = pa.Field(nullable=False)
    quantity: Series[np.float64] = pa.Field(nullable=False)
    ingested_at: Series[UtcMicroseconds] = pa.Field(nullable=False)
    batch_id: Series[str] = pa.Field(nullable=False)

    class Config:
        strict = True
        ordered = True

    @pa.check("customer_id", error="customer_id is empty or longer than 128 characters", n_failure_cases=5)
    @classmethod
    def _id_length(cls, ids: pd.Series) -> pd.Series:
        return ids.str.len().between(1, 128)

    @pa.check("amount", error="amount is not finite", n_failure_cases=5)
    @classmethod
    def _finite_amount(cls, amounts: pd.Series) -> pd.Series:
        return pd.Series(np.isfinite(amounts), index=amounts.index)

    @pa.check("quantity", error="quantity is not finite", n_failure_cases=5)
    @classmethod
    def _finite_quantity(cls, quantities: pd.Series) -> pd.Series:
        return pd.Series(np.isfinite(quantities), index=quantities.index)

    @pa.check("amount", error="amount is beyond a trillion", n_failure_cases=5)
    @classmethod
    def _amount_in_range(cls, amounts: pd.Series) -> pd.Series:
        return ~np.isfinite(amounts) | (amounts.abs() <= _MAX_ABSOLUTE_VALUE)

    @pa.check("quantity", error="quantity is beyond a trillion", n_failure_cases=5)
    @classmethod
    def _quantity_in_range(cls, quantities: pd.Series) -> pd.Series:
        return ~np.isfinite(quantities) | (quantities.abs() <= _MAX_ABSOLUTE_VALUE)

    @pa.check("event_timestamp", error="event_timestamp is before 1970", n_failure_cases=5)
    @classmethod
    def _after_1970(cls, times: pd.Series) -> pd.Series:
        return ~(times < pd.Timestamp(0, tz="UTC"))  # many systems export a missing date as 1900-01-01

    @pa.check("amount", error="amount is 0: neither a purchase nor a return", n_failure_cases=5)
    @classmethod
    def _amount_not_zero(cls, amounts: pd.Series) -> pd.Series:
        return amounts != 0

    @pa.check("quantity", error="quantity is 0: neither a purchase nor a return", n_failure_cases=5)
    @classmethod
    def _quantity_not_zero(cls, quantities: pd.Series) -> pd.Series:
        return quantities != 0

    @pa.dataframe_check(error="amount and quantity have opposite signs", n_failure_cases=5)
    @classmethod
    def _same_sign(cls, rows: pd.DataFrame) -> pd.Series:
        return ~(((rows["amount"] > 0) & (rows["quantity"] < 0)) | ((rows["amount"] < 0) & (rows["quantity"] > 0)))

    @pa.dataframe_check(error="event_timestamp is more than a day after ingestion", n_failure_cases=5)
    @classmethod
    def _not_in_the_future(cls, rows: pd.DataFrame) -> pd.Series:
        return ~(rows["event_timestamp"] > rows["ingested_at"] + pd.Timedelta(days=1))


class Quarantine(pa.DataFrameModel):
    """Table of quarantined rows: the unchanged row, with every reason."""

    source_file: Series[str] = pa.Field(nullable=False)
    row_number: Series[np.int64] = pa.Field(ge=1)
    reasons: Series[object] = pa.Field(nullable=False)
    raw: Series[str] = pa.Field(nullable=False)
    ingested_at: Series[UtcMicroseconds] = pa.Field(nullable=False)
    batch_id: Series[str] = pa.Field(nullable=False)

    class Config:
        strict = True
        ordered = True
