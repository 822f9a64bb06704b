"""Scored population and outcomes, compared with plain Python over the transactions."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from feature_repo.settings import Settings
from holdfast.batch_scoring.outcomes import is_mature, load_cohort_outcomes, load_outcomes
from holdfast.batch_scoring.population import ScoringPopulation, load_active_customers
from holdfast.feature_store.snapshots import NoDataError, build_snapshots
from tests.support.shop_fixtures import Dataset
from tests.support.small_shop import ARRIVALS, AS_OF, KNOWN_AT, transactions, use_data_folder

STEP = datetime(2024, 6, 1, tzinfo=UTC)  # the second batch, with late rows of the first year, comes a day later


def _active(as_of: datetime, known_at: datetime) -> list[str]:
    start = as_of - timedelta(days=180)
    return sorted(
        {
            row.customer_id
            for row in transactions()
            if start <= row.event_timestamp < as_of and row.amount > 0 and row.ingested_at <= known_at
        }
    )


def _customers(settings: Settings, as_of: datetime, known_at: datetime) -> ScoringPopulation:
    with use_data_folder(settings.data):
        build_snapshots(settings, as_of, known_at)
        return load_active_customers(settings, as_of, known_at)


@pytest.mark.parametrize("known_at", [STEP, KNOWN_AT])
def test_load_active_customers_as_known_at(dataset: Dataset, known_at: datetime) -> None:
    found = _customers(dataset.settings, STEP, known_at)
    assert found.ids == _active(STEP, known_at)
    assert found.x.shape == (len(found.ids), len(found.inputs))


def test_load_active_customers_ignores_later_arrivals() -> None:
    assert len(_active(STEP, STEP)) < len(_active(STEP, KNOWN_AT))


def test_load_active_customers_equals_training_rows(dataset: Dataset) -> None:
    """Scoring at a training cut-off gives the customers and values of training, without reading later events."""
    cutoff = dataset.cutoffs[-1]
    found, rows = _customers(dataset.settings, cutoff, KNOWN_AT), dataset.data.at_cutoffs([cutoff])
    assert found.ids == rows.keys["customer_id"].tolist()
    np.testing.assert_array_equal(found.x, rows.x)
    assert found.inputs == rows.inputs


def test_load_active_customers_without_active_raises(dataset: Dataset) -> None:
    late = AS_OF + timedelta(days=365)
    with pytest.raises(NoDataError, match=r"No customer bought in the 180 days before 2025-07-01.*Ingest newer data"):
        _customers(dataset.settings, late, KNOWN_AT)


def _scored(ids: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": ids})


@pytest.mark.parametrize("known_at", [ARRIVALS[1][1], KNOWN_AT])
def test_load_cohort_outcomes_as_known_at(dataset: Dataset, known_at: datetime) -> None:
    cohort = datetime(2024, 2, 1, tzinfo=UTC)
    ids = _active(cohort, cohort)
    end = cohort + timedelta(days=90)
    stayed = {
        row.customer_id
        for row in transactions()
        if cohort <= row.event_timestamp < end and row.amount > 0 and row.ingested_at <= known_at
    }
    found = load_cohort_outcomes(dataset.settings, _scored(ids[::-1]), cohort, known_at)
    assert found.tolist() == [customer not in stayed for customer in ids[::-1]]
    assert 0 < found.mean() < 1


def _expected_outcome(customer: str, cutoff: datetime) -> bool | None:
    """Return True for a churned customer, None for an inactive one."""
    bought = [row.event_timestamp for row in transactions() if row.customer_id == customer and row.amount > 0]
    if not any(cutoff - timedelta(days=180) <= time < cutoff for time in bought):
        return None
    return not any(cutoff <= time < cutoff + timedelta(days=90) for time in bought)


@pytest.mark.parametrize("labels", [1, 200, 500_000])
def test_load_outcomes_in_parts_equals_expected(dataset: Dataset, monkeypatch: pytest.MonkeyPatch, labels: int) -> None:
    """The result does not depend on the size of the parts; one row is repeated."""
    monkeypatch.setattr("holdfast.batch_scoring.outcomes._LABELS", labels)
    rng, days = np.random.default_rng(4), [datetime(2023, 12, 1, tzinfo=UTC) + timedelta(days=n) for n in range(30)]
    asked = [(f"c{number:03d}", day) for day in days for number in rng.choice(300, 8, replace=False)]
    asked = [asked[n] for n in rng.permutation(len(asked))] + asked[:1] + [("stranger", days[3])]
    rows = pd.DataFrame(asked, columns=["customer_id", "cutoff"], index=np.arange(len(asked)) * 7)
    found = load_outcomes(dataset.settings, rows, KNOWN_AT)
    assert found.tolist() == [
        _expected_outcome(*pair) if _expected_outcome(*pair) is not None else pd.NA for pair in asked
    ]
    assert found.dtype == "boolean" and found.isna().any() and 0 < found.mean() < 1
    assert not len(load_outcomes(dataset.settings, rows[:0], KNOWN_AT))


def test_load_outcomes_labels_requested_customers_only(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few customers on each of many days must not need memory for all customers of the shop."""
    from holdfast.batch_scoring import outcomes as module

    labelled, definition = [], module.churn_labels

    def spied(*given: Any) -> Any:
        labelled.append(set(definition(*given).customer_id.execute()))
        return definition(*given)

    monkeypatch.setattr(module, "churn_labels", spied)
    cohort = datetime(2024, 2, 1, tzinfo=UTC)
    asked = _active(cohort, cohort)[:3]
    rows = pd.DataFrame({"customer_id": asked, "cutoff": [cohort + timedelta(days=n) for n in range(3)]})
    load_outcomes(dataset.settings, rows, KNOWN_AT)
    assert labelled == [set(asked)]
    monkeypatch.setattr(module, "_LABELS", 4)  # of two customers at two cut-offs
    labelled.clear()
    load_outcomes(dataset.settings, rows, KNOWN_AT)
    assert labelled == [set(asked[:2]), set(asked[2:])]


def test_load_cohort_outcomes_of_other_data_raises(dataset: Dataset) -> None:
    with pytest.raises(RuntimeError, match="Customer 'stranger' was scored at 2024-02-01 but is not in the data"):
        load_cohort_outcomes(dataset.settings, _scored(["stranger"]), datetime(2024, 2, 1, tzinfo=UTC), KNOWN_AT)


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
    assert is_mature(dataset.settings, *times) is mature
