"""Feature with the tag ``slice_only``: groups of the evaluation, and never an input of a model."""

from collections.abc import Iterator

import numpy as np
import pytest

from feature_repo.names import FEATURE_SERVICE
from feature_repo.settings import Settings
from holdfast.feast_stores.open_store import open_store
from holdfast.models.categories import encode_categories
from holdfast.models.contract import SliceOnlyInputError, model_inputs, slice_only_features
from holdfast.online_features.reader import OnlineReader
from holdfast.training.bootstrap import CustomerBootstrap, roc_auc_draws
from holdfast.training.category_encoding import name_categories, require_categories
from holdfast.training.dataset import TrainingSet, build_training_set, find_labeled_cutoffs
from holdfast.training.evaluation import _evaluate_slice, require_slice_inputs
from holdfast.training.settings import Slice
from tests.support.country_shop import COUNTRIES, VIEW, use_country_shop
from tests.support.small_shop import AS_OF, KNOWN_AT, register_definitions

COUNTRY = Slice(feature="country")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with use_country_shop(tmp_path_factory.mktemp("slices"), slice_only=True) as settings:
        register_definitions()
        yield settings


@pytest.fixture(scope="module")
def data(shop: Settings) -> TrainingSet:
    cutoffs = find_labeled_cutoffs(shop, AS_OF, KNOWN_AT, 30).used[-3:]
    return build_training_set(shop, register_definitions(), cutoffs, AS_OF, KNOWN_AT)


def test_model_inputs_exclude_the_feature(shop: Settings) -> None:
    assert slice_only_features(open_store()) == {"country"}
    assert "country" not in [feature.name for feature in model_inputs(open_store())]
    assert VIEW not in OnlineReader(open_store(), FEATURE_SERVICE).views


def test_training_set_has_the_feature_beside_the_inputs(data: TrainingSet) -> None:
    assert data.x.shape[1] == len(data.inputs) == 21
    assert data.feature_names[-1] == "country"
    expected = encode_categories([COUNTRIES[customer[:2]][0] for customer in data.keys["customer_id"]])
    assert np.array_equal(data.column("country"), expected, equal_nan=True)
    some = data.take(np.array([5, 3, 3, 0]))
    assert np.array_equal(some.column("country"), expected[[5, 3, 3, 0]], equal_nan=True)
    require_categories(data)
    assert name_categories(data) == {}


def test_evaluation_has_groups_of_the_feature(data: TrainingSet) -> None:
    require_slice_inputs([COUNTRY], data.feature_names, data.texts)
    scores = {"model": np.random.default_rng(0).random(len(data.y))}
    bootstrap = CustomerBootstrap(data.keys["customer_id"].to_numpy(), 50, 0)
    overall = roc_auc_draws(data.y, scores["model"], bootstrap)
    found = {item.label: item.rows for item in _evaluate_slice(COUNTRY, data, scores, bootstrap, overall)}
    assert sum(found.values()) == len(data.y)
    assert {"France", "Österreich", "unknown"} <= set(found)


@pytest.mark.parametrize(
    ("field", "through"),
    [("last_gap_days", "customer_purchase_rhythm"), ("first_purchase_us", "customer_request_time")],
)
def test_feature_service_that_reads_the_feature_raises(shop: Settings, field: str, through: str) -> None:
    store = open_store()
    view = next(view for view in store.list_feature_views() if field in [item.name for item in view.features])
    before = dict(view.tags)
    try:
        view.tags = before | {"slice_only": field}
        store.registry.apply_feature_view(view, store.project)
        with pytest.raises(SliceOnlyInputError, match=f"churn_v1 reads {view.name}:{field} through {through}"):
            slice_only_features(open_store())
    finally:
        view.tags = before
        store.registry.apply_feature_view(view, store.project)
