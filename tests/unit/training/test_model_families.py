"""Model families: fit the shop, accept nulls and any inputs, and are monotone in inactivity."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from optuna.trial import FixedTrial
from scipy.special import expit
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from holdfast.core.types import Floats
from holdfast.training.dataset import TrainingSet
from holdfast.training.fitting import fit_model, predict_churn
from holdfast.training.model_families import (
    FAMILIES,
    _fill_empty_inputs,
    _fit_median_imputer,
    describe_model,
    list_families,
)
from tests.support.shop_fixtures import Dataset
from tests.support.strategies import EXAMPLES
from tests.support.training_sets import make_training_set, month_starts, synthetic_training_set

# The corners of what the search may try, and the middle.
EXTREMES = {
    "logistic": [{"C": 1e-5}, {"C": 100.0}],
    "bg_nbd": [{}, {}],
    "pareto_nbd": [{}, {}],
    "boosting": [
        {
            "learning_rate": 0.03,
            "max_iter": 30,
            "max_leaf_nodes": 3,
            "min_samples_leaf": 500,
            "l2_regularization": 100.0,
        },
        {
            "learning_rate": 0.3,
            "max_iter": 150,
            "max_leaf_nodes": 31,
            "min_samples_leaf": 20,
            "l2_regularization": 0.01,
        },
    ],
}
BY_LABELS = [name for name, family in FAMILIES.items() if not family.uses_history]
EVERY = [(name, params) for name in FAMILIES for params in [FAMILIES[name].defaults, *EXTREMES[name]]]


@contextmanager
def _warnings_are_errors() -> Iterator[None]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def _parts(dataset: Dataset) -> tuple[TrainingSet, TrainingSet]:
    return dataset.data.at_cutoffs(dataset.split.development), dataset.data.at_cutoffs(dataset.split.test)


class TestFamilies:
    def test_families_all_ordered_by_complexity(self) -> None:
        assert [family.name for family in FAMILIES.values()] == list(FAMILIES)
        assert list(FAMILIES) == ["bg_nbd", "pareto_nbd", "logistic", "boosting"]
        assert [family.complexity for family in FAMILIES.values()] == [0, 1, 2, 3]

    def test_list_families_without_history_or_inputs_leaves_purchase_models_out(self, dataset: Dataset) -> None:
        data = dataset.data
        assert [family.name for family in list_families(data)] == list(FAMILIES)
        assert [family.name for family in list_families(replace(data, histories={}))] == BY_LABELS
        fewer = replace(data, x=data.x[:, 1:], inputs=data.inputs[1:])  # without purchase_days
        assert [family.name for family in list_families(fewer)] == BY_LABELS

    def test_planned_trials_family_without_hyperparameters_one(self) -> None:
        assert [family.planned_trials(40) for family in FAMILIES.values()] == [1, 1, 40, 40]

    @pytest.mark.parametrize("name", FAMILIES)
    def test_families_defaults_within_search_space(self, name: str) -> None:
        family = FAMILIES[name]
        for params in (family.defaults, *EXTREMES[name]):
            with _warnings_are_errors():  # Optuna warns of a fixed value out of range
                trial: Any = FixedTrial(params)
                assert family.suggest(trial) == params

    @pytest.mark.parametrize("name", FAMILIES)
    def test_families_search_space_equals_tested_corners(self, name: str) -> None:
        trial = optuna.create_study().ask()
        FAMILIES[name].suggest(trial)
        low, high = EXTREMES[name]
        for parameter, range_ in trial.distributions.items():
            ends: Any = (range_.low, range_.high)  # type: ignore[attr-defined]
            assert ends == (min(low[parameter], high[parameter]), max(low[parameter], high[parameter]))

    def test_describe_model_known_family_names_family_and_parameters(self) -> None:
        assert describe_model("logistic", {"C": 0.00123456}) == "logistic C=0.00123"
        assert (
            describe_model("boosting", {"learning_rate": 0.1, "max_iter": 60})
            == "boosting learning_rate=0.1 max_iter=60"
        )


class TestModels:
    @pytest.mark.parametrize("name", FAMILIES)
    def test_fit_model_shop_with_nulls_scores_valid(self, dataset: Dataset, name: str) -> None:
        development, test = _parts(dataset)
        assert np.isnan(test.x).any()
        scores = predict_churn(fit_model(name, FAMILIES[name].defaults, development, 0), test.x)
        assert scores.shape == (len(test.y),)
        assert ((scores > 0) & (scores < 1)).all()
        assert roc_auc_score(test.y, scores) > 0.75

    @pytest.mark.parametrize(("name", "params"), [(name, params) for name, params in EVERY if name in BY_LABELS])
    def test_fit_model_unusual_inputs_scores_finite(self, name: str, params: dict[str, Any]) -> None:
        """An input that is always null, a constant input, and an input that is sometimes null."""
        data = synthetic_training_set(customers=150, months=4)
        rng = np.random.default_rng(1)
        rows = len(data.y)
        other = make_training_set(
            data.y, data.keys["customer_id"], data.keys["cutoff"],
            visits=data.x[:, 0], nowhere=np.full(rows, np.nan), constant=np.full(rows, 3.0),
            rating=np.where(rng.random(rows) < 0.3, np.nan, rng.normal(size=rows)),
        )  # fmt: skip
        with _warnings_are_errors():
            model = fit_model(name, params, other, 0)
            scores = predict_churn(model, other.x)
        assert np.isfinite(scores).all()
        if params.get("min_samples_leaf") != 500:  # more than may be split of 600 rows
            assert roc_auc_score(data.y, scores) > 0.65

    @pytest.mark.parametrize("name", BY_LABELS)
    def test_predict_churn_null_unknown_in_training_scores_finite(self, name: str) -> None:
        data = synthetic_training_set(customers=150, months=4)
        x = np.full((2, 3), np.nan)
        assert np.isfinite(predict_churn(fit_model(name, FAMILIES[name].defaults, data, 0), x)).all()

    def test_fit_model_boosting_uses_all_rows_and_seed(self) -> None:
        """A random hold-out for early stopping would mix the cut-offs."""
        data = synthetic_training_set(customers=150, months=4)
        params = FAMILIES["boosting"].defaults | {"max_iter": 60, "learning_rate": 0.5, "min_samples_leaf": 5}
        model: Any = fit_model("boosting", params, data, 7)
        assert model.n_iter_ == 60
        assert model.validation_score_.size == 0
        assert model.random_state == 7


class TestMonotonicity:
    @pytest.mark.parametrize(("name", "params"), EVERY)
    def test_fit_model_score_not_decreasing_with_an_increasing_input(
        self, dataset: Dataset, name: str, params: dict[str, Any]
    ) -> None:
        development, test = _parts(dataset)
        model = fit_model(name, params, development, 0)
        increasing = [number for number, feature in enumerate(test.inputs) if feature.increasing]
        assert len(increasing) >= 3
        for column in increasing:
            x = test.x[~np.isnan(test.x[:, column])].copy()
            before = predict_churn(model, x)
            for step in (0.1, 2.0, 90.0):
                x[:, column] += step
                after = predict_churn(model, x)
                assert (after >= before - 1e-12).all()
                before = after

    @pytest.mark.parametrize("declared", [True, False])
    @pytest.mark.parametrize("family", BY_LABELS)
    def test_fit_model_contradicting_data_declared_direction_holds(self, family: str, declared: bool) -> None:
        """Where inactivity goes with loyalty, the declaration decides, and other inputs are unconstrained."""
        rng = np.random.default_rng(0)
        silence = rng.uniform(0, 180, 600)
        churned = rng.random(600) < 1 - silence / 180
        data = make_training_set(churned, range(600), month_starts(1) * 600, silence=silence)
        data = replace(data, inputs=[replace(data.inputs[0], increasing=declared)])
        model = fit_model(family, FAMILIES[family].defaults, data, 0)
        scores = predict_churn(model, np.array([[10.0], [170.0]]))
        if declared:
            assert scores[1] == scores[0]
        else:
            assert scores[1] < scores[0] - 0.3


class TestLogistic:
    @pytest.mark.parametrize("C", [1e-5, 1e-3, 0.1, 100.0])
    def test_fit_model_no_declared_direction_equals_scikit_learn(self, C: float) -> None:  # noqa: N803
        data = synthetic_training_set(customers=300, months=4, curvature=1.0)
        model: Any = fit_model("logistic", {"C": C}, data, 0)
        x = model[:-1].transform(data.x)
        expected = LogisticRegression(C=C, tol=1e-10, max_iter=5000).fit(x, data.y)
        assert model[-1].coef_ == pytest.approx(expected.coef_, abs=2e-5)
        assert model[-1].intercept_ == pytest.approx(expected.intercept_, abs=2e-5)

    def test_fit_model_collinear_increasing_inputs_no_negative_coefficient(self) -> None:
        """An unbounded fit gives two copies of one signal opposite signs; the bounded one satisfies the KKT terms."""
        rng = np.random.default_rng(3)
        signal = rng.normal(size=2_000)
        noisy = signal + rng.normal(scale=0.1, size=2_000)
        churned = rng.random(2_000) < expit(3 * signal - 2 * noisy)
        data = make_training_set(churned, range(2_000), month_starts(1) * 2_000, signal=signal, noisy=noisy)
        plain: Any = fit_model("logistic", {"C": 100.0}, data, 0)
        assert plain[-1].coef_[0, 1] < -0.5
        data = replace(data, inputs=[replace(feature, increasing=True) for feature in data.inputs])
        signed: Any = fit_model("logistic", {"C": 100.0}, data, 0)
        assert (signed[-1].coef_ >= 0).all()
        alone: Any = fit_model("logistic", {"C": 100.0}, replace(data, x=data.x[:, :1], inputs=data.inputs[:1]), 0)
        assert signed[-1].coef_[0] == pytest.approx([alone[-1].coef_[0, 0], 0], abs=1e-4)

    def test_fit_model_log_odds_input_is_linear(self) -> None:
        data = synthetic_training_set(customers=150, months=4)
        data = replace(data, inputs=[replace(data.inputs[0], log_odds=True), *data.inputs[1:]])
        model = fit_model("logistic", {"C": 1.0}, data, 0)
        rows = np.array([[value, 0.0, 0.0] for value in (-20.0, 0.0, 20.0)])
        low, middle, high = model.decision_function(rows)
        assert high - middle == pytest.approx(middle - low)


@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=12),
        elements=st.one_of(st.floats(-100, 100), st.just(np.nan)),
    )
)
@EXAMPLES
def test_fit_median_imputer_any_matrix_equals_scikit_learn(x: Floats) -> None:
    x = _fill_empty_inputs(x)
    expected = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True).fit(x)
    imputer = _fit_median_imputer(x)
    assert imputer.statistics_.tobytes() == expected.statistics_.tobytes()
    assert imputer.transform(x).tobytes() == expected.transform(x).tobytes()
