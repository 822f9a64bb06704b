"""Scored population, compared with plain Python over the transactions."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from feature_repo.settings import Settings
from holdfast.batch_scoring.population import ScoringPopulation, load_active_customers
from holdfast.feature_store.snapshots import NoDataError, build_snapshots
from tests.support.shop_fixtures import Dataset
from tests.support.small_shop import (
    AS_OF,
    KNOWN_AT,
    active_customers,
    register_definitions,
    registered_store,
    use_data_folder,
)

STEP = datetime(2024, 6, 1, tzinfo=UTC)  # the second batch, with late rows of the first year, comes a day later


def _customers(settings: Settings, as_of: datetime, known_at: datetime) -> ScoringPopulation:
    with use_data_folder(settings.data):
        build_snapshots(settings, registered_store(), as_of, known_at)
        return load_active_customers(settings, register_definitions(), as_of, known_at)


@pytest.mark.parametrize("known_at", [STEP, KNOWN_AT])
def test_load_active_customers_as_known_at(dataset: Dataset, known_at: datetime) -> None:
    found = _customers(dataset.settings, STEP, known_at)
    assert found.ids == active_customers(STEP, known_at)
    assert found.x.shape == (len(found.ids), len(found.inputs))


def test_load_active_customers_ignores_later_arrivals() -> None:
    assert len(active_customers(STEP, STEP)) < len(active_customers(STEP, KNOWN_AT))


def test_load_active_customers_equals_training_rows(dataset: Dataset) -> None:
    """Scoring at a training cut-off gives the customers and values of training, without reading later events."""
    cutoff = dataset.cutoffs[-1]
    found, rows = _customers(dataset.settings, cutoff, KNOWN_AT), dataset.data.at_cutoffs([cutoff])
    assert found.ids == rows.keys["customer_id"].tolist()
    np.testing.assert_array_equal(found.x, rows.x)
    assert found.inputs == rows.inputs


def test_load_active_customers_without_active_raises(dataset: Dataset) -> None:
    late = AS_OF + timedelta(days=365)
    with pytest.raises(
        NoDataError, match=r"no customer with a purchase in the 180 days before 2025-07-01.*Ingest newer data"
    ):
        _customers(dataset.settings, late, KNOWN_AT)
