"""Skew view: no finding after a normal day; each injected cause is found with its values. Real stores and service."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from feature_repo.settings import Settings
from holdfast.core.plot_style import render_png
from holdfast.monitoring.findings import Finding
from holdfast.monitoring.metrics_store import read_metrics, write_metrics
from holdfast.monitoring.result import ViewResult
from holdfast.monitoring.settings import MonitorSettings
from holdfast.monitoring.skew.view import run_skew_view
from holdfast.monitoring.window import Window
from holdfast.training.mlflow_client import open_tracking
from tests.support.definition_versions import open_only
from tests.support.feature_oracle import Transaction
from tests.support.served_shop import NOON, copy_served_shop, day_window, list_customers, serve
from tests.support.small_shop import AS_OF, KNOWN_AT, ingest

RULES = MonitorSettings()
INPUTS = 21


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Settings]:
    """Create the shop after a normal day."""
    with copy_served_shop(tmp_path) as settings:
        yield settings


@pytest.fixture
def morning(tmp_path: Path) -> Iterator[Settings]:
    """Create the shop before the first request."""
    with copy_served_shop(tmp_path, log=False) as settings:
        yield settings


def _cells(found: ViewResult) -> set[tuple[str, str, str]]:
    """Return customer, feature and cause of each difference; the table must hold all of them."""
    total = sum(finding.payload["count"] for finding in found.findings)
    assert len(found.table) == min(50, total)
    return {(row["customer"], row["feature"].split(":")[1], row["likely cause"]) for row in found.table}


def _counts(found: ViewResult) -> dict[str, float]:
    return {row.subject: row.value for row in found.metrics if row.metric == "mismatches"}


def _by_cause(found: ViewResult) -> dict[str, float]:
    return {row.subject: row.value for row in found.metrics if row.metric == "mismatches_by_cause" and row.value}


def _only(found: ViewResult) -> Finding:
    (finding,) = found.findings
    return finding


def test_skew_view_normal_day_has_no_difference(day: Settings) -> None:
    found, customers = run_skew_view(day, day_window(), RULES), len(list_customers(day))
    values = 2 * customers * INPUTS
    assert customers > 200
    assert found.summary == f"{values:,} values of {customers} customers compared, 0 differences"
    assert not found.findings
    assert found.table == [{"skew": found.summary}]
    assert set(_counts(found).values()) == {0.0}
    assert len(_counts(found)) == INPUTS
    assert not any(row.breached for row in found.metrics)
    assert render_png(found.plot)
    assert found.report is not None and found.report() is not None
    assert found.notes == []
    write_metrics(day, "skew", day_window().start, day_window().as_of, found.metrics)
    metrics = read_metrics(day, "skew")
    assert metrics[metrics.metric == "values_compared"]["rows"].item() == values


def test_skew_view_counts_repeated_requests_once(morning: Settings) -> None:
    for _ in range(2):
        serve(morning, NOON, ["c001", "c002"])
    assert run_skew_view(morning, day_window(), RULES).summary.startswith(f"{2 * 2 * INPUTS} values of 2 customers")


def test_skew_view_empty_window_is_empty(day: Settings) -> None:
    found = run_skew_view(day, day_window(AS_OF + timedelta(days=5)), RULES)
    assert found.summary == "No prediction was logged in the window."
    assert [(row.metric, row.value) for row in found.metrics] == [("values_compared", 0.0)]
    assert render_png(found.plot)


def test_skew_view_without_known_data_is_empty(day: Settings) -> None:
    window = day_window()
    found = run_skew_view(day, Window(window.start, window.as_of, datetime(2023, 1, 1, tzinfo=UTC)), RULES)
    assert "No feature can be recomputed" in found.summary
    assert not found.findings


def test_skew_view_builds_missing_snapshots(day: Settings) -> None:
    files = list(day.snapshots.rglob("*.parquet"))
    for file in files:
        file.unlink()
    assert run_skew_view(day, day_window(), RULES).summary.endswith("0 differences")
    assert {file for file in files if "20240701T" in str(file)} <= set(day.snapshots.rglob("*.parquet"))


def test_skew_view_late_data_is_a_warning(day: Settings) -> None:
    """A purchase from before the snapshot arrives after the snapshot was built and served."""
    late = Transaction("c001", AS_OF - timedelta(days=3), 70.25, KNOWN_AT + timedelta(days=1))
    ingest(day.data, [late], late.ingested_at)
    found = run_skew_view(day, day_window(), RULES)
    cells = _cells(found)
    assert {(customer, cause) for customer, _, cause in cells} == {("c001", "late data")}
    assert {"purchase_days_30d", "total_amount", "days_since_last_purchase"} <= {feature for _, feature, _ in cells}
    assert {finding.severity for finding in found.findings} == {"warning"}
    assert {finding.subject for finding in found.findings} >= {"customer_recent_activity.late-data"}
    assert not any(row.breached for row in found.metrics)
    assert set(_by_cause(found)) == {"late data"}

    window = day_window()
    before = run_skew_view(day, Window(window.start, window.as_of, KNOWN_AT + timedelta(hours=1)), RULES)
    assert before.summary.endswith("0 differences"), "data after known_at are ignored"


def test_skew_view_stale_store_is_critical(morning: Settings) -> None:
    """The features of the next day were never materialized, so those of the day before were served."""
    bought = Transaction("c001", AS_OF + timedelta(hours=9), 33.5, AS_OF + timedelta(hours=25))
    ingest(morning.data, [bought], bought.ingested_at)
    serve(morning, NOON + timedelta(days=1), ["c001"])
    found = run_skew_view(morning, day_window(AS_OF + timedelta(days=1)), RULES)
    cells = _cells(found)
    assert {cause for _, _, cause in cells} == {"stale store"}
    assert {"purchase_days_30d", "days_since_last_purchase"} <= {feature for _, feature, _ in cells}
    assert {finding.severity for finding in found.findings} == {"critical"}
    assert found.table[0]["features of"] == "2024-07-01 00:00 UTC"
    assert any(row.breached for row in found.metrics)


def test_skew_view_allows_features_of_previous_day_for_delay(morning: Settings) -> None:
    serve(morning, AS_OF + timedelta(days=1, hours=2), ["c001"])
    assert run_skew_view(morning, day_window(AS_OF + timedelta(days=1)), RULES).summary.endswith("0 differences")
    strict = MonitorSettings.model_validate({"skew": {"max_delay_hours": 1}})
    again = run_skew_view(morning, day_window(AS_OF + timedelta(days=1)), strict)
    assert set(_by_cause(again)) <= {"stale store"}


def _write_past_the_flow(data: Path) -> pd.DataFrame:
    """Write a value of c001 to the online store that no computation gives; return the row before."""
    store = open_only(data)
    view = store.get_feature_view("customer_recent_activity")
    names = [f"{view.name}:{field.name}" for field in view.features]
    row = store.get_online_features(features=names, entity_rows=[{"customer_id": "c001"}]).to_df()
    changed = row.assign(amount_30d=123.456, as_of=AS_OF, known_at=KNOWN_AT)
    store.write_to_online_store("customer_recent_activity", df=changed)
    return row


def test_skew_view_foreign_value_is_unexplained(morning: Settings) -> None:
    row = _write_past_the_flow(morning.data)
    serve(morning, NOON)
    finding = _only(found := run_skew_view(morning, day_window(), RULES))
    assert _cells(found) == {("c001", "amount_30d", "unexplained")}
    assert finding.subject == "customer_recent_activity.unexplained"
    assert finding.severity == "critical"
    assert finding.payload["count"] == 2  # champion and shadow
    assert finding.payload["features"] == {"amount_30d": 2}
    example = finding.payload["examples"][0]
    assert (example["customer"], example["feature"], example["logged"]) == ("c001", "amount_30d", 123.456)
    assert example["recomputed"] == row["amount_30d"].item()
    assert "123.456" in finding.summary
    assert finding.summary.startswith("The online store held a value that no computation gives")
    json.dumps(finding.payload)
    breached = {row.subject for row in found.metrics if row.breached}
    assert breached == {"amount_30d", "unexplained"}


def test_skew_view_failure_raises(day: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("holdfast.monitoring.skew.recompute.build_snapshots", fails)
    with pytest.raises(OSError, match="no space left"):
        run_skew_view(day, day_window(), RULES)


def test_skew_view_unknown_version_has_note(morning: Settings) -> None:
    serve(morning, NOON, ["c001"])
    open_tracking(morning).delete_model_version("holdfast-churn", "2")
    found = run_skew_view(morning, day_window(), RULES)
    assert (
        found.summary == f"{INPUTS} values of 1 customer compared, 0 differences; 1 prediction could not be recomputed"
    )
    assert found.notes == ["The registry lacks version 2, so that its predictions were not compared."]
    assert found.evaluated_subjects == ()


def test_differs_bitwise_compares_bits() -> None:
    import numpy as np

    from holdfast.monitoring.skew.logged_features import differs_bitwise

    left = np.array([[0.0, np.nan, 1.0, 0.1 + 0.2, np.nan]])
    right = np.array([[-0.0, -np.nan, 1.0, 0.3, 1.0]])
    assert differs_bitwise(left, right).tolist() == [[True, False, False, True, True]]


def test_valid_timestamps_are_those_of_served_snapshots() -> None:
    from holdfast.monitoring.skew.logged_features import valid_timestamps

    at = [AS_OF + timedelta(hours=hours) for hours in (2, 4, 4, 4)]
    served = [AS_OF - timedelta(days=1)] * 2 + [AS_OF, AS_OF + timedelta(hours=5)]
    keys = pd.DataFrame({"as_of": at, "served": served, "answered_at": at}).astype("datetime64[us, UTC]")
    assert valid_timestamps(keys, 3).tolist() == [AS_OF - timedelta(days=1), AS_OF, AS_OF, AS_OF]
    ahead = keys.assign(as_of=keys["as_of"] + pd.Timedelta(days=1), answered_at=AS_OF + timedelta(hours=16)).iloc[2:3]
    assert valid_timestamps(ahead, 3).tolist() == [AS_OF], "a request for tomorrow is served the snapshot of today"
