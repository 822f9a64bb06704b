"""Skew in words: findings, the table that people read, and rows of the metrics table."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import pandas as pd

from feature_repo.names import ENTITY_KEY
from holdfast.monitoring.findings import Finding
from holdfast.monitoring.metrics_store import MetricRow
from holdfast.monitoring.skew.causes import CAUSES, Cause

EXAMPLES = 5
TABLE_ROWS = 50
_HARMLESS: tuple[Cause, ...] = ("late data",)
_MEANING: dict[Cause, str] = {
    "changed definition": "The definition has changed",
    "stale store": "The online store is behind",
    "late data": "Data came late",
    "unexplained": "The online store held what no computation gives",
}


def skew_findings(different: pd.DataFrame, changed: Mapping[str, Sequence[str]]) -> list[Finding]:
    """One per cause and feature view; ``changed``: version to the parts of its definitions that changed.

    A stale snapshot, say, is one trouble, not one for each of its features. The subject is ``VIEW.CAUSE``.
    """
    found = []
    for names, rows in different.groupby(["cause", "view"], sort=True):
        cause, view = cast(tuple[Cause, str], names)
        features = dict(sorted(Counter(rows["feature"]).items()))
        customers, versions = int(rows[ENTITY_KEY].nunique()), sorted(rows["version"].unique(), key=len)
        first = rows.iloc[0]
        parts = sorted({part for version in versions for part in changed.get(version, ())})
        which = f" ({', '.join(parts)})" if cause == "changed definition" and parts else ""
        summary = (
            f"{_MEANING[cause]}{which}: {len(rows):,} logged values of {customers:,} customers in {view} "
            f"({_some(features)}) differ from those recomputed. Customer {first[ENTITY_KEY]}, {first['feature']}: the "
            f"model read {float(first['logged'])!r}, recomputed {float(first['recomputed'])!r}."
        )
        payload = {
            "cause": cause,
            "feature_view": view,
            "count": len(rows),
            "customers": customers,
            "features": features,
            "versions": versions,
            "changed": parts if cause == "changed definition" else [],
            "examples": [_plain(row) for row in rows.head(EXAMPLES).to_dict("records")],
        }
        severity = "warning" if cause in _HARMLESS else "critical"
        subject = f"{view}.{cause}".replace(" ", "-")
        found.append(
            Finding(
                event="holdfast.skew.detected", severity=severity, subject=subject, summary=summary, payload=payload
            )
        )
    return found


def not_computable_finding(version: str, parts: Sequence[str], predictions: int, problem: str) -> Finding:
    """Where the definitions of now cannot give the inputs of a version at all."""
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
    """Per feature and per cause, how many values differ; ``rows`` is how many were compared.

    Late data breach nothing: the model read what was known.
    """
    harmful = different[~different["cause"].isin(_HARMLESS)]
    by_feature, bad = different["feature"].value_counts(), harmful["feature"].value_counts()
    total = sum(compared.values())
    rows = [
        MetricRow("mismatches", name, float(by_feature.get(name, 0)), count, limit=0, breached=bool(bad.get(name, 0)))
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
    """The first values that differ; without any, one row that says so."""
    if not len(different):
        return [{"skew": summary}]
    return [
        {
            "customer": row[ENTITY_KEY],
            "feature": f"{row['view']}:{row['feature']}",
            "as_of": f"{row['as_of']:%Y-%m-%d %H:%M} UTC",
            "features of": _moment(row["served"]),
            "version": row["version"],
            "logged": repr(float(row["logged"])),
            "recomputed": repr(float(row["recomputed"])),
            "likely cause": row["cause"],
        }
        for row in different.head(TABLE_ROWS).to_dict("records")
    ]


def _plain(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    """As an event can carry it: no NaN, no timestamps."""
    values = {name: None if row[name] != row[name] else float(row[name]) for name in ("logged", "recomputed")}
    keys = {name: row[name] for name in ("feature", "version", "cause")}
    return {"customer": row[ENTITY_KEY], "as_of": row["as_of"].isoformat(), **keys, **values}


def _moment(time: datetime | None) -> str:
    return "unknown" if pd.isna(time) else f"{time:%Y-%m-%d %H:%M} UTC"


def _some(features: Mapping[str, int]) -> str:
    names = list(features)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
