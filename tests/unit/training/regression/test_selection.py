"""Families, choice on the folds and evaluation of a regression on simulated shops."""

from dataclasses import replace

import numpy as np
import pytest
import skops.io

from holdfast.models.contract import TRUSTED_TYPES
from holdfast.training.dataset import TrainingSet
from holdfast.training.model_families import UnknownFamilyError
from holdfast.training.regression.evaluation import evaluate_regression
from holdfast.training.regression.families import (
    BASELINE_LABELS,
    REGRESSION_FAMILIES,
    list_regression_families,
    predict_baselines,
)
from holdfast.training.regression.selection import choose_regression
from holdfast.training.settings import TrainingSettings
from tests.support.spend_sets import spend, spend_training_set
from tests.support.training_sets import default_split

TRAINING = TrainingSettings(resamples=60)


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return spend_training_set(250, 14)


class TestFamilies:
    @pytest.mark.parametrize("name", REGRESSION_FAMILIES)
    def test_fit_predicts_positive_spend_that_ranks_customers(self, data: TrainingSet, name: str) -> None:
        split = default_split(data)
        development, test = data.at_cutoffs(split.development), data.at_cutoffs(split.test)
        family = REGRESSION_FAMILIES[name]
        predicted = family.fit(family.grid[0], development, 0).predict(test.x)
        assert (predicted > 0).all()
        assert np.corrcoef(predicted, spend(test))[0, 1] > 0.3
        assert predicted.mean() == pytest.approx(spend(test).mean(), rel=0.5)

    @pytest.mark.parametrize("name", REGRESSION_FAMILIES)
    def test_fit_twice_and_from_the_file_gives_the_same_bits(self, data: TrainingSet, name: str) -> None:
        family, rows = REGRESSION_FAMILIES[name], data.at_cutoffs(default_split(data).development)
        models = [family.fit(family.grid[0], rows, 0) for _ in range(2)]
        models.append(skops.io.loads(skops.io.dumps(models[0]), trusted=TRUSTED_TYPES))
        assert len({model.predict(data.x).tobytes() for model in models}) == 1

    def test_list_families_without_the_inputs_of_a_purchase_model_leaves_it_out(self, data: TrainingSet) -> None:
        names = [family.name for family in list_regression_families(data, None)]
        assert names == ["bg_nbd_gamma_gamma", "tweedie", "boosting"]
        fewer = replace(data, x=data.x[:, :-1], inputs=data.inputs[:-1])
        assert [family.name for family in list_regression_families(fewer, None)] == names[1:]
        assert set(predict_baselines(fewer, fewer, 0)) == {"mean"}
        with pytest.raises(UnknownFamilyError, match="no model family 'logistic' of a regression"):
            list_regression_families(data, ["logistic"])

    def test_predict_baselines_have_the_total_of_the_fitted_rows(self, data: TrainingSet) -> None:
        found = predict_baselines(data, data, 0)
        assert set(found) == set(BASELINE_LABELS)
        for predicted in found.values():
            assert predicted.sum() == pytest.approx(spend(data).sum(), rel=1e-6)


class TestChoice:
    def test_choose_regression_no_other_family_is_significantly_better(self, data: TrainingSet) -> None:
        choice = choose_regression(data, default_split(data), TRAINING)
        assert len(choice.fold_deviance) == sum(len(family.grid) for family in REGRESSION_FAMILIES.values())
        assert set(choice.gains) == set(REGRESSION_FAMILIES) - {choice.family.name}
        assert all(gain.high >= 0 for gain in choice.gains.values())
        assert choice.over_mean is not None
        assert choice.over_mean.low > 0

    def test_choose_regression_uses_only_closed_horizons(self, data: TrainingSet) -> None:
        """Outcomes at and after a validation cut-off do not change the models of its fold."""
        split = default_split(data)
        fold = split.folds[0]
        later = ~data.keys["cutoff"].isin(list(fold.fit)).to_numpy()
        poisoned = replace(data, target=np.where(later, spend(data) * 1000, spend(data)))
        family = REGRESSION_FAMILIES["tweedie"]
        models = [family.fit(family.grid[0], each.at_cutoffs(fold.fit), 0) for each in (data, poisoned)]
        assert models[0].predict(data.x).tobytes() == models[1].predict(data.x).tobytes()

    def test_choose_regression_without_folds_takes_the_simplest(self, data: TrainingSet) -> None:
        choice = choose_regression(data, replace(default_split(data), folds=()), TRAINING)
        assert (choice.family.name, choice.fold_deviance, choice.over_mean) == ("bg_nbd_gamma_gamma", {}, None)

    def test_evaluation_of_scaled_currency_differs_by_the_scale_only(self) -> None:
        found = []
        for scale in (1.0, 100.0):
            data = spend_training_set(120, 12, scale=scale)
            split = default_split(data)
            development, test = data.at_cutoffs(split.development), data.at_cutoffs(split.test)
            choice = choose_regression(data, split, TRAINING.model_copy(update={"candidates": ["bg_nbd_gamma_gamma"]}))
            predictions = {"model": choice.family.fit({}, development, 0).predict(test.x)}
            predictions |= predict_baselines(development, test, 0)
            found.append(evaluate_regression(predictions, development, test, choice, TRAINING))
        small, large = found
        assert small.metrics["model"]["spearman"].value == pytest.approx(large.metrics["model"]["spearman"].value)
        assert small.metrics["model"]["total"].value == pytest.approx(large.metrics["model"]["total"].value, rel=1e-3)
        assert large.metrics["model"]["mae"].value == pytest.approx(100 * small.metrics["model"]["mae"].value, rel=1e-3)
        assert small.gains["mean"].low > 0
        assert sum(month.rows for month in small.months) == small.rows
