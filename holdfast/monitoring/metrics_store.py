"""Metrics table: measurements of all monitoring runs.

One Parquet file per view and end of the window, replaced as a whole: ``monitoring/metrics/VIEW/AS_OF.parquet``. A
repeated run replaces its own rows only.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import duckdb
import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from feature_repo.settings import Settings
from holdfast.core.atomic_files import replace_file
from holdfast.core.parquet_files import create_parquet_view
from holdfast.ingestion.schemas import UtcMicroseconds
from holdfast.monitoring.findings import View

_NAME = "%Y%m%dT%H%M%SZ"
_CHUNK = 500  # files per query


@dataclass(frozen=True)
class MetricRow:
    """Row of the metrics table.

    Attributes:
        subject: Feature, column or cohort.
        rows: Number of data rows that the value was computed from.
        low: Lower bound of the 95% interval; None without an interval.
        high: Upper bound of the 95% interval; None without an interval.
        limit: Limit of the check; None if the value was not checked.
        breached: True if the check failed.
        estimated: True if the value is an estimate made before the labels are known.
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
    """Schema of the metrics table: fields of ``MetricRow``, the view and the window."""

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
    """Write the metrics of one view and window, atomically.

    Args:
        settings: Settings with the monitoring folder.
        view: Name of the view.
        start: Start of the window.
        as_of: End of the window.
        rows: Metrics.
    """
    frame = pd.DataFrame([asdict(row) for row in rows], columns=list(MetricRow.__dataclass_fields__))
    frame = frame.assign(view=view, as_of=as_of, window_start=start)[list(MetricsTable.to_schema().columns)]
    times, floats = ("as_of", "window_start"), ("value", "low", "high", "limit")
    types = dict.fromkeys(times, "datetime64[us, UTC]") | dict.fromkeys(floats, "float64")
    types |= {"rows": "int64", "breached": "bool", "estimated": "bool"}
    with replace_file(_folder(settings) / view / f"{_name(as_of)}.parquet") as temporary:
        MetricsTable.validate(frame.astype(types), lazy=True).to_parquet(temporary, index=False)


def read_metrics(
    settings: Settings,
    view: View,
    since: datetime | None = None,
    before: datetime | None = None,
    last_of_day: bool = False,
) -> pd.DataFrame:
    """Read the metrics of the runs with ``since <= as_of < before``, oldest first.

    Args:
        settings: Settings with the monitoring folder.
        view: Name of the view.
        since: Earliest end of a window; None for no limit.
        before: End of the windows, exclusive; None for no limit.
        last_of_day: Read only the last run of each day (UTC). Runs are hourly; the other files are not opened.

    Returns:
        Rows of ``MetricsTable``.
    """
    first = None if since is None else _name(since)
    end = (
        None if before is None else _name(before + timedelta(seconds=1, microseconds=-1))
    )  # file names have whole seconds
    files = [
        path for path in _files(settings, view) if (not first or path.stem >= first) and (not end or path.stem < end)
    ]
    if last_of_day:
        files = [*{path.stem[:8]: path for path in files}.values()]
    return _read(files, since, before)


def latest_window_end(settings: Settings, view: View, until: datetime) -> datetime | None:
    """Return the end of the latest window of a view that ends at or before ``until``.

    Args:
        settings: Settings with the monitoring folder.
        view: Name of the view.
        until: Latest end of a window.

    Returns:
        The end in whole seconds; None if there is no such window.
    """
    names = [path.stem for path in _files(settings, view) if path.stem <= _name(until)]
    return datetime.strptime(names[-1], _NAME).replace(tzinfo=UTC) if names else None


def read_latest_metrics(settings: Settings, view: View, with_rows: bool = False) -> pd.DataFrame:
    """Read the metrics of the latest window.

    Args:
        settings: Settings with the monitoring folder.
        view: Name of the view.
        with_rows: Read the latest window in which at least one metric rests on data rows, and skip empty windows.

    Returns:
        Rows of ``MetricsTable``; empty if there is no such window.
    """
    files = _files(settings, view)[::-1]
    for chunk in (files[:1], *(files[start : start + _CHUNK] for start in range(1, len(files), _CHUNK))):
        found = _read(chunk, None, None)
        if with_rows:
            found = found[found["as_of"].isin(found.loc[found["rows"] > 0, "as_of"])]
        if len(found):
            return found[found["as_of"] == found["as_of"].max()].reset_index(drop=True)
    return MetricsTable.empty()


def _read(files: Sequence[Path], since: datetime | None, before: datetime | None) -> pd.DataFrame:
    if not files:
        return MetricsTable.empty()
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        create_parquet_view(connection, "metrics", files)
        found = connection.execute(
            "SELECT * FROM metrics WHERE as_of >= coalesce($since, as_of) "
            "AND ($before IS NULL OR as_of < $before) ORDER BY as_of, metric, subject, version",
            {"since": since, "before": before},
        ).df()
    found = found.astype({"as_of": "datetime64[us, UTC]", "window_start": "datetime64[us, UTC]"})
    return MetricsTable.validate(found, lazy=True)


def _files(settings: Settings, view: View) -> list[Path]:
    """List the files, oldest first: their names are the ends of the windows."""
    return sorted((_folder(settings) / view).glob("*.parquet"))


def _name(time: datetime) -> str:
    return time.astimezone(UTC).strftime(_NAME)


def _folder(settings: Settings) -> Path:
    return settings.monitoring / "metrics"
