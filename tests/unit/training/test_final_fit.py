"""Fit of the model that ships."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit

from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import ServedFit
from holdfast.training.final_fit import refit_after_test
from holdfast.training.fitting import fit_model, fit_recipe, predict_churn
from holdfast.training.recipe import Recipe
from holdfast.training.settings import TrainingSettings
from tests.support.recipes import synthetic_recipe

TRAINING = TrainingSettings(resamples=100)


class TestRefitAfterTest:
    def _refit(self, **settings: Any) -> tuple[TrainingSet, Recipe, Any, tuple[Recipe, Any, ServedFit]]:
        data, recipe = synthetic_recipe(0.0, "logistic")
        tested = fit_recipe(recipe, data)
        return data, recipe, tested, refit_after_test(recipe, tested, data, TRAINING.model_copy(update=settings))

    def test_refit_after_test_ships_same_recipe_fitted_on_all_cutoffs(self) -> None:
        data, recipe, tested, (shipped, model, served) = self._refit()
        cutoffs = tuple(data.keys["cutoff"].drop_duplicates())
        assert len(cutoffs) > len(recipe.development) + len(recipe.test), "there is no embargo"
        assert shipped.refit == shipped.shipped == tuple(served.cutoffs) == cutoffs
        assert shipped.model_copy(update={"refit": (), "digests": recipe.digests}) == recipe
        assert shipped.digests["refit"] == data.digests()
        everything = fit_model(recipe.family, recipe.params, data, recipe.seed)
        assert (predict_churn(model, data.x) == predict_churn(everything, data.x)).all()
        test = data.at_cutoffs(recipe.test)
        before, after = predict_churn(tested, test.x), predict_churn(model, test.x)
        offset = brentq(lambda offset: expit(logit(after) + offset).mean() - before.mean(), -5, 5)
        change = np.abs(expit(logit(after) + offset) - before).mean()
        assert (served.refitted, served.limit) == (True, TRAINING.max_refit_change)
        assert served.change == pytest.approx(change, abs=1e-8)
        assert f"the level moves by {after.mean() - before.mean():+.4f}" in served.reason
        assert f"Tested: fit to {recipe.development[-1]:%Y-%m-%d}; served: refitted to {cutoffs[-1]:%Y-%m-%d}" in (
            served.reason
        )

    def test_refit_after_test_change_beyond_limit_tested_model_ships(self) -> None:
        _, recipe, tested, (shipped, model, served) = self._refit(max_refit_change=1e-6)
        assert (shipped, model) == (recipe, tested)
        assert served.change is not None
        assert (served.refitted, served.limit, served.cutoffs) == (False, 1e-6, list(recipe.development))
        assert served.change > 1e-6
        assert served.reason.endswith("at most 1e-06 is allowed: the tested model ships.")

    def test_refit_after_test_level_moved_far_refitted_model_ships(self) -> None:
        """Churn that rises in the test is what the refit is for; it changes the other probabilities little."""
        data, recipe = synthetic_recipe(0.0, "logistic")
        late = (data.keys["cutoff"] > recipe.development[-1]).to_numpy()
        data = replace(data, y=data.y | (late & (np.random.default_rng(0).random(len(data.y)) < 0.7)))
        tested = fit_recipe(recipe, data)
        _, model, served = refit_after_test(recipe, tested, data, TRAINING)
        test = data.at_cutoffs(recipe.test)
        moved = predict_churn(model, test.x).mean() - predict_churn(tested, test.x).mean()
        assert moved > 0.1 > TRAINING.max_refit_change
        assert served.refitted
        assert served.change is not None and served.change <= TRAINING.max_refit_change
        assert f"the level moves by {moved:+.4f}" in served.reason

    def test_refit_after_test_order_of_customers_reversed_tested_model_ships(self) -> None:
        data, recipe = synthetic_recipe(0.0, "logistic")
        late = (data.keys["cutoff"] > recipe.development[-1]).to_numpy()
        data = replace(data, y=np.where(late, data.x[:, 0] < 0, data.y))
        tested = fit_recipe(recipe, data)
        shipped, model, served = refit_after_test(recipe, tested, data, TRAINING)
        assert (shipped, model, served.refitted) == (recipe, tested, False)
        assert served.change is not None and served.change > TRAINING.max_refit_change == 0.05

    def test_refit_after_test_switched_off_tested_model_ships(self) -> None:
        _, recipe, tested, (shipped, model, served) = self._refit(refit=False)
        assert (shipped, model) == (recipe, tested)
        assert (served.refitted, served.change, served.limit) == (False, None, None)

    def test_refit_after_test_calibrated_recipe_level_of_all_rows(self) -> None:
        data, recipe = synthetic_recipe(0.0, "boosting")
        recipe = recipe.model_copy(update={"calibration": "sigmoid"})
        _, model, _ = refit_after_test(recipe, fit_recipe(recipe, data), data, TRAINING)
        assert predict_churn(model, data.x).mean() == pytest.approx(data.y.mean(), abs=1e-6)
