"""Findings, table rows and metric rows of the skew view, and the open findings, which stop promotions."""

from collections import Counter
from collections.abc import Hashable, Mapping
from datetime import datetime
from typing import Any, Literal, cast, get_args

import pandas as pd

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.core.formatting import format_count
from holdfast.monitoring.findings import Finding
from holdfast.monitoring.metrics_store import MetricRow, read_latest_metrics

Cause = Literal["stale store", "late data", "unexplained"]
CAUSES: tuple[Cause, ...] = get_args(Cause)

_EXAMPLES = 5
_TABLE_ROWS = 50
_HARMLESS: tuple[Cause, ...] = ("late data",)
_MEANING: dict[Cause, str] = {
    "stale store": "The online store was stale",
    "late data": "Data arrived late",
    "unexplained": "The online store held a value that no computation gives",
}


def skew_findings(different: pd.DataFrame) -> list[Finding]:
    """Build one finding per cause and feature view, because all features of a view share the cause.

    Args:
        different: Differences with their causes.

    Returns:
        The findings, with the subject ``VIEW.CAUSE``.
    """
    findings = []
    for names, rows in different.groupby(["cause", "view"], sort=True):
        cause, view = cast(tuple[Cause, str], names)
        features = dict(sorted(Counter(rows["feature"]).items()))
        customers, versions = int(rows[ENTITY_KEY].nunique()), sorted(rows["version"].unique(), key=len)
        first = rows.iloc[0]
        summary = (
            f"{_MEANING[cause]}: logged and recomputed values differ in "
            f"{format_count(len(rows), 'value')} of {format_count(customers, 'customer')} in {view} "
            f"({_sample(features)}). Customer {first[ENTITY_KEY]}, {first['feature']}: the model read "
            f"{_plain(first['logged'])!r}, recomputed {_plain(first['recomputed'])!r}."
        )
        payload = {
            "cause": cause,
            "feature_view": view,
            "count": len(rows),
            "customers": customers,
            "features": features,
            "versions": versions,
            "examples": [_to_json(row) for row in rows.head(_EXAMPLES).to_dict("records")],
        }
        severity = "warning" if cause in _HARMLESS else "critical"
        subject = f"{view}.{cause}".replace(" ", "-")
        findings.append(
            Finding(
                event="holdfast.skew.detected", severity=severity, subject=subject, summary=summary, payload=payload
            )
        )
    return findings


def not_computable_finding(version: str, predictions: int, problem: str, is_retired: bool) -> Finding:
    """Build the finding of a model version whose feature definitions are not registered.

    After a retirement there is nothing to do; otherwise the definitions were lost.

    Args:
        version: Number of the model version.
        predictions: Number of predictions.
        problem: Error about the definitions.
        is_retired: Whether the definitions were retired.

    Returns:
        The finding.
    """
    return Finding(
        event="holdfast.skew.detected",
        severity="info" if is_retired else "critical",
        subject=f"version-{version}.not-computable",
        summary=f"The inputs of {format_count(predictions, 'prediction')} of version {version} cannot be recomputed. "
        f"{problem}",
        payload={
            "cause": "not computable",
            "count": predictions,
            "versions": [version],
            "problem": problem,
            "examples": [],
        },
    )


def build_skew_metrics(compared: Mapping[str, int], different: pd.DataFrame) -> list[MetricRow]:
    """Build metric rows with the number of differences per feature and per cause.

    Late data are not a breach, because the model used the values known at that time.

    Args:
        compared: Number of compared values by feature.
        different: Differences with their causes.

    Returns:
        The metric rows; ``rows`` is the number of compared values.
    """
    harmful = different[~different["cause"].isin(_HARMLESS)]

    def count_by(column: str, metric: str, rows: Mapping[str, int]) -> list[MetricRow]:
        counts, breached = different[column].value_counts(), set(harmful[column])
        return [
            MetricRow(metric, name, float(counts.get(name, 0)), number, limit=0, breached=name in breached)
            for name, number in rows.items()
        ]

    total = sum(compared.values())
    return [
        *count_by("feature", "mismatches", compared),
        *count_by("cause", "mismatches_by_cause", dict.fromkeys(CAUSES, total)),
        MetricRow("values_compared", "all", float(total), total),
    ]


def build_skew_table(different: pd.DataFrame, summary: str) -> list[dict[str, Any]]:
    """Build the table for the Prefect UI.

    Args:
        different: Differences with their causes.
        summary: Summary of the view.

    Returns:
        The first 50 differences; without differences one row with the summary.
    """
    if not len(different):
        return [{"skew": summary}]
    return [
        {
            "customer": row[ENTITY_KEY],
            "feature": f"{row['view']}:{row['feature']}",
            "as_of": f"{row['as_of']:%Y-%m-%d %H:%M} UTC",
            "features of": _format_time(row["served"]),
            "version": row["version"],
            "logged": repr(_plain(row["logged"])),
            "recomputed": repr(_plain(row["recomputed"])),
            "likely cause": row["cause"],
        }
        for row in different.head(_TABLE_ROWS).to_dict("records")
    ]


def describe_open_skew(settings: Settings) -> str | None:
    """Describe the skew found in the latest window with predictions; windows without predictions close nothing.

    Args:
        settings: Settings with the metrics table.

    Returns:
        A clause for a message; None without skew.
    """
    breached = _breached_rows(settings)
    if breached.empty:
        return None
    subjects = ", ".join(sorted(set(breached["subject"])))
    end = f"{breached['as_of'].iloc[0]:%Y-%m-%d %H:%M} UTC"
    return f"the features served differ from those recomputed ({subjects}; window up to {end})"


def _to_json(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    """Convert a difference to JSON values."""
    values = {name: None if row[name] != row[name] else _plain(row[name]) for name in ("logged", "recomputed")}
    keys = {name: row[name] for name in ("feature", "version", "cause")}
    return {"customer": row[ENTITY_KEY], "as_of": row["as_of"].isoformat(), **keys, **values}


def _plain(value: Any) -> float | str:
    """Return a value as a plain number, or the text of a category."""
    return value if isinstance(value, str) else float(value)


def _format_time(time: datetime | None) -> str:
    return "unknown" if pd.isna(time) else f"{time:%Y-%m-%d %H:%M} UTC"


def _sample(features: Mapping[str, int]) -> str:
    names = list(features)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _breached_rows(settings: Settings) -> pd.DataFrame:
    latest = read_latest_metrics(settings, "skew", with_rows=True)
    return latest[latest["breached"] & (latest["rows"] > 0)]
