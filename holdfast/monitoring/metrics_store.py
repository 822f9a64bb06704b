"""The metrics table: what every monitoring run measured, so that later runs can compare.

One Parquet file per view and moment, written as a whole: ``monitoring/metrics/VIEW/AS_OF.parquet``. A run that is
repeated replaces its own rows and no others.
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
from holdfast.ingestion.schemas import UtcMicroseconds
from holdfast.monitoring.findings import View

_NAME = "%Y%m%dT%H%M%SZ"
_AT_ONCE = 500  # files that are read together


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
    with replace_file(_folder(settings) / view / f"{_name(as_of)}.parquet") as temporary:
        MetricsTable.validate(frame.astype(types), lazy=True).to_parquet(temporary, index=False)


def read_metrics(
    settings: Settings,
    view: View,
    since: datetime | None = None,
    before: datetime | None = None,
    last_of_day: bool = False,
) -> pd.DataFrame:
    """What ``view`` measured in runs with ``since <= as_of < before``, oldest first.

    With ``last_of_day`` only the last such run of each day (UTC). Runs come every hour: no other file is opened.
    """
    first = None if since is None else _name(since)
    end = None if before is None else _name(before + timedelta(seconds=1, microseconds=-1))  # names have whole seconds
    files = [
        path for path in _files(settings, view) if (not first or path.stem >= first) and (not end or path.stem < end)
    ]
    if last_of_day:
        files = [*{path.stem[:8]: path for path in files}.values()]
    return _read(files, since, before)


def latest_window_end(settings: Settings, view: View, until: datetime) -> datetime | None:
    """The end, in whole seconds, of the newest window of ``view`` that ends at ``until`` or before."""
    names = [path.stem for path in _files(settings, view) if path.stem <= _name(until)]
    return datetime.strptime(names[-1], _NAME).replace(tzinfo=UTC) if names else None


def read_latest_metrics(settings: Settings, view: View, of_rows: bool = False) -> pd.DataFrame:
    """What the run about the latest moment measured; empty where there was none.

    With ``of_rows`` the latest run that measured anything on rows, however many since had none to look at.
    """
    files = _files(settings, view)[::-1]
    for part in (files[:1], *(files[start : start + _AT_ONCE] for start in range(1, len(files), _AT_ONCE))):
        found = _read(part, None, None)
        if of_rows:
            found = found[found["as_of"].isin(found.loc[found["rows"] > 0, "as_of"])]
        if len(found):
            return found[found["as_of"] == found["as_of"].max()].reset_index(drop=True)
    return MetricsTable.empty()


def _read(files: Sequence[Path], since: datetime | None, before: datetime | None) -> pd.DataFrame:
    if not files:
        return MetricsTable.empty()
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(
            "SELECT * FROM read_parquet($files) WHERE as_of >= coalesce($since, as_of) "
            "AND ($before IS NULL OR as_of < $before) ORDER BY as_of, metric, subject, version",
            {"files": [str(path) for path in files], "since": since, "before": before},
        ).df()
    found = found.astype({"as_of": "datetime64[us, UTC]", "window_start": "datetime64[us, UTC]"})
    return MetricsTable.validate(found, lazy=True)


def _files(settings: Settings, view: View) -> list[Path]:
    """Oldest first: they are named by their moment."""
    return sorted((_folder(settings) / view).glob("*.parquet"))


def _name(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(_NAME)


def _folder(settings: Settings) -> Path:
    return settings.monitoring / "metrics"
