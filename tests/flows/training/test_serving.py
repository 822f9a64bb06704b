"""What serving is told of a model."""

import numpy as np

from feature_repo.model_contract import FEATURE_SERVICE, MODEL_NAME
from feature_repo.settings import Settings
from flows.training.recipe import Recipe
from flows.training.serving import served_model, typical_customer
from tests.flows.training.made_up import monthly, training_set

RECIPE = Recipe(
    family="logistic", params={}, calibration="none", seed=0, threshold=0.42, folds=(), development=(), test=(),
    digests={},
)  # fmt: skip
NONE = np.nan


class TestTypicalCustomer:
    def test_it_has_the_median_of_what_most_have(self) -> None:
        data = training_set(
            [True] * 4, range(4), monthly(1) * 4,
            days=[1, 2, 4, 100], gap=[9, 5, 7, NONE], half=[1, 2, NONE, NONE], nowhere=[NONE] * 4, even=[1, 1, 2, 2],
        )  # fmt: skip
        assert typical_customer(data) == [3.0, 7.0, None, None, 1.5]

    def test_it_is_of_the_latest_cutoff(self) -> None:
        january, february = monthly(2)
        data = training_set([True] * 4, range(4), [february, january, january, february], days=[1, 50, 60, 3])
        assert typical_customer(data) == [2.0]


def test_the_contract_is_that_of_the_recipe_and_its_data() -> None:
    data = training_set([True] * 2, range(2), monthly(1) * 2, second=[1, 2], first=[NONE] * 2)
    served = served_model(Settings(horizon_days=60, activity_days=120), RECIPE, data, {"labels": "a"})
    assert (served.inputs, served.reference) == (["second", "first"], [1.5, None])
    assert (served.threshold, served.horizon_days, served.activity_days) == (0.42, 60, 120)
    assert (served.model_name, served.feature_service) == (MODEL_NAME, FEATURE_SERVICE)
    assert served.fingerprint == {"labels": "a"}
