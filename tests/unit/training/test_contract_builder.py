"""Serving contract of a model."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from feature_repo.names import FEATURE_SERVICE
from feature_repo.settings import Settings
from holdfast.models.contract import MODEL_NAME
from holdfast.training.contract_builder import build_contract, build_example_rows, typical_inputs
from holdfast.training.recipe import Recipe
from tests.support.training_sets import make_training_set, month_starts

RECIPE = Recipe(
    family="logistic", params={}, calibration="none", seed=0, threshold=0.42, folds=(), development=(), test=(),
    digests={},
)  # fmt: skip
NONE = np.nan
# The score is 0.125 for each missing value, plus 0.25 for a first value above 50.
MODEL = SimpleNamespace(
    predict_proba=lambda x: np.column_stack([np.zeros(len(x)), np.isnan(x).sum(axis=1) / 8 + (x[:, 0] > 50) / 4])
)


class TestTypicalInputs:
    def test_typical_inputs_missing_values_median_of_common_inputs(self) -> None:
        x = np.array([[1, 9, 1, NONE, 1], [2, 5, 2, NONE, 1], [4, 7, NONE, NONE, 2], [100, NONE, NONE, NONE, 2]])
        assert typical_inputs(x) == [3.0, 7.0, None, None, 1.5]


class TestExampleRows:
    X = np.array([[float(value), 2.0 * value, 5.0] for value in range(101)])

    def test_build_example_rows_known_inputs_one_low_or_high_at_a_time(self) -> None:
        assert build_example_rows([50.0, 100.0, 5.0], self.X) == [
            [50.0, 100.0, 5.0],
            [5.0, 100.0, 5.0],
            [95.0, 100.0, 5.0],
            [50.0, 10.0, 5.0],
            [50.0, 190.0, 5.0],
        ]  # nothing new of the third, which is the same for all

    def test_build_example_rows_sometimes_missing_input_missing_in_one_row(self) -> None:
        x = self.X.copy()
        x[0, 1] = NONE
        x[:, 2] = NONE
        assert [50.0, None, None] in build_example_rows([50.0, 101.0, None], x)
        assert [row for row in build_example_rows([50.0, 101.0, None], x) if row[2] is not None] == []

    def test_build_example_rows_customers_none_copied(self) -> None:
        rng = np.random.default_rng(0)
        customers = rng.normal(size=(200, 6)).round(1)
        rows = build_example_rows(typical_inputs(customers), customers)
        assert len(rows) == 13
        assert not any((customers == np.array(row, dtype=float)).all(axis=1).any() for row in rows)


class TestBuildContract:
    def _served(self, **inputs: Any) -> Any:
        months = month_starts(2)
        data = make_training_set([True] * 4, range(4), [months[1], months[0], months[0], months[1]], **inputs)
        return build_contract(
            Settings(horizon_days=60, activity_days=120), RECIPE, data, {"labels": "a"}, MODEL, "f00d"
        )

    def test_build_contract_recipe_and_data_values_stored(self) -> None:
        served = self._served(second=[1, 50, 60, 3], first=[NONE] * 4)
        assert (served.inputs, served.reference) == (["second", "first"], [2.0, None])  # of the latest cut-off
        assert (served.threshold, served.horizon_days, served.activity_days) == (0.42, 60, 120)
        assert (served.model_name, served.feature_service) == (MODEL_NAME, FEATURE_SERVICE)
        assert (served.fingerprint, served.model_sha256, served.model_version) == ({"labels": "a"}, "f00d", "")

    def test_build_contract_examples_scored_by_model(self) -> None:
        served = self._served(second=[1, 0, 0, 100], first=[NONE, 0, 0, 7])
        scores = {tuple(example.inputs): example.churn_probability for example in served.examples}
        assert scores[50.5, None] == 0.375
        assert scores[5.95, None] == 0.125
        assert served.examples[0].inputs == served.reference
