"""Findings, table rows and metric rows of the skew view, and the open findings, which stop promotions."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, cast, get_args

import pandas as pd

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.core.formatting import format_count
from holdfast.monitoring.findings import Finding
from holdfast.monitoring.metrics_store import MetricRow, read_latest_metrics

Cause = Literal["changed definition", "stale store", "late data", "unexplained"]
CAUSES: tuple[Cause, ...] = get_args(Cause)

_EXAMPLES = 5
_TABLE_ROWS = 50
_HARMLESS: tuple[Cause, ...] = ("late data",)
_MEANING: dict[Cause, str] = {
    "changed definition": "The definition has changed",
    "stale store": "The online store was stale",
    "late data": "Data arrived late",
    "unexplained": "The online store held a value that no computation gives",
}


def skew_findings(different: pd.DataFrame, changed: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Build one finding per cause and feature view, because all features of a view share the cause.

    Args:
        different: Differences with their causes.
        changed: Changed parts of the definitions, by version.

    Returns:
        The findings, with the subject ``VIEW.CAUSE``.
    """
    findings = []
    for names, rows in different.groupby(["cause", "view"], sort=True):
        cause, view = cast(tuple[Cause, str], names)
        features = dict(sorted(Counter(rows["feature"]).items()))
        customers, versions = int(rows[ENTITY_KEY].nunique()), sorted(rows["version"].unique(), key=len)
        first = rows.iloc[0]
        parts = sorted({part for version in versions for part in changed.get(version, ())})
        changed_parts = f" ({', '.join(parts)})" if cause == "changed definition" and parts else ""
        summary = (
            f"{_MEANING[cause]}{changed_parts}: logged and recomputed values differ in "
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
            "changed": parts if cause == "changed definition" else [],
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


def not_computable_finding(version: str, parts: Sequence[str], predictions: int, problem: str) -> Finding:
    """Build the finding of a version whose inputs cannot be recomputed.

    Args:
        version: Number of the version.
        parts: Changed parts of the definitions.
        predictions: Number of predictions.
        problem: Error text.

    Returns:
        The finding.
    """
    return Finding(
        event="holdfast.skew.detected",
        severity="critical",
        subject=f"version-{version}.changed-definition",
        summary=f"None of the inputs of {format_count(predictions, 'prediction')} of version {version} can be "
        f"recomputed: the definition has changed ({', '.join(parts)}), and {problem}",
        payload={
            "cause": "changed definition",
            "count": predictions,
            "versions": [version],
            "changed": list(parts),
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


def is_definition_change(settings: Settings) -> bool:
    """Check that changed feature definitions are the only cause of the open skew.

    Only a version trained on the changed definitions can end such a skew: the service refuses the old version, so no
    later window has predictions that would close the finding.

    Args:
        settings: Settings with the metrics table.

    Returns:
        True if there is no other cause.
    """
    breached = _breached_rows(settings)
    causes = set(breached.loc[breached["metric"] == "mismatches_by_cause", "subject"])
    return causes == {"changed definition"} or (not causes and "not_computable" in set(breached["metric"]))


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
