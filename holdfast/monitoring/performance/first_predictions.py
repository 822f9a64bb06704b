"""What callers were told, from the prediction log: the first answer to each customer on each day, by version.

Half a year of a busy log takes minutes to read, and monitoring looks every hour. A day that is over is read once, and
what is kept of it is a row per customer: ``monitoring/answers/DAY.parquet``.
"""

import json
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from feature_repo.source_hash import sha256
from holdfast.core.atomic_files import replace_file
from holdfast.core.prediction_log import TIMESTAMP_TYPE, iter_day_predictions, list_day_folders
from holdfast.models.contract import RECENCY_FEATURE

_ANSWERED = ("champion", "canary")  # what a caller got: a challenger in shadow decided nothing
_COLUMNS = [ENTITY_KEY, "as_of", "answered_at", "version", "churn_probability"]
_MADE_FROM = b"holdfast"


def read_first_predictions(settings: Settings, since: datetime, as_of: datetime) -> pd.DataFrame:
    """The first answers in each file to active customers, about ``since`` on and before ``as_of``; ``_COLUMNS``.

    On the wall clock the time a prediction is about is that of the answer: days before ``since`` are not read, and
    those that are over are kept. Any other clock says nothing of when answers were given.
    """
    near, tables = settings.clock == "wall", []
    days = list_day_folders(settings.predictions)
    _forget_others(settings, {day for day, _ in days})
    for day, folder in days:
        if not near:
            tables.append(_first(settings, _between(iter_day_predictions(folder), since, as_of)))
        elif day >= since.date():
            over = day < as_of.date() - timedelta(days=1)  # writers may be late by minutes
            told = _kept(settings, day, folder) if over else _first(settings, iter_day_predictions(folder))
            tables.append(told[(told["as_of"] >= since) & (told["as_of"] < as_of)])
    found = [table for table in tables if len(table)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=_COLUMNS)


def _between(tables: Iterable[pa.Table], since: datetime, as_of: datetime) -> Iterable[pa.Table]:
    for table in tables:
        times = table["as_of"]
        inside = pc.and_(
            pc.greater_equal(times, pa.scalar(since, TIMESTAMP_TYPE)), pc.less(times, pa.scalar(as_of, TIMESTAMP_TYPE))
        )
        yield table.filter(inside)


def _first(settings: Settings, tables: Iterable[pa.Table]) -> pd.DataFrame:
    """One file in memory at a time."""
    found = []
    for table in tables:
        counts = pc.is_in(table["route"], pa.array(_ANSWERED))
        if RECENCY_FEATURE in table.column_names:  # nothing was learned of those who have long been away
            counts = pc.and_(counts, pc.less_equal(table[RECENCY_FEATURE], float(settings.activity_days)))
        rows = table.filter(counts).select(_COLUMNS).to_pandas()
        rows = rows.assign(day=rows["as_of"].dt.floor("D")).sort_values("answered_at", kind="stable")
        found.append(rows.drop_duplicates([ENTITY_KEY, "day", "version"])[_COLUMNS])
    return pd.concat(found, ignore_index=True) if found else _nothing()


def _kept(settings: Settings, day: date, folder: Path) -> pd.DataFrame:
    """Those of a day that is over; read from the log again if its files are others by now."""
    files = sorted(path.name for path in folder.glob("*.arrows"))
    made_from = sha256(json.dumps([settings.activity_days, files])).encode()
    place = settings.monitoring / "answers" / f"{day}.parquet"
    try:
        if (pq.read_schema(place).metadata or {}).get(_MADE_FROM) == made_from:
            return pq.read_table(place, columns=_COLUMNS).to_pandas()
    except (FileNotFoundError, pa.ArrowException):
        pass
    told = _first(settings, iter_day_predictions(folder))
    table = pa.Table.from_pandas(told, preserve_index=False).replace_schema_metadata({_MADE_FROM: made_from})
    with replace_file(place) as temporary:
        pq.write_table(table, temporary)
    return told


def _forget_others(settings: Settings, days: set[date]) -> None:
    """What the log does not hold any more is not held here, either."""
    for place in (settings.monitoring / "answers").glob("*.parquet"):
        if date.fromisoformat(place.stem) not in days:
            place.unlink(missing_ok=True)


def _nothing() -> pd.DataFrame:
    times = {"as_of": "datetime64[us, UTC]", "answered_at": "datetime64[us, UTC]"}
    return pd.DataFrame(columns=_COLUMNS).astype(times)
