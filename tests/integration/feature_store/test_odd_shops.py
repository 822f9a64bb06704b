"""Features and training sets of shops with too little in them: parity holds, and each error names the remedy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from feature_repo.settings import Settings
from holdfast.feature_store.feast_registry import apply_definitions
from holdfast.feature_store.materialization import load_online_state
from holdfast.feature_store.parity import check_parity, require_parity
from holdfast.feature_store.snapshots import (
    NoDataError,
    Snapshot,
    build_snapshots,
    find_recent_customer,
    read_customers,
)
from holdfast.training.dataset import TrainingSet, build_training_set, find_labeled_cutoffs
from holdfast.training.model_selection import drop_single_class_folds
from holdfast.training.time_split import NotEnoughHistoryError, SingleClassError, TimeSplit, split_by_time
from tests.support import odd_shops
from tests.support.feature_oracle import Transaction
from tests.support.odd_shops import ARRIVAL, LAST
from tests.support.small_shop import build_features, ingest, register_definitions, registered_store, use_data_folder

pytestmark = pytest.mark.long

WITH_PURCHASES = [kind for kind in odd_shops.KINDS if kind is not odd_shops.only_returns]
_Kind = Callable[[], list[Transaction]]


def _split_rows(settings: Settings) -> tuple[TimeSplit, TrainingSet]:
    split = split_by_time(find_labeled_cutoffs(settings, LAST, ARRIVAL, 30).used, settings.horizon_days, 4, 5, 2)
    return split, build_training_set(settings, register_definitions(), split.cutoffs, LAST, ARRIVAL)


def _ingest(folder: Path, kind: _Kind) -> None:
    ingest(folder, kind(), ARRIVAL)


@pytest.mark.parametrize("kind", WITH_PURCHASES, ids=lambda kind: kind.__name__)
def test_every_online_value_equals_its_point_in_time_value(kind: _Kind, tmp_path: Path) -> None:
    _ingest(tmp_path, kind)
    with use_data_folder(tmp_path) as settings:
        snapshot: Snapshot = build_features(settings, LAST, ARRIVAL)
        customers = read_customers(snapshot)
        report = check_parity(registered_store(), registered_store(snapshot.known_at), customers, LAST)
        require_parity(report)
        assert report.customers == len({row.customer_id for row in kind()})
        assert report.values_compared == report.customers * report.features > 0
        assert find_recent_customer(settings, LAST, snapshot.known_at) in customers


def test_a_view_that_is_null_for_everybody_is_null_in_the_training_set(tmp_path: Path) -> None:
    _ingest(tmp_path, odd_shops.no_second_purchase_day)
    with use_data_folder(tmp_path) as settings:
        apply_definitions(registered_store())
        _, data = _split_rows(settings)
        for item, column in zip(data.inputs, data.x.T, strict=True):
            assert np.isnan(column).all() == item.nullable, item.name


def test_materialize_without_any_purchase_names_the_cause(tmp_path: Path) -> None:
    _ingest(tmp_path, odd_shops.only_returns)
    with use_data_folder(tmp_path) as settings:
        with pytest.raises(NoDataError, match=r"every known transaction is a return .* sign of the amounts"):
            build_features(settings, LAST, ARRIVAL)
        snapshot = build_snapshots(settings, registered_store(), LAST, ARRIVAL)[0]
        assert load_online_state(settings, register_definitions()) is None
        with pytest.raises(NoDataError, match="No customer made a purchase before 2024-12-01"):
            find_recent_customer(settings, LAST, snapshot.known_at)
        assert len(_split_rows(settings)[1].y) == 0


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        (odd_shops.no_second_purchase_day, SingleClassError, r"Of the \d+ development rows .* needs both outcomes"),
        (odd_shops.only_returns, SingleClassError, r"No customer was active at the development cut-offs \(2023-02-01"),
        (odd_shops.all_inactive, SingleClassError, r"No customer was active at the test cut-offs .* as_of before"),
        (odd_shops.one_customer, SingleClassError, r"Of the \d+ development rows .* 0 churned"),
        (odd_shops.one_day, NotEnoughHistoryError, "more history"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_training_without_both_outcomes_names_the_cause(
    kind: _Kind, error: type[Exception], message: str, tmp_path: Path
) -> None:
    _ingest(tmp_path, kind)
    with use_data_folder(tmp_path) as settings:
        apply_definitions(registered_store())
        with pytest.raises(error, match=message):
            drop_single_class_folds(*_split_rows(settings))
