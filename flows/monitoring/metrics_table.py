"""The metrics table: what every monitoring run measured, so that later runs can compare.

One Parquet file per view and moment, written as a whole: ``monitoring/metrics/VIEW/AS_OF.parquet``. A run that is
repeated replaces its own rows and no others.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import duckdb
import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from feature_repo.contracts import UtcMicroseconds
from feature_repo.settings import Settings
from flows.files import replace_file
from flows.monitoring.findings import View


@dataclass(frozen=True)
class MetricRow:
    """One measurement. ``subject`` is a feature, a column or a cohort; ``low`` and ``high`` bound it at 95%.

    ``rows`` is how many rows it rests on; ``limit`` what it was held against; ``breached`` whether it was beyond.
    """

    metric: str
    subject: str
    value: float
    rows: int
    version: str = ""
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    breached: bool = False
    estimated: bool = False


class MetricsTable(pa.DataFrameModel):
    """Rows of the metrics table: a :class:`MetricRow` with the view and the window it was measured in."""

    view: Series[str] = pa.Field(isin=get_args(View))
    as_of: Series[UtcMicroseconds]
    window_start: Series[UtcMicroseconds]
    metric: Series[str]
    subject: Series[str]
    version: Series[str]
    value: Series[np.float64] = pa.Field(nullable=True)
    low: Series[np.float64] = pa.Field(nullable=True)
    high: Series[np.float64] = pa.Field(nullable=True)
    limit: Series[np.float64] = pa.Field(nullable=True)
    rows: Series[np.int64] = pa.Field(ge=0)
    breached: Series[bool]
    estimated: Series[bool]

    class Config:
        strict = True
        ordered = True


def write_metrics(settings: Settings, view: View, start: datetime, as_of: datetime, rows: Sequence[MetricRow]) -> None:
    """Keep what ``view`` measured in the window from ``start`` to ``as_of``, as a whole or not at all."""
    frame = pd.DataFrame([asdict(row) for row in rows], columns=list(MetricRow.__dataclass_fields__))
    frame = frame.assign(view=view, as_of=as_of, window_start=start)[list(MetricsTable.to_schema().columns)]
    times, floats = ("as_of", "window_start"), ("value", "low", "high", "limit")
    types = dict.fromkeys(times, "datetime64[us, UTC]") | dict.fromkeys(floats, "float64")
    types |= {"rows": "int64", "breached": "bool", "estimated": "bool"}
    with replace_file(_folder(settings) / view / f"{as_of.astimezone(UTC):%Y%m%dT%H%M%SZ}.parquet") as temporary:
        MetricsTable.validate(frame.astype(types), lazy=True).to_parquet(temporary, index=False)


def read_metrics(
    settings: Settings, view: View, since: datetime | None = None, before: datetime | None = None
) -> pd.DataFrame:
    """What ``view`` measured in runs with ``since <= as_of < before``, oldest first."""
    pattern = _folder(settings) / view / "*.parquet"
    if not any(pattern.parent.glob("*.parquet")):
        return MetricsTable.empty()
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(
            "SELECT * FROM read_parquet($files) WHERE as_of >= coalesce($since, as_of) "
            "AND ($before IS NULL OR as_of < $before) ORDER BY as_of, metric, subject, version",
            {"files": str(pattern), "since": since, "before": before},
        ).df()
    found = found.astype({"as_of": "datetime64[us, UTC]", "window_start": "datetime64[us, UTC]"})
    return MetricsTable.validate(found, lazy=True)


def last_metrics(settings: Settings, view: View) -> pd.DataFrame:
    """What the run about the latest moment measured; no other file is opened. Empty where there was none."""
    files = sorted((_folder(settings) / view).glob("*.parquet"))  # named by the moment
    if not files:
        return MetricsTable.empty()
    found = pd.read_parquet(files[-1]).astype({"as_of": "datetime64[us, UTC]", "window_start": "datetime64[us, UTC]"})
    return MetricsTable.validate(found, lazy=True)


def _folder(settings: Settings) -> Path:
    return settings.monitoring / "metrics"
