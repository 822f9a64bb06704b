"""Outcomes of scored customers, compared with plain Python over the transactions."""

from datetime import UTC, datetime, timedelta
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest

from feature_repo.labels import churn_labels
from holdfast.batch_scoring.outcomes import is_mature, load_cohort_outcomes, load_outcomes
from tests.support.labels import purchase_label
from tests.support.shop_fixtures import Dataset
from tests.support.small_shop import ARRIVALS, KNOWN_AT, active_customers, transactions

LABEL = purchase_label()
STEP = datetime(2024, 6, 1, tzinfo=UTC)  # the second batch, with late rows of the first year, comes a day later


def _scored(ids: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": ids})


@pytest.mark.parametrize("known_at", [ARRIVALS[1][1], KNOWN_AT])
def test_load_cohort_outcomes_as_known_at(dataset: Dataset, known_at: datetime) -> None:
    cohort = datetime(2024, 2, 1, tzinfo=UTC)
    ids = active_customers(cohort, cohort)
    end = cohort + timedelta(days=90)
    stayed = {
        row.customer_id
        for row in transactions()
        if cohort <= row.event_timestamp < end and row.amount > 0 and row.ingested_at <= known_at
    }
    found = load_cohort_outcomes(dataset.settings, LABEL, _scored(ids[::-1]), cohort, known_at)
    assert found.tolist() == [customer not in stayed for customer in ids[::-1]]
    assert 0 < found.mean() < 1


def _expected_outcome(customer: str, cutoff: datetime, horizon: int = 90, activity: int = 180) -> bool | None:
    """Return True for a churned customer, None for an inactive one."""
    bought = [row.event_timestamp for row in transactions() if row.customer_id == customer and row.amount > 0]
    if not any(cutoff - timedelta(days=activity) <= time < cutoff for time in bought):
        return None
    return not any(cutoff <= time < cutoff + timedelta(days=horizon) for time in bought)


@pytest.mark.parametrize("labels", [1, 200, 500_000])
def test_load_outcomes_in_parts_equals_expected(dataset: Dataset, monkeypatch: pytest.MonkeyPatch, labels: int) -> None:
    """The result does not depend on the size of the parts; one row is repeated."""
    monkeypatch.setattr("holdfast.batch_scoring.outcomes._LABELS", labels)
    rng, days = np.random.default_rng(4), [datetime(2023, 12, 1, tzinfo=UTC) + timedelta(days=n) for n in range(30)]
    asked = [(f"c{number:03d}", day) for day in days for number in rng.choice(300, 8, replace=False)]
    asked = [asked[n] for n in rng.permutation(len(asked))] + asked[:1] + [("stranger", days[3])]
    rows = pd.DataFrame(asked, columns=["customer_id", "cutoff"], index=np.arange(len(asked)) * 7)
    found = load_outcomes(dataset.settings, LABEL, rows, KNOWN_AT)
    assert found.tolist() == [
        _expected_outcome(*pair) if _expected_outcome(*pair) is not None else pd.NA for pair in asked
    ]
    assert found.dtype == "boolean" and found.isna().any() and 0 < found.mean() < 1
    assert not len(load_outcomes(dataset.settings, LABEL, rows[:0], KNOWN_AT))


@pytest.mark.parametrize(("horizon", "activity"), [(30, 60), (90, 60), (120, 365)])
def test_load_outcomes_follow_the_label_and_not_the_settings(dataset: Dataset, horizon: int, activity: int) -> None:
    assert (dataset.settings.horizon_days, dataset.settings.activity_days) == (90, 180)
    label = purchase_label(horizon, activity)
    days = [datetime(2023, 9, 1, tzinfo=UTC), datetime(2024, 1, 15, tzinfo=UTC)]
    asked = [(f"c{number:03d}", day) for day in days for number in range(300)]
    found = load_outcomes(dataset.settings, label, pd.DataFrame(asked, columns=["customer_id", "cutoff"]), KNOWN_AT)
    expected = [_expected_outcome(*pair, horizon, activity) for pair in asked]
    assert found.tolist() == [pd.NA if outcome is None else outcome for outcome in expected]
    assert found.isna().any() and 0 < found.mean() < 1


def test_load_outcomes_follow_the_stored_sql_and_not_the_code(dataset: Dataset) -> None:
    """The SQL of a label that is no longer in the code, for which only purchases above 30 count."""

    def label_by_amount(transactions: ir.Table, cutoffs: ir.Table, horizon_days: int, activity_days: int) -> ir.Table:
        return churn_labels(transactions.filter(transactions.amount > 30), cutoffs, horizon_days, activity_days)

    cutoff = datetime(2024, 2, 1, tzinfo=UTC)
    rows = pd.DataFrame({"customer_id": [f"c{number:03d}" for number in range(300)], "cutoff": cutoff})
    found = load_outcomes(dataset.settings, purchase_label(90, 180, label_by_amount), rows, KNOWN_AT)
    bought: dict[str, list[datetime]] = {}
    for row in transactions():
        if row.amount > 30:
            bought.setdefault(row.customer_id, []).append(row.event_timestamp)
    for customer, outcome in zip(rows["customer_id"], found, strict=True):
        times = bought.get(customer, [])
        is_active = any(cutoff - timedelta(days=180) <= time < cutoff for time in times)
        has_bought = any(cutoff <= time < cutoff + timedelta(days=90) for time in times)
        assert (outcome == (not has_bought)) if is_active else outcome is pd.NA
    assert not found.equals(load_outcomes(dataset.settings, LABEL, rows, KNOWN_AT))


def test_load_outcomes_labels_requested_customers_only(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few customers on each of many days must not need memory for all customers of the shop."""
    from holdfast.batch_scoring import outcomes as module

    labelled, query = [], module.query_labels

    def spied(*given: Any) -> Any:
        labelled.append(set(query(*given).customer_id.execute()))
        return query(*given)

    monkeypatch.setattr(module, "query_labels", spied)
    cohort = datetime(2024, 2, 1, tzinfo=UTC)
    asked = active_customers(cohort, cohort)[:3]
    rows = pd.DataFrame({"customer_id": asked, "cutoff": [cohort + timedelta(days=n) for n in range(3)]})
    load_outcomes(dataset.settings, LABEL, rows, KNOWN_AT)
    assert labelled == [set(asked)]
    monkeypatch.setattr(module, "_LABELS", 4)  # of two customers at two cut-offs
    labelled.clear()
    load_outcomes(dataset.settings, LABEL, rows, KNOWN_AT)
    assert labelled == [set(asked[:2]), set(asked[2:])]


def test_load_cohort_outcomes_of_other_data_raises(dataset: Dataset) -> None:
    with pytest.raises(RuntimeError, match="Customer 'stranger' was scored at 2024-02-01 but is not in the data"):
        load_cohort_outcomes(dataset.settings, LABEL, _scored(["stranger"]), datetime(2024, 2, 1, tzinfo=UTC), KNOWN_AT)


@pytest.mark.parametrize(
    ("cohort", "as_of", "known_at", "mature"),
    [
        ("2024-02-01", "2024-05-01", "2030-01-01", True),  # 90 days in a leap year
        ("2024-02-02", "2024-05-01", "2030-01-01", False),
        ("2024-04-02", "2030-01-01", "2030-01-01", True),  # the data end with June
        ("2024-04-03", "2030-01-01", "2030-01-01", False),
        ("2024-02-01", "2024-05-01", "2024-05-01", False),  # all that had arrived were data of 2023
    ],
)
def test_is_mature_needs_data_for_whole_horizon(
    dataset: Dataset, cohort: str, as_of: str, known_at: str, mature: bool
) -> None:
    times = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (cohort, as_of, known_at)]
    assert is_mature(dataset.settings, LABEL, *times) is mature
