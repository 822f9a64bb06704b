"""Pandera schemas of the tables of each kind, and of the quarantine."""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow as arrow
from pandera.typing import Series

from holdfast.ingestion.kinds import KindName

UtcMicroseconds = Annotated[pd.DatetimeTZDtype, "us", "UTC"]
Text = Annotated[pd.StringDtype, "pyarrow", pd.NA]  # of a column of objects, each value would be checked
Texts = Annotated[pd.ArrowDtype, arrow.list_(arrow.string())]

_LONGEST_NAME, _LONGEST_VALUE = 64, 256  # characters
_MAX_ABSOLUTE_VALUE = 1e12  # sums must fit the decimals of the transformations


def _check(column: str, problem: str, is_valid: Callable[[pd.Series], pd.Series]) -> Any:
    """Create a check of one column, whose error is the column with the problem."""
    return pa.check(column, error=f"{column} {problem}", n_failure_cases=5)(lambda cls, values: is_valid(values))


def _to_utc(times: pd.Series) -> np.ndarray:
    return times.to_numpy(dtype="datetime64[us]")


def _is_after_1970(times: pd.Series) -> pd.Series:
    return pd.Series(~(_to_utc(times) < np.datetime64(0, "us")), index=times.index)


def _is_before_next_day(rows: pd.DataFrame) -> pd.Series:
    latest = _to_utc(rows["ingested_at"]) + np.timedelta64(1, "D")
    return pd.Series(~(_to_utc(rows["event_timestamp"]) > latest), index=rows.index)


def _is_in_range(values: pd.Series) -> pd.Series:
    return ~np.isfinite(values) | (values.abs() <= _MAX_ABSOLUTE_VALUE)


def _has_length(longest: int) -> Callable[[pd.Series], pd.Series]:
    """Check that a text has at least one character and at most so many; null is no text."""
    return lambda texts: texts.isna() | texts.str.len().between(1, longest)


class Transactions(pa.DataFrameModel):
    """Table of transactions: one purchase (amount and quantity above zero) or one return (both below) per row.

    The ``error`` of each check is the quarantine reason of the rows that fail it. ``n_failure_cases`` is small because
    the rows are read from the check's output: formatting a million failure cases would take longer than the checks.
    """

    customer_id: Series[Text] = pa.Field(nullable=False)
    event_timestamp: Series[UtcMicroseconds] = pa.Field(nullable=False)
    amount: Series[np.float64] = pa.Field(nullable=False)
    quantity: Series[np.float64] = pa.Field(nullable=False)
    source: Series[Text] = pa.Field(nullable=True)
    ingested_at: Series[UtcMicroseconds] = pa.Field(nullable=False)
    batch_id: Series[Text] = pa.Field(nullable=False)

    class Config:
        strict = True
        ordered = True

    _id_length = _check("customer_id", "is empty or longer than 128 characters", _has_length(128))
    _finite_amount = _check("amount", "is not finite", np.isfinite)
    _finite_quantity = _check("quantity", "is not finite", np.isfinite)
    _amount_in_range = _check("amount", "is beyond a trillion", _is_in_range)
    _quantity_in_range = _check("quantity", "is beyond a trillion", _is_in_range)
    # Many systems export a missing date as 1900-01-01.
    _after_1970 = _check("event_timestamp", "is before 1970", _is_after_1970)
    _source_length = _check("source", "is longer than 64 characters", _has_length(_LONGEST_NAME))
    _amount_not_zero = _check("amount", "is 0: neither a purchase nor a return", lambda values: values != 0)
    _quantity_not_zero = _check("quantity", "is 0: neither a purchase nor a return", lambda values: values != 0)

    @pa.dataframe_check(error="amount and quantity have opposite signs", n_failure_cases=5)
    @classmethod
    def _same_sign(cls, rows: pd.DataFrame) -> pd.Series:
        return ~(((rows["amount"] > 0) & (rows["quantity"] < 0)) | ((rows["amount"] < 0) & (rows["quantity"] > 0)))

    @pa.dataframe_check(error="event_timestamp is more than a day after ingestion", n_failure_cases=5)
    @classmethod
    def _not_in_the_future(cls, rows: pd.DataFrame) -> pd.Series:
        return _is_before_next_day(rows)


class Attributes(pa.DataFrameModel):
    """Table of the values of customers' attributes: each row is valid from its time until the next one.

    A null value is an erased one. A time may be long ago or to come: a customer since 1900, a plan from next month on.
    """

    customer_id: Series[Text] = pa.Field(nullable=False)
    attribute: Series[Text] = pa.Field(nullable=False)
    value: Series[Text] = pa.Field(nullable=True)
    event_timestamp: Series[UtcMicroseconds] = pa.Field(nullable=False)
    ingested_at: Series[UtcMicroseconds] = pa.Field(nullable=False)
    batch_id: Series[Text] = pa.Field(nullable=False)

    class Config:
        strict = True
        ordered = True

    _id_length = _check("customer_id", "is empty or longer than 128 characters", _has_length(128))
    _attribute_length = _check("attribute", "is longer than 64 characters", _has_length(_LONGEST_NAME))
    _value_length = _check("value", "is longer than 256 characters", _has_length(_LONGEST_VALUE))


class Events(pa.DataFrameModel):
    """Table of events: what a customer did, when, and an optional number such as minutes or a rating."""

    customer_id: Series[Text] = pa.Field(nullable=False)
    event_timestamp: Series[UtcMicroseconds] = pa.Field(nullable=False)
    kind: Series[Text] = pa.Field(nullable=False)
    value: Series[np.float64] = pa.Field(nullable=True)
    ingested_at: Series[UtcMicroseconds] = pa.Field(nullable=False)
    batch_id: Series[Text] = pa.Field(nullable=False)

    class Config:
        strict = True
        ordered = True

    _id_length = _check("customer_id", "is empty or longer than 128 characters", _has_length(128))
    _kind_length = _check("kind", "is longer than 64 characters", _has_length(_LONGEST_NAME))
    _finite_value = _check("value", "is not finite", lambda values: ~np.isinf(values))
    _value_in_range = _check("value", "is beyond a trillion", _is_in_range)
    _after_1970 = _check("event_timestamp", "is before 1970", _is_after_1970)

    @pa.dataframe_check(error="event_timestamp is more than a day after ingestion", n_failure_cases=5)
    @classmethod
    def _not_in_the_future(cls, rows: pd.DataFrame) -> pd.Series:
        return _is_before_next_day(rows)


class Quarantine(pa.DataFrameModel):
    """Table of quarantined rows: the unchanged row, with every reason."""

    source_file: Series[Text] = pa.Field(nullable=False)
    row_number: Series[np.int64] = pa.Field(ge=1)
    reasons: Series[Texts] = pa.Field(nullable=False)
    raw: Series[Text] = pa.Field(nullable=False)
    ingested_at: Series[UtcMicroseconds] = pa.Field(nullable=False)
    batch_id: Series[Text] = pa.Field(nullable=False)

    class Config:
        strict = True
        ordered = True


TABLE_SCHEMAS: dict[KindName, type[pa.DataFrameModel]] = {
    "transactions": Transactions,
    "attributes": Attributes,
    "events": Events,
}
