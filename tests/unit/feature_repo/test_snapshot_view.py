"""Tests of the comparison of snapshot views."""

from copy import deepcopy
from datetime import UTC, datetime

import pytest
from feast import FeatureView

from feature_repo.feature_views import customer_purchase_history, customer_purchase_rhythm
from feature_repo.snapshot_view import SnapshotView

INTERVAL = (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC))


@pytest.fixture
def materialized() -> FeatureView:
    """The view as Feast's registry returns it after a materialization: a plain ``FeatureView``."""
    view = FeatureView.from_proto(customer_purchase_history.to_proto())
    view.materialization_intervals.append(INTERVAL)
    return view


def test_snapshot_view_other_materialization_history_is_equal(materialized: FeatureView) -> None:
    assert customer_purchase_history == materialized
    assert materialized == customer_purchase_history


def test_snapshot_view_comparison_changes_neither_view(materialized: FeatureView) -> None:
    assert customer_purchase_history == materialized
    assert customer_purchase_history.materialization_intervals == []
    assert materialized.materialization_intervals == [INTERVAL]


def test_snapshot_view_other_definition_is_not_equal(materialized: FeatureView) -> None:
    changed = deepcopy(materialized)
    changed.ttl = None
    assert customer_purchase_history != changed
    assert customer_purchase_history != customer_purchase_rhythm
    assert customer_purchase_history != "customer_purchase_history"


def test_snapshot_view_hash_is_that_of_feast(materialized: FeatureView) -> None:
    assert isinstance(customer_purchase_history, SnapshotView)
    assert hash(customer_purchase_history) == hash(materialized)
