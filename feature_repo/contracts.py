"""Pandera models of every table Holdfast writes."""

from typing import Annotated

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

UtcMicroseconds = Annotated[pd.DatetimeTZDtype, "us", "UTC"]


class Transactions(pa.DataFrameModel):
    """One purchase (amount and quantity above zero) or one return (both below) per row."""

    customer_id: Series[str] = pa.Field(nullable=False, str_length={"min_value": 1, "max_value": 128})
    event_timestamp: Series[UtcMicroseconds] = pa.Field(nullable=False)
    amount: Series[np.float64] = pa.Field(nullable=False)
    quantity: Series[np.float64] = pa.Field(nullable=False)
    ingested_at: Series[UtcMicroseconds] = pa.Field(nullable=False)
    batch_id: Series[str] = pa.Field(nullable=False)

    class Config:
        strict = True
        ordered = True


class Quarantine(pa.DataFrameModel):
    """A row that broke the contract, as it was found, with every reason."""

    source_file: Series[str] = pa.Field(nullable=False)
    row_number: Series[np.int64] = pa.Field(ge=1)
    reasons: Series[object] = pa.Field(nullable=False)
    raw: Series[str] = pa.Field(nullable=False)
    ingested_at: Series[UtcMicroseconds] = pa.Field(nullable=False)
    batch_id: Series[str] = pa.Field(nullable=False)

    class Config:
        strict = True
        ordered = True
