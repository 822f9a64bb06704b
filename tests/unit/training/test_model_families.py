"""Model families: fit the shop, accept nulls and any inputs, and are monotone in inactivity."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import FixedTrial
from sklearn.metrics import roc_auc_score

from holdfast.training.dataset import TrainingSet
from holdfast.training.fitting import fit_model, predict_churn
from holdfast.training.model_families import FAMILIES, describe_model
from tests.support.shop_fixtures import Dataset
from tests.support.training_sets import make_training_set, month_starts, synthetic_training_set

# The corners of what the search may try, and the middle.
EXTREMES = {
    "logistic": [{"C": 1e-3}, {"C": 10.0}],
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
        assert [family.name for family in FAMILIES.values()] == list(FAMILIES) == ["logistic", "boosting"]
        assert [family.complexity for family in FAMILIES.values()] == [0, 1]

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

    @pytest.mark.parametrize(("name", "params"), EVERY)
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

    @pytest.mark.parametrize("name", FAMILIES)
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
    @pytest.mark.parametrize("params", [FAMILIES["boosting"].defaults, EXTREMES["boosting"][1]])
    @pytest.mark.parametrize("name", ["days_since_last_purchase", "lateness_ratio", "silence_share"])
    def test_fit_model_boosting_score_not_decreasing_with_inactivity(
        self, dataset: Dataset, params: dict[str, Any], name: str
    ) -> None:
        development, test = _parts(dataset)
        model = fit_model("boosting", params, development, 0)
        column = [feature.name for feature in test.inputs].index(name)
        x = test.x[~np.isnan(test.x[:, column])].copy()
        before = predict_churn(model, x)
        for factor in (1.2, 2.0, 10.0):
            x[:, column] *= factor
            after = predict_churn(model, x)
            assert (after >= before - 1e-12).all()
            before = after

    @pytest.mark.parametrize("name", ["days_since_last_purchase", "anything_else"])
    def test_fit_model_boosting_contradicting_data_constraint_holds(self, name: str) -> None:
        """Where inactivity goes with loyalty, the constraint holds by name, and other inputs are unconstrained."""
        rng = np.random.default_rng(0)
        silence = rng.uniform(0, 180, 600)
        churned = rng.random(600) < 1 - silence / 180
        data = make_training_set(churned, range(600), month_starts(1) * 600, **{name: silence})
        model = fit_model("boosting", FAMILIES["boosting"].defaults, data, 0)
        scores = predict_churn(model, np.array([[10.0], [170.0]]))
        if name == "anything_else":
            assert scores[1] < scores[0] - 0.3
        else:
            assert scores[1] == scores[0]
