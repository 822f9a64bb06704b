"""Stability of a model under refits."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from holdfast.training.dataset import PurchaseHistory, TrainingSet
from holdfast.training.evaluation import (
    _REFITS,
    _measure_instability,
    _resample,
)
from holdfast.training.evaluation_report import ServedFit
from holdfast.training.fitting import fit_model
from holdfast.training.model_families import FAMILIES
from holdfast.training.settings import TrainingSettings
from tests.support.recipes import make_recipe
from tests.support.training_sets import month_starts, synthetic_training_set

TRAINING = TrainingSettings(resamples=100)
SHIPPED = ServedFit(cutoffs=month_starts(3), refitted=False, change=None, limit=None, reason="The tested model ships.")


class TestInstability:
    def _of(self, development: TrainingSet, family: str = "logistic", seed: int = 0) -> Any:
        test = synthetic_training_set(customers=40, months=1, seed=9)
        recipe = make_recipe((), (), family)
        model = fit_model(family, recipe.params, development, recipe.seed)
        return _measure_instability(model, recipe, development, test, seed)

    @pytest.mark.parametrize("family", [name for name, item in FAMILIES.items() if not item.uses_history])
    def test_measure_instability_single_customer_zero(self, family: str) -> None:
        """With one customer every resample is the sample."""
        data = synthetic_training_set(customers=50, months=1)
        alone = replace(data, keys=data.keys.assign(customer_id="alone"))
        found = self._of(alone, family)
        assert (found.value, found.low, found.high) == (0, 0, 0)

    def test_measure_instability_fewer_customers_higher(self) -> None:
        few, many = (self._of(synthetic_training_set(customers=n, months=3)) for n in (15, 400))
        assert few.value > 2 * many.value > 0

    def test_measure_instability_repeated_rows_not_lower(self) -> None:
        data = synthetic_training_set(customers=40, months=1)
        rows = np.tile(np.arange(40), 5)
        once, copies = self._of(data), self._of(data.take(rows))
        assert copies.value > once.value / 2

    def test_measure_instability_other_seed_differs(self) -> None:
        data = synthetic_training_set(customers=40, months=2)
        assert self._of(data) == self._of(data)
        assert self._of(data, seed=1) != self._of(data)


def test_resample_draws_whole_customers_of_history() -> None:
    ages = np.arange(50.0)
    drawn = _resample(PurchaseHistory(ages + 100, ages + 200, ages), np.random.default_rng(0))
    assert len(drawn.age) == 50
    assert 20 < len(set(drawn.age)) < 45
    assert (drawn.repeats == drawn.age + 100).all()
    assert (drawn.last == drawn.age + 200).all()
    empty = PurchaseHistory(*(np.empty(0) for _ in range(3)))
    assert len(_resample(empty, np.random.default_rng(0)).age) == 0


def test_refits_are_the_fewest_whose_range_is_a_95_percent_interval_of_the_median() -> None:
    def confidence(refits: int) -> float:
        return 1 - 2 * 0.5**refits

    assert confidence(_REFITS) >= 0.95 > confidence(_REFITS - 1)
