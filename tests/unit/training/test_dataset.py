"""Training set of the small shop, compared with the oracle and the joined snapshots."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest

from feature_repo.labels import churn_labels
from holdfast.feature_store.snapshots import NoDataError
from holdfast.models.contract import MissingFeatureError
from holdfast.training.dataset import TrainingSet, assemble_training_set, find_labeled_cutoffs, use_label_function
from tests.support import feature_oracle
from tests.support.shop_fixtures import Dataset
from tests.support.small_shop import (
    AS_OF,
    FIRST,
    KNOWN_AT,
    register_definitions,
    registered_store,
    transactions,
    use_data_folder,
)
from tests.support.training_sets import make_training_set, month_starts


@pytest.fixture(scope="module")
def labels(dataset: Dataset) -> dict[tuple[str, datetime], bool]:
    return feature_oracle.churn_labels(transactions(), dataset.cutoffs, 90, 180)


def _pairs(data: TrainingSet) -> list[tuple[str, datetime]]:
    return list(zip(data.keys["customer_id"], data.keys["cutoff"].dt.to_pydatetime(), strict=True))


def test_find_labeled_cutoffs_shop_returns_closed_cutoffs(dataset: Dataset) -> None:
    assert dataset.cutoffs == feature_oracle.closed_cutoffs(FIRST, AS_OF, 90, 30)
    assert len(dataset.cutoffs) == 14


def test_assemble_training_set_shop_labels_equal_oracle(
    dataset: Dataset, labels: dict[tuple[str, datetime], bool]
) -> None:
    data = dataset.data
    assert dict(zip(_pairs(data), data.y.tolist(), strict=True)) == labels
    assert 0.2 < data.y.mean() < 0.8


def test_assemble_training_set_flipped_labels_changes_labels_only(dataset: Dataset) -> None:
    @wraps(churn_labels)
    def flipped(**arguments: Any) -> ir.Table:
        labels = churn_labels(**arguments)
        return labels.mutate(churned=~labels.churned)

    cutoffs = dataset.cutoffs[:2]
    expected = dataset.data.at_cutoffs(cutoffs)
    with use_data_folder(dataset.settings.data), use_label_function(flipped):
        data = assemble_training_set(dataset.settings, register_definitions(), cutoffs, AS_OF, KNOWN_AT)
    assert (data.y == ~expected.y).all()
    assert data.x.tobytes() == expected.x.tobytes()
    with use_data_folder(dataset.settings.data):
        again = assemble_training_set(dataset.settings, register_definitions(), cutoffs, AS_OF, KNOWN_AT)
    assert again.digests() == expected.digests()


def test_assemble_training_set_shop_rows_sorted_by_cutoff_and_customer(dataset: Dataset) -> None:
    pairs = _pairs(dataset.data)
    assert pairs == sorted(pairs, key=lambda pair: (pair[1], pair[0]))
    assert len(pairs) == len(set(pairs))


def test_assemble_training_set_inactive_customer_absent(dataset: Dataset) -> None:
    cutoff = dataset.cutoffs[-1]
    known = feature_oracle.known(transactions(), cutoff, KNOWN_AT)
    bought: dict[str, datetime] = {}
    for row in known:
        if row.amount > 0:
            bought[row.customer_id] = max(bought.get(row.customer_id, row.event_timestamp), row.event_timestamp)
    removed = {customer for customer, last in bought.items() if last < cutoff - timedelta(days=180)}
    present = set(dataset.data.at_cutoffs([cutoff]).keys["customer_id"])
    assert len(removed) > 5
    assert present == bought.keys() - removed


@pytest.mark.parametrize("index", [0, 6, 13])
def test_assemble_training_set_shop_features_equal_snapshot_bit_for_bit(dataset: Dataset, index: int) -> None:
    from holdfast.feature_store.snapshots import build_snapshots

    cutoff = dataset.cutoffs[index]
    data = dataset.data.at_cutoffs([cutoff])
    with use_data_folder(dataset.settings.data) as settings:
        snapshots = build_snapshots(settings, registered_store(), cutoff, KNOWN_AT)
    for snapshot in snapshots:
        assert not snapshot.built
        frame = pd.read_parquet(snapshot.path).set_index("customer_id").loc[data.keys["customer_id"]]
        shared = [feature.name for feature in data.inputs if feature.name in frame.columns]
        assert shared
        for name in shared:
            expected = frame[name].to_numpy(dtype=np.float64)
            assert data.column(name).view(np.int64).tolist() == expected.view(np.int64).tolist(), name


def test_assemble_training_set_on_demand_features_as_of_cutoff(dataset: Dataset) -> None:
    for cutoff in dataset.cutoffs[::5]:
        data = dataset.data.at_cutoffs([cutoff])
        known = feature_oracle.known(transactions(), cutoff, KNOWN_AT)
        history, rhythm = feature_oracle.purchase_history(known, cutoff), feature_oracle.purchase_rhythm(known, cutoff)
        for row, customer in enumerate(data.keys["customer_id"]):
            first, last = (
                feature_oracle.EPOCH + history[customer][name] * feature_oracle.MICROSECOND
                for name in ("first_purchase_us", "last_purchase_us")
            )
            days, gap = history[customer]["purchase_days"], rhythm[customer]["mean_gap_days"]
            expected = feature_oracle.request_time(days, first, last, gap, cutoff)
            for name, value in expected.items():
                found, wanted = data.column(name)[row], np.nan if value is None else value
                assert found == pytest.approx(wanted, rel=1e-12, abs=1e-12, nan_ok=True), (customer, name)


def test_assemble_training_set_later_events_ignored_by_features(dataset: Dataset) -> None:
    recency = dataset.data.column("days_since_last_purchase")
    assert (recency > 0).all()
    assert (recency <= 180).all()
    assert (dataset.data.column("tenure_days") >= recency).all()


class TestDigests:
    def _changed(self, data: TrainingSet) -> dict[str, tuple[TrainingSet, set[str]]]:
        """Compare the digests after a change: only those of the changed parts differ."""
        second = data.inputs[1].name
        x, y, keys = data.x.copy(), data.y.copy(), data.keys.copy()
        x[3, 1] = np.nextafter(x[3, 1], np.inf)
        y[0] = not y[0]
        keys.loc[2, "customer_id"] = "another"
        moved = data.keys.copy()
        moved.loc[0, "cutoff"] += timedelta(microseconds=1)
        zero = data.x.copy()
        row, column = np.argwhere(zero == 0.0)[0]
        zero[row, column] = -0.0
        everything = {"rows", "labels", *(feature.name for feature in data.inputs)}
        last = max(data.histories)
        other = data.histories[last]._replace(repeats=data.histories[last].repeats + 1)
        fewer = {cutoff: history for cutoff, history in data.histories.items() if cutoff != last}
        return {
            "one bit": (replace(data, x=x), {second}),
            "the sign of zero": (replace(data, x=zero), {data.inputs[column].name}),
            "one label": (replace(data, y=y), {"labels"}),
            "one customer": (replace(data, keys=keys), {"rows"}),
            "one history": (replace(data, histories={**data.histories, last: other}), {"histories"}),
            "no history of a cut-off": (replace(data, histories=fewer), {"histories"}),
            "one cut-off": (replace(data, keys=moved), {"rows"}),
            "the order": (data.take(np.arange(len(data.y))[::-1]), everything),
            "fewer rows": (data.take(np.arange(len(data.y) - 1)), everything),
        }

    def test_digests_changed_part_alters_its_digest_only(self, dataset: Dataset) -> None:
        before = dataset.data.digests()
        for change, (changed, parts) in self._changed(dataset.data).items():
            after = changed.digests()
            assert {name for name in before if after[name] != before[name]} == parts, change

    def test_digests_every_input_has_digest(self, dataset: Dataset) -> None:
        data = dataset.data
        names = [feature.name for feature in data.inputs]
        assert list(data.digests()) == ["rows", "labels", "histories", *names]
        assert {len(digest) for digest in data.digests().values()} == {64}
        renamed = replace(data, inputs=[replace(data.inputs[0], name="other"), *data.inputs[1:]])
        assert renamed.digests()["other"] == data.digests()[names[0]]

    def test_digests_other_customer_id_boundaries_differ(self) -> None:
        one, other = (make_training_set([True] * 2, names, month_starts(1) * 2) for names in (["ab", "c"], ["a", "bc"]))
        assert one.digests()["rows"] != other.digests()["rows"]

    def test_digests_copied_data_equal(self, dataset: Dataset) -> None:
        data = dataset.data
        copy = replace(data, keys=data.keys.copy(), x=np.asfortranarray(data.x), y=data.y.copy())
        assert copy.digests() == data.digests()

    def test_digests_data_assembled_twice_equal(self, dataset: Dataset) -> None:
        with use_data_folder(dataset.settings.data) as settings:
            again = assemble_training_set(settings, register_definitions(), dataset.cutoffs[::-1], AS_OF, KNOWN_AT)
        assert again.digests() == dataset.data.digests()


class TestSelection:
    def test_take_repeated_numbers_returns_rows_in_given_order(self, dataset: Dataset) -> None:
        data, numbers = dataset.data, np.array([5, 2, 2, 0])
        found = data.take(numbers)
        assert found.keys["customer_id"].tolist() == data.keys["customer_id"].iloc[numbers].tolist()
        assert found.keys["cutoff"].tolist() == data.keys["cutoff"].iloc[numbers].tolist()
        assert found.keys.index.tolist() == [0, 1, 2, 3]
        assert np.array_equal(found.x, data.x[numbers], equal_nan=True)
        assert found.y.tolist() == data.y[numbers].tolist()
        assert found.inputs == data.inputs
        assert found.histories == data.histories
        assert found.terms.horizon_days == dataset.settings.horizon_days

    def test_at_cutoffs_some_cutoffs_preserves_rows_and_order(self, dataset: Dataset) -> None:
        cutoffs = dataset.cutoffs[3:5]
        found = dataset.data.at_cutoffs(cutoffs[::-1])
        numbers = np.flatnonzero(dataset.data.keys["cutoff"].isin(cutoffs))
        rows = replace(dataset.data.take(numbers), histories=found.histories)
        assert found.digests() == rows.digests()
        assert sorted(set(found.keys["cutoff"])) == sorted(found.histories) == cutoffs

    def test_column_known_name_returns_values_unknown_raises(self, dataset: Dataset) -> None:
        for number, feature in enumerate(dataset.data.inputs):
            assert np.array_equal(dataset.data.column(feature.name), dataset.data.x[:, number], equal_nan=True)
        with pytest.raises(ValueError, match="unknown"):
            dataset.data.column("unknown")


def test_at_cutoffs_each_cutoff_partitions_rows(dataset: Dataset) -> None:
    parts = [dataset.data.at_cutoffs([cutoff]) for cutoff in dataset.cutoffs]
    assert sum(len(part.y) for part in parts) == len(dataset.data.y)
    assert np.array_equal(np.concatenate([part.x for part in parts]), dataset.data.x, equal_nan=True)
    assert len(dataset.data.at_cutoffs([]).y) == 0


def test_assemble_training_set_without_snapshots_raises(dataset: Dataset) -> None:
    with (
        use_data_folder(dataset.settings.data) as settings,
        pytest.raises(MissingFeatureError, match="is null in row 0"),
    ):
        assemble_training_set(settings, register_definitions(), [datetime(2023, 2, 1, tzinfo=UTC)], AS_OF, KNOWN_AT)


def test_assemble_training_set_purchases_after_as_of_ignored(dataset: Dataset) -> None:
    cutoff = dataset.cutoffs[3]
    with use_data_folder(dataset.settings.data) as settings:
        blind = assemble_training_set(settings, register_definitions(), [cutoff], cutoff, KNOWN_AT)
    assert blind.y.all()
    assert not dataset.data.at_cutoffs([cutoff]).y.all()


def test_find_labeled_cutoffs_without_data_raises(tmp_path: Path, dataset: Dataset) -> None:
    settings: Any = dataset.settings.model_copy(update={"data": tmp_path})
    with pytest.raises(NoDataError, match=r"python -m flows\.ingest"):
        find_labeled_cutoffs(settings, AS_OF, KNOWN_AT, 30)
    with pytest.raises(NoDataError, match="2023-12-01"):
        find_labeled_cutoffs(dataset.settings, AS_OF, datetime(2023, 12, 1, tzinfo=UTC), 30)
