"""Findings, table rows and metric rows of the skew view."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import pandas as pd

from feature_repo.names import ENTITY_KEY
from holdfast.monitoring.findings import Finding
from holdfast.monitoring.metrics_store import MetricRow
from holdfast.monitoring.skew.causes import CAUSES, Cause

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
            f"{_MEANING[cause]}{changed_parts}: {len(rows):,} logged values of {customers:,} customers in {view} "
            f"({_sample(features)}) differ from recomputed values. Customer {first[ENTITY_KEY]}, {first['feature']}: "
            f"the model read {float(first['logged'])!r}, recomputed {float(first['recomputed'])!r}."
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
        summary=f"None of the inputs of {predictions:,} predictions of version {version} can be recomputed: the "
        f"definition has changed ({', '.join(parts)}), and {problem}",
        payload={
            "cause": "changed definition",
            "count": predictions,
            "versions": [version],
            "changed": list(parts),
            "problem": problem,
            "examples": [],
        },
    )


def build_metric_rows(compared: Mapping[str, int], different: pd.DataFrame) -> list[MetricRow]:
    """Build metric rows with the number of differences per feature and per cause.

    Late data are not a breach, because the model used the values known at that time.

    Args:
        compared: Number of compared values by feature.
        different: Differences with their causes.

    Returns:
        The metric rows; ``rows`` is the number of compared values.
    """
    harmful = different[~different["cause"].isin(_HARMLESS)]
    by_feature, harmful_by_feature = different["feature"].value_counts(), harmful["feature"].value_counts()
    total = sum(compared.values())
    rows = [
        MetricRow(
            "mismatches",
            name,
            float(by_feature.get(name, 0)),
            count,
            limit=0,
            breached=bool(harmful_by_feature.get(name, 0)),
        )
        for name, count in compared.items()
    ]
    by_cause = different["cause"].value_counts()
    rows += [
        MetricRow(
            "mismatches_by_cause",
            cause,
            float(by_cause.get(cause, 0)),
            total,
            limit=0,
            breached=cause not in _HARMLESS and cause in by_cause,
        )
        for cause in CAUSES
    ]
    return [*rows, MetricRow("values_compared", "all", float(total), total)]


def build_table(different: pd.DataFrame, summary: str) -> list[dict[str, Any]]:
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
            "logged": repr(float(row["logged"])),
            "recomputed": repr(float(row["recomputed"])),
            "likely cause": row["cause"],
        }
        for row in different.head(_TABLE_ROWS).to_dict("records")
    ]


def _to_json(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    """Convert a difference to JSON values."""
    values = {name: None if row[name] != row[name] else float(row[name]) for name in ("logged", "recomputed")}
    keys = {name: row[name] for name in ("feature", "version", "cause")}
    return {"customer": row[ENTITY_KEY], "as_of": row["as_of"].isoformat(), **keys, **values}


def _format_time(time: datetime | None) -> str:
    return "unknown" if pd.isna(time) else f"{time:%Y-%m-%d %H:%M} UTC"


def _sample(features: Mapping[str, int]) -> str:
    names = list(features)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
