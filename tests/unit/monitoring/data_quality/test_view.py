"""Data quality view on a usual day and on missing, late, duplicated, malformed and overpriced days."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from feature_repo.settings import Settings
from holdfast.core.errors import IngestError
from holdfast.core.plot_style import render_png
from holdfast.monitoring.data_quality.view import run_data_quality_view
from holdfast.monitoring.metrics_store import MetricRow, MetricsTable, read_metrics, write_metrics
from holdfast.monitoring.result import ViewResult
from holdfast.monitoring.settings import MonitorSettings
from holdfast.monitoring.window import Window
from tests.support.daily_transactions import TODAY, daily_shop, deliver, purchases, run_view
from tests.support.small_shop import use_data_folder

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ARRIVAL = TODAY + DAY + HOUR


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Settings]:
    with daily_shop(tmp_path) as settings:
        yield settings


def list_findings(found: ViewResult) -> list[tuple[str, str, str]]:
    return [(item.event, item.subject, item.severity) for item in found.findings]


def get_metric(found: ViewResult, metric: str, subject: str) -> MetricRow:
    rows = [row for row in found.metrics if (row.metric, row.subject) == (metric, subject)]
    assert len(rows) == 1, found.metrics
    return rows[0]


def test_data_quality_view_with_too_few_rows_leaves_subject_unevaluated(shop: Settings) -> None:
    deliver(shop, purchases(TODAY, 5), ARRIVAL)
    few = run_view(shop)
    assert few.is_evaluated("holdfast.data.late:transactions")
    assert not few.is_evaluated("holdfast.drift.detected:transactions.amount")
    deliver(shop, purchases(TODAY + DAY, 63), ARRIVAL + DAY)
    enough = run_view(shop, TODAY + 2 * DAY)
    assert enough.is_evaluated("holdfast.drift.detected:transactions.amount")
    assert not enough.is_evaluated("holdfast.freshness.breached:online store"), "the store was never materialized"


def test_data_quality_view_usual_day_has_no_finding(shop: Settings) -> None:
    deliver(shop, purchases(TODAY, 63), ARRIVAL)
    found = run_view(shop)
    assert list_findings(found) == []
    rows = get_metric(found, "rows", "transactions")
    assert (rows.value, rows.rows, rows.breached) == (63, 63, False)
    assert rows.low is not None and rows.high is not None and 30 < rows.low < 63 < rows.high < 100
    assert get_metric(found, "refused_share", "transactions").value == 0
    assert "63 transactions on Friday, 2024-03-08; 1 batch arrived, 0 of 63 new rows quarantined; no finding." in (
        found.summary
    )
    assert found.report is not None
    assert "amount" in str(found.report().dict())
    assert render_png(found.plot).startswith(b"\x89PNG")
    assert {"what", "now", "before", "p-value", "state"} == set(found.table[0])
    write_metrics(shop, "data", TODAY, TODAY + DAY, found.metrics)
    MetricsTable.validate(read_metrics(shop, "data"))


def test_data_quality_view_missing_day_is_late_and_critical_from_second_day(shop: Settings) -> None:
    first = run_view(shop)
    assert list_findings(first) == [("holdfast.data.late", "transactions", "warning")]
    assert "No transaction of 2024-03-08 arrived, 6" in first.findings[0].summary
    assert get_metric(first, "rows", "transactions").breached
    second = run_view(shop, TODAY + 2 * DAY)
    assert list_findings(second) == [("holdfast.data.late", "transactions", "critical")]
    assert "2024-03-08 to 2024-03-09" in second.findings[0].summary
    months_later = run_view(shop, TODAY + 150 * DAY)  # empty weeks must not become the expectation
    assert list_findings(months_later)[0] == ("holdfast.data.late", "transactions", "critical")


def test_data_quality_view_rejected_file_is_a_missing_day(shop: Settings) -> None:
    with pytest.raises(IngestError):
        deliver(shop, purchases(TODAY, 60).assign(amount="unknown"), ARRIVAL)
    assert list_findings(run_view(shop)) == [("holdfast.data.late", "transactions", "warning")]


def test_data_quality_view_low_volume_is_late_and_triple_volume_is_broken(shop: Settings, tmp_path: Path) -> None:
    deliver(shop, purchases(TODAY, 12), ARRIVAL)
    assert list_findings(run_view(shop)) == [("holdfast.data.late", "transactions", "warning")]
    with daily_shop(tmp_path / "tripled") as settings:
        deliver(settings, purchases(TODAY, 180), ARRIVAL)
        assert list_findings(run_view(settings)) == [("holdfast.data.broken", "transactions", "warning")]


@pytest.mark.parametrize("factor", [1.5, 0.67, 100])
def test_data_quality_view_price_change_is_found_on_first_day(shop: Settings, factor: float) -> None:
    rows = purchases(TODAY, 60)
    deliver(shop, rows.assign(amount=np.round(rows["amount"] * factor, 2)), ARRIVAL)
    found = run_view(shop)
    assert list_findings(found) == [("holdfast.drift.detected", "transactions.amount", "warning")]
    assert get_metric(found, "shift", "transactions.amount").breached
    payload = found.findings[0].payload
    assert payload["median"] / payload["median_before"] == pytest.approx(factor, rel=0.35)
    assert payload["as_of"] == (TODAY + DAY).isoformat()


def test_data_quality_view_constant_price_of_usual_median_is_found(shop: Settings) -> None:
    rows = purchases(TODAY, 60)
    deliver(shop, rows.assign(amount=14.0 * rows["quantity"]), ARRIVAL)
    assert list_findings(run_view(shop)) == [("holdfast.drift.detected", "transactions.amount", "warning")]


def test_data_quality_view_missing_values_name_the_column(shop: Settings) -> None:
    rows = purchases(TODAY, 90)
    deliver(
        shop, rows.assign(amount=[None if i % 3 == 0 else value for i, value in enumerate(rows["amount"])]), ARRIVAL
    )
    found = run_view(shop)
    assert list_findings(found) == [("holdfast.data.broken", "amount is missing", "critical")]
    assert "Quarantined: 30 of 90 new rows (33%, before: 0.0%): amount is missing." in found.findings[0].summary
    assert get_metric(found, "missing_share", "amount").value == pytest.approx(1 / 3)
    assert get_metric(found, "refused_share", "amount is missing").breached


def test_data_quality_view_single_bad_row_is_shown_without_finding(shop: Settings) -> None:
    rows = purchases(TODAY, 90)
    deliver(shop, rows.assign(id=["" if i == 4 else value for i, value in enumerate(rows["id"])]), ARRIVAL)
    found = run_view(shop)
    assert list_findings(found) == []
    assert get_metric(found, "missing_share", "customer_id").value == pytest.approx(1 / 90)
    assert any(line["what"] == "quarantined: customer_id is missing" for line in found.table)


def test_data_quality_view_inverted_signs_are_found_as_returns(shop: Settings) -> None:
    rows = purchases(TODAY, 60)
    sign = np.where(np.arange(60) % 5 == 0, -1, 1)
    deliver(shop, rows.assign(amount=rows["amount"] * sign, quantity=rows["quantity"] * sign), ARRIVAL)
    assert list_findings(run_view(shop)) == [("holdfast.data.broken", "transactions.returns", "warning")]


def test_data_quality_view_late_rows_are_found_on_arrival(shop: Settings) -> None:
    """The finding of the missing day itself was in an earlier window."""
    late = purchases(TODAY, 60)
    for day in (TODAY + DAY, TODAY + 2 * DAY):
        deliver(shop, purchases(day, 60), day + DAY + HOUR)
    deliver(shop, late, TODAY + 3 * DAY + HOUR + timedelta(minutes=5))
    found = run_view(shop, TODAY + 3 * DAY)
    assert list_findings(found) == [("holdfast.data.late", "transactions.delay", "warning")]
    assert get_metric(found, "late_share", "transactions.delay").value == 0.5


def test_data_quality_view_day_before_due_time_is_not_late(tmp_path: Path) -> None:
    with daily_shop(tmp_path, clock="wall") as settings:
        assert (
            list_findings(run_view(settings, TODAY + DAY + 2 * HOUR)) == []
        )  # checks the day before, which has arrived
        assert list_findings(run_view(settings, TODAY + DAY + 4 * HOUR)) == [
            ("holdfast.data.late", "transactions", "warning")
        ]


def test_data_quality_view_replayed_history_is_not_late(shop: Settings) -> None:
    deliver(shop, purchases(TODAY, 60), TODAY + 900 * DAY)
    window = Window(TODAY, TODAY + DAY, TODAY + 901 * DAY)
    found = run_data_quality_view(shop, window, MonitorSettings())
    assert "1 batch arrived, 0 of 60 new rows quarantined" in found.summary
    assert list_findings(found) == []


def test_data_quality_view_without_data_reports_no_transactions(tmp_path: Path) -> None:
    with use_data_folder(tmp_path / "empty") as settings:
        found = run_view(settings)
    assert (found.summary, list_findings(found)) == ("There are no transactions to check.", [])
    assert [(row.metric, row.value) for row in found.metrics] == [("rows", 0)]
    assert render_png(found.plot)


def test_data_quality_view_with_short_history_shows_volume_untested(tmp_path: Path) -> None:
    with use_data_folder(tmp_path / "new", HOLDFAST_CLOCK="data") as settings:
        deliver(settings, pd.concat([purchases(TODAY - DAY, 50), purchases(TODAY, 3)]), ARRIVAL)
        found = run_view(settings)
    assert list_findings(found) == []
    assert "less than 14 days of history: volume is not checked" in found.summary
    assert get_metric(found, "rows", "transactions").value == 3
    assert found.report is None
    assert render_png(found.plot)
