"""Training without one of the features: simple models, customer groups and behavioral tests do without none."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from feature_repo.names import FEATURE_SERVICE
from holdfast.core.types import Floats
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.definition_versions import register_version
from holdfast.feature_store.feast_registry import apply_definitions
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.models.contract import MissingFeatureError
from holdfast.models.label import RECENCY_FEATURE
from holdfast.promotion.behavioral_tests import measure_wrong_direction
from holdfast.promotion.gates import evaluate_gates
from holdfast.training.baselines import BASELINE_LABELS, explain_skipped_baselines, score_baselines
from holdfast.training.dataset import TrainingSet, assemble_training_set
from holdfast.training.evaluation import evaluate_model, require_slice_inputs
from holdfast.training.fitting import fit_model, predict_churn
from holdfast.training.model_selection import ModelChoice
from holdfast.training.settings import DEFAULT_SLICES, TrainingSettings
from tests.support.gate_evidence import evidence_with
from tests.support.recipes import CHOICE, make_recipe, make_trial
from tests.support.shop_fixtures import Dataset
from tests.support.small_shop import AS_OF, KNOWN_AT, use_data_folder
from tests.unit.training.test_evaluation import SHIPPED

NAMES = [
    *("purchase_days", "total_amount", "mean_purchase_amount"),
    *("purchase_days_30d", "purchase_days_90d", "purchase_days_180d"),
    *("amount_30d", "amount_90d", "amount_180d", "purchase_days_trend_90d"),
    *("mean_gap_days", "std_gap_days", "max_gap_days", "last_gap_days"),
    *("days_since_last_purchase", "tenure_days", "lateness_ratio", "silence_share"),
    *("no_purchase_log_odds_40d", "no_purchase_log_odds_60d", "no_purchase_log_odds_90d"),
]
READ_BY_EVALUATION = ["purchase_days", "total_amount", "mean_purchase_amount", "mean_gap_days", "tenure_days"]


@contextmanager
def _service_without(name: str) -> Iterator[str]:
    """Register definitions whose service lacks a feature, and yield the id of the version."""
    store: Any = open_store()
    service = store.get_feature_service(FEATURE_SERVICE)
    for projection in service.feature_view_projections:
        projection.features = [field for field in projection.features if field.name != name]
    store.registry.apply_feature_service(service, store.project)
    try:
        yield register_version(open_store())
    finally:
        apply_definitions(open_store())


def _assemble_without(dataset: Dataset, name: str) -> TrainingSet:
    with use_data_folder(dataset.settings.data), _service_without(name) as definitions:
        cutoffs = [*dataset.split.development[-3:], *dataset.split.test[:2]]
        return assemble_training_set(dataset.settings, definitions, cutoffs, AS_OF, KNOWN_AT)


def _parts(data: TrainingSet, dataset: Dataset) -> tuple[TrainingSet, TrainingSet]:
    return data.at_cutoffs(dataset.split.development[-3:]), data.at_cutoffs(dataset.split.test[:2])


def _score(data: TrainingSet, dataset: Dataset) -> dict[str, Floats]:
    development, test = _parts(data, dataset)
    return score_baselines(development, development.histories[dataset.split.development[-1]], test, 90)


@pytest.fixture(scope="module")
def expected(dataset: Dataset) -> dict[str, Floats]:
    """Score the test rows by the simple models, which read all features."""
    return _score(dataset.data, dataset)


def test_names_are_the_inputs_of_the_model(dataset: Dataset) -> None:
    assert [feature.name for feature in dataset.data.inputs] == NAMES
    assert {group.feature for group in DEFAULT_SLICES} <= set(READ_BY_EVALUATION)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in READ_BY_EVALUATION else pytest.mark.long)
        for name in NAMES
        if name != RECENCY_FEATURE
    ],
)
def test_removed_feature_leaves_simple_models_groups_and_direction_as_they_are(
    dataset: Dataset, expected: dict[str, Floats], name: str
) -> None:
    from feature_repo.on_demand_feature_views import customer_request_time

    data = _assemble_without(dataset, name)
    assert name not in [feature.name for feature in data.inputs]
    assert list(data.other_features) == ([name] if name in READ_BY_EVALUATION else [])
    scores = _score(data, dataset)
    assert list(scores) == list(BASELINE_LABELS)
    for baseline, values in scores.items():
        assert values.tobytes() == expected[baseline].tobytes(), baseline
    development, test = _parts(data, dataset)
    model = fit_model("logistic", {"C": 0.01}, development, 0)
    training = TrainingSettings(resamples=50)
    require_slice_inputs(training.slices, data.feature_names)
    recipe = make_recipe(dataset.split.development[-3:], dataset.split.test[:2])
    choice = ModelChoice(recipe, make_trial(recipe.family), "It is the only one.", (), CHOICE)
    every = {"model": predict_churn(model, test.x), **scores}
    report = evaluate_model(model, every, development, test, choice, training, SHIPPED, 500)
    assert {item.feature for item in report.slices} == {group.feature for group in DEFAULT_SLICES}
    assert report.describe_skipped() == []
    request_time = customer_request_time.feature_transformation.udf
    assert measure_wrong_direction(lambda x: predict_churn(model, x), test, request_time, 1e-9) == 0


def test_removed_recency_is_one_error(dataset: Dataset) -> None:
    with pytest.raises(MissingFeatureError, match=r"has no days_since_last_purchase, .*feature_services\.py"):
        _assemble_without(dataset, RECENCY_FEATURE)


@pytest.mark.parametrize(
    ("name", "skipped"), [("mean_purchase_amount", ["rfm"]), ("tenure_days", ["bg_nbd", "pareto_nbd"])]
)
def test_feature_missing_from_the_definitions_skips_what_needs_it(
    dataset: Dataset, name: str, skipped: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view without the feature gives a training set without it."""
    keep = [number for number, feature in enumerate(dataset.data.inputs) if feature.name != name]
    full = dataset.data
    data = TrainingSet(full.keys, full.x[:, keep], full.y, [full.inputs[n] for n in keep], full.histories)
    scores = _score(data, dataset)
    assert [baseline for baseline in BASELINE_LABELS if baseline not in scores] == skipped
    assert list(explain_skipped_baselines(data)) == skipped
    development, test = _parts(data, dataset)
    model = fit_model("logistic", {"C": 0.01}, development, 0)
    recipe = make_recipe(dataset.split.development[-3:], dataset.split.test[:2])
    choice = ModelChoice(recipe, make_trial(recipe.family), "It is the only one.", (), CHOICE)
    every = {"model": predict_churn(model, test.x), **scores}
    training = TrainingSettings(resamples=50)
    require_slice_inputs(training.slices, data.feature_names)
    report = evaluate_model(model, every, development, test, choice, training, SHIPPED, 500)
    notes = report.describe_skipped()
    assert len(notes) == len(skipped) + (name in {group.feature for group in DEFAULT_SLICES})
    assert all(name in note for note in notes)
    gates = {gate.name: gate for gate in evaluate_gates(evidence_with(evaluation=report), GateSettings())}
    for baseline in skipped:
        gate = gates[f"not surely worse than {BASELINE_LABELS[baseline]}"]
        assert gate.verdict == "not applicable" and name in gate.detail
    assert np.isfinite(gates["probabilities not surely worse than the simple models"].value or 0)
    assert not [gate.name for gate in gates.values() if "could not be computed" in gate.detail]
