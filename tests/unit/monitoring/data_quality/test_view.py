"""The data view on a shop whose day goes well, is missing, late, doubled, broken, dearer."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from feature_repo.settings import Settings
from holdfast.core.errors import IngestError
from holdfast.core.formatting import render_png
from holdfast.monitoring.data_quality.view import run_data_view
from holdfast.monitoring.metrics_store import MetricRow, MetricsTable, read_metrics, write_metrics
from holdfast.monitoring.result import ViewResult
from holdfast.monitoring.settings import MonitorSettings
from holdfast.monitoring.window import Window
from tests.support.daily_transactions import TODAY, busy_shop, deliver, look, purchases
from tests.support.small_shop import at_work_on

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ARRIVAL = TODAY + DAY + HOUR


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Settings]:
    with busy_shop(tmp_path) as settings:
        yield settings


def told(found: ViewResult) -> list[tuple[str, str, str]]:
    return [(item.event, item.subject, item.severity) for item in found.findings]


def measured(found: ViewResult, metric: str, subject: str) -> MetricRow:
    rows = [row for row in found.metrics if (row.metric, row.subject) == (metric, subject)]
    assert len(rows) == 1, found.metrics
    return rows[0]


def test_of_what_is_too_little_to_judge_it_cannot_tell_that_it_is_over(busy: Settings) -> None:
    deliver(busy, purchases(TODAY, 5), ARRIVAL)
    few = look(busy)
    assert few.is_evaluated("holdfast.data.late:transactions")
    assert not few.is_evaluated("holdfast.drift.detected:transactions.amount")
    deliver(busy, purchases(TODAY + DAY, 63), ARRIVAL + DAY)
    enough = look(busy, TODAY + 2 * DAY)
    assert enough.is_evaluated("holdfast.drift.detected:transactions.amount")
    assert not enough.is_evaluated("holdfast.freshness.breached:online store"), "nothing was ever materialised"


def test_a_usual_day_is_quiet(busy: Settings) -> None:
    deliver(busy, purchases(TODAY, 63), ARRIVAL)
    found = look(busy)
    assert told(found) == []
    rows = measured(found, "rows", "transactions")
    assert (rows.value, rows.rows, rows.breached) == (63, 63, False)
    assert rows.low is not None and rows.high is not None and 30 < rows.low < 63 < rows.high < 100
    assert measured(found, "refused_share", "transactions").value == 0
    assert "63 transactions on Friday, 2024-03-08; 1 batch arrived, 0 of 63 new rows refused; nothing is wrong." in (
        found.summary
    )
    assert found.report is not None
    assert "amount" in str(found.report().dict())
    assert render_png(found.plot).startswith(b"\x89PNG")
    assert {"what", "now", "before", "p-value", "state"} == set(found.table[0])
    write_metrics(busy, "data", TODAY, TODAY + DAY, found.metrics)
    MetricsTable.validate(read_metrics(busy, "data"))


def test_a_day_without_a_file_is_late_and_critical_from_the_second_on(busy: Settings) -> None:
    first = look(busy)
    assert told(first) == [("holdfast.data.late", "transactions", "warning")]
    assert "No transaction of 2024-03-08 arrived, of 6" in first.findings[0].summary
    assert measured(first, "rows", "transactions").breached
    second = look(busy, TODAY + 2 * DAY)
    assert told(second) == [("holdfast.data.late", "transactions", "critical")]
    assert "2024-03-08 to 2024-03-09" in second.findings[0].summary
    months_later = look(busy, TODAY + 150 * DAY)  # six weeks of nothing are no history to expect nothing from
    assert told(months_later)[0] == ("holdfast.data.late", "transactions", "critical")


def test_a_file_that_is_refused_leaves_a_day_without_data(busy: Settings) -> None:
    with pytest.raises(IngestError):
        deliver(busy, purchases(TODAY, 60).assign(amount="unknown"), ARRIVAL)
    assert told(look(busy)) == [("holdfast.data.late", "transactions", "warning")]


def test_a_fifth_of_a_day_is_late_and_three_of_one_are_broken(busy: Settings, tmp_path: Path) -> None:
    deliver(busy, purchases(TODAY, 12), ARRIVAL)
    assert told(look(busy)) == [("holdfast.data.late", "transactions", "warning")]
    with busy_shop(tmp_path / "tripled") as settings:
        deliver(settings, purchases(TODAY, 180), ARRIVAL)
        assert told(look(settings)) == [("holdfast.data.broken", "transactions", "warning")]


@pytest.mark.parametrize("factor", [1.5, 0.67, 100])
def test_other_prices_are_seen_on_the_first_day(busy: Settings, factor: float) -> None:
    rows = purchases(TODAY, 60)
    deliver(busy, rows.assign(amount=np.round(rows["amount"] * factor, 2)), ARRIVAL)
    found = look(busy)
    assert told(found) == [("holdfast.drift.detected", "transactions.amount", "warning")]
    assert measured(found, "shift", "transactions.amount").breached
    payload = found.findings[0].payload
    assert payload["median"] / payload["median_before"] == pytest.approx(factor, rel=0.35)
    assert payload["as_of"] == (TODAY + DAY).isoformat()


def test_one_price_for_everything_is_seen_though_it_is_the_usual_one(busy: Settings) -> None:
    rows = purchases(TODAY, 60)
    deliver(busy, rows.assign(amount=14.0 * rows["quantity"]), ARRIVAL)
    assert told(look(busy)) == [("holdfast.drift.detected", "transactions.amount", "warning")]


def test_a_column_that_loses_values_is_named(busy: Settings) -> None:
    rows = purchases(TODAY, 90)
    deliver(
        busy, rows.assign(amount=[None if i % 3 == 0 else value for i, value in enumerate(rows["amount"])]), ARRIVAL
    )
    found = look(busy)
    assert told(found) == [("holdfast.data.broken", "amount is missing", "critical")]
    assert "30 of 90 new rows (33%) were refused: amount is missing; before, 0.0% were." in found.findings[0].summary
    assert measured(found, "missing_share", "amount").value == pytest.approx(1 / 3)
    assert measured(found, "refused_share", "amount is missing").breached


def test_a_few_bad_rows_are_shown_and_no_alarm(busy: Settings) -> None:
    rows = purchases(TODAY, 90)
    deliver(busy, rows.assign(id=["" if i == 4 else value for i, value in enumerate(rows["id"])]), ARRIVAL)
    found = look(busy)
    assert told(found) == []
    assert measured(found, "missing_share", "customer_id").value == pytest.approx(1 / 90)
    assert any(line["what"] == "refused: customer_id is missing" for line in found.table)


def test_signs_that_turn_are_returns(busy: Settings) -> None:
    rows = purchases(TODAY, 60)
    sign = np.where(np.arange(60) % 5 == 0, -1, 1)
    deliver(busy, rows.assign(amount=rows["amount"] * sign, quantity=rows["quantity"] * sign), ARRIVAL)
    assert told(look(busy)) == [("holdfast.data.broken", "transactions.returns", "warning")]


def test_what_arrives_days_late_is_told_when_it_comes(busy: Settings) -> None:
    """The day itself was missed before; now its rows are there, and they were late."""
    late = purchases(TODAY, 60)
    for day in (TODAY + DAY, TODAY + 2 * DAY):
        deliver(busy, purchases(day, 60), day + DAY + HOUR)
    deliver(busy, late, TODAY + 3 * DAY + HOUR + timedelta(minutes=5))
    found = look(busy, TODAY + 3 * DAY)
    assert told(found) == [("holdfast.data.late", "transactions.delay", "warning")]
    assert measured(found, "late_share", "transactions.delay").value == 0.5


def test_nothing_is_late_before_it_is_due(tmp_path: Path) -> None:
    with busy_shop(tmp_path, clock="wall") as settings:
        assert told(look(settings, TODAY + DAY + 2 * HOUR)) == []  # judges the day before, which is there
        assert told(look(settings, TODAY + DAY + 4 * HOUR)) == [("holdfast.data.late", "transactions", "warning")]


def test_a_history_that_carries_the_date_of_today_is_not_late(busy: Settings) -> None:
    deliver(busy, purchases(TODAY, 60), TODAY + 900 * DAY)
    window = Window.ending(TODAY + DAY, 1, TODAY + 901 * DAY)
    found = run_data_view(busy, window, MonitorSettings())
    assert "1 batch arrived, 0 of 60 new rows refused" in found.summary
    assert told(found) == []


def test_without_data_it_says_so(tmp_path: Path) -> None:
    with at_work_on(tmp_path / "empty") as settings:
        found = look(settings)
    assert (found.summary, told(found)) == ("No transaction is known: there is nothing to look at.", [])
    assert [(row.metric, row.value) for row in found.metrics] == [("rows", 0)]
    assert render_png(found.plot)


def test_the_first_days_are_shown_and_not_judged(tmp_path: Path) -> None:
    with at_work_on(tmp_path / "new", HOLDFAST_CLOCK="data") as settings:
        deliver(settings, pd.concat([purchases(TODAY - DAY, 50), purchases(TODAY, 3)]), ARRIVAL)
        found = look(settings)
    assert told(found) == []
    assert "less than 14 days of history: volume is not judged" in found.summary
    assert measured(found, "rows", "transactions").value == 3
    assert found.report is None
    assert render_png(found.plot)
