"""First prediction of each customer on each day, by version, from the prediction log.

Half a year of a busy log takes minutes to read, and monitoring runs every hour. A past day is read once and cached with
one row per customer: ``monitoring/first_predictions/DAY.parquet``.
"""

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.core.atomic_files import replace_file
from holdfast.core.parquet_files import read_parquet_file
from holdfast.core.prediction_log import iter_day_predictions, list_day_folders
from holdfast.models.label import RECENCY_FEATURE, ActivityRule

_RETURNED_ROUTES = ("champion", "canary")  # predictions in shadow are not returned to callers
_COLUMNS = [ENTITY_KEY, "as_of", "answered_at", "version", "churn_probability"]
_EMPTY = pd.DataFrame(columns=_COLUMNS).astype(
    {"as_of": "datetime64[us, UTC]", "answered_at": "datetime64[us, UTC]", "churn_probability": "float64"}
)
_SOURCE_KEY = b"holdfast"  # metadata: source files, and the rule for active customers of each version


def read_first_predictions(
    settings: Settings, since: datetime, as_of: datetime, rules: Mapping[str, ActivityRule]
) -> pd.DataFrame:
    """Read the first predictions for active customers since ``since`` and before ``as_of``.

    On the wall clock, a prediction's ``as_of`` is its response time: days before ``since`` are not read, and past days
    are cached. On any other clock the response time is unrelated, and all files are read.

    Args:
        settings: Settings with the prediction log.
        since: Earliest as_of of a prediction.
        as_of: Latest as_of of a prediction, exclusive.
        rules: Rule for active customers by version. Predictions of other versions are not read if the recency of the
            customer is logged.

    Returns:
        Columns customer_id, as_of, answered_at, version and churn_probability; the first predictions of each file, so a
        customer may have several rows on one day.
    """
    is_wall, tables = settings.clock == "wall", [_EMPTY]
    days = list_day_folders(settings.predictions)
    _delete_stale_cache(settings, {day for day, _ in days})
    for day, folder in days:
        if not is_wall:
            tables.append(_read_day(folder, rules, (since, as_of)))
        elif day >= since.date():
            is_past = day < as_of.date() - timedelta(days=1)  # log writers may be minutes late
            rows = _read_cached(settings, day, folder, rules) if is_past else _read_day(folder, rules)
            tables.append(rows[(rows["as_of"] >= since) & (rows["as_of"] < as_of)])
    return pd.concat(tables, ignore_index=True)


def _read_day(
    folder: Path,
    rules: Mapping[str, ActivityRule],
    between: tuple[datetime, datetime] | None = None,
    used: dict[str, ActivityRule | None] | None = None,
) -> pd.DataFrame:
    """Select the first predictions of each file, with one file in memory at a time; ``used`` gets the rules."""
    tables = [_EMPTY]
    for table in iter_day_predictions(folder):
        selected = pc.is_in(table["route"], pa.array(_RETURNED_ROUTES))
        if table.num_rows:  # the model was trained on active customers only
            version = str(table["version"][0].as_py())  # a file is of one version
            rule = rules.get(version)
            if used is not None:
                used[version] = rule
            selected = pc.and_(selected, _select_active(table, rule))
        rows = table.filter(selected).select(_COLUMNS).to_pandas()
        if between:
            rows = rows[(rows["as_of"] >= between[0]) & (rows["as_of"] < between[1])]
        rows = rows.assign(day=rows["as_of"].dt.floor("D")).sort_values("answered_at", kind="stable")
        tables.append(rows.drop_duplicates([ENTITY_KEY, "day", "version"])[_COLUMNS])
    return pd.concat(tables, ignore_index=True)


def _select_active(table: pa.Table, rule: ActivityRule | None) -> pa.Array | pa.Scalar:
    """Select the active customers; all where their input is not logged, none of a version that is not registered."""
    if rule is None:
        return pa.scalar(RECENCY_FEATURE not in table.column_names)
    if rule.feature not in table.column_names:
        return pa.scalar(True)
    return pa.array(rule.mask(table[rule.feature].to_numpy()))


def _read_cached(settings: Settings, day: date, folder: Path, rules: Mapping[str, ActivityRule]) -> pd.DataFrame:
    """Read a past day from the cache, or from the log if its files or the registered versions have changed since."""
    files = sorted(path.name for path in folder.glob("*.arrows"))
    path = settings.monitoring / "first_predictions" / f"{day}.parquet"
    try:
        source = json.loads((pq.read_schema(path).metadata or {})[_SOURCE_KEY])
        current = _describe({version: rules.get(version) for version in source["rules"]})
        if (source["files"], source["rules"]) == (files, current):
            return read_parquet_file(path, columns=_COLUMNS).to_pandas()
    except (FileNotFoundError, pa.ArrowException, KeyError, ValueError):
        pass
    used: dict[str, ActivityRule | None] = {}
    rows = _read_day(folder, rules, used=used)
    source = json.dumps({"files": files, "rules": _describe(used)}).encode()
    table = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata({_SOURCE_KEY: source})
    with replace_file(path) as temporary:
        pq.write_table(table, temporary)
    return rows


def _describe(rules: Mapping[str, ActivityRule | None]) -> dict[str, str]:
    return {version: repr(rule) for version, rule in rules.items()}


def _delete_stale_cache(settings: Settings, days: set[date]) -> None:
    """Delete cached days that are no longer in the log."""
    for path in (settings.monitoring / "first_predictions").glob("*.parquet"):
        if date.fromisoformat(path.stem) not in days:
            path.unlink(missing_ok=True)
