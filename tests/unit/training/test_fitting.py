"""Fitting of models: reproducible, additive, and independent of the rows they are evaluated on."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import skops.io
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads

from holdfast.models.calibrated_classifier import CalibratedModel
from holdfast.models.contract import TRUSTED_TYPES
from holdfast.models.contributions import NotAdditiveError, compute_contributions
from holdfast.training.calibration import CALIBRATION_METHODS, FoldScores, fit_calibrator
from holdfast.training.contract_builder import typical_inputs
from holdfast.training.dataset import PurchaseHistory, TrainingSet
from holdfast.training.fitting import PreparedFold, fit_model, fit_recipe, predict_churn, score_out_of_fold
from holdfast.training.metrics import level_offset
from holdfast.training.model_families import FAMILIES
from holdfast.training.recipe import Recipe
from holdfast.training.time_split import TimeSplit
from tests.support.shop_fixtures import Dataset
from tests.support.training_sets import default_split, shop_training_set

KINDS = list(itertools.product(FAMILIES, CALIBRATION_METHODS))


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return shop_training_set(customers=80, months=15)


@pytest.fixture(scope="module")
def split(data: TrainingSet) -> TimeSplit:
    return default_split(data)


def _recipe(split: TimeSplit, family: str, calibration: Any = "none", seed: int = 0) -> Recipe:
    return Recipe(
        family=family,
        params=FAMILIES[family].defaults | ({"min_samples_leaf": 20} if family == "boosting" else {}),
        calibration=calibration,
        seed=seed,
        threshold=0.5,
        folds=split.folds,
        development=split.development,
        test=split.test,
        digests={},
    )


def _changed(data: TrainingSet, rows: np.ndarray) -> TrainingSet:
    """Change inputs and outcomes of some rows, and the histories at their cut-offs."""
    x, y = data.x.copy(), data.y.copy()
    x[rows] = 7.0
    y[rows] = ~y[rows]
    changed = {
        cutoff: PurchaseHistory(history.repeats + 1, history.age / 2, history.age)
        for cutoff, history in data.histories.items()
        if cutoff in set(data.keys["cutoff"][rows])
    }
    return replace(data, x=x, y=y, histories={**data.histories, **changed})


class TestFitRecipe:
    @pytest.mark.parametrize(("family", "calibration"), KINDS)
    def test_fit_recipe_same_recipe_same_scores_bit_for_bit(
        self, data: TrainingSet, split: TimeSplit, family: str, calibration: Any
    ) -> None:
        recipe = _recipe(split, family, calibration)
        model = fit_recipe(recipe, data)
        again = fit_recipe(Recipe.model_validate_json(recipe.model_dump_json()), data)
        assert model is not again
        assert predict_churn(model, data.x).tobytes() == predict_churn(again, data.x).tobytes()
        assert model.predict_proba(data.x).sum(axis=1) == pytest.approx(np.ones(len(data.y)))

    @pytest.mark.parametrize(("family", "calibration"), KINDS)
    def test_fit_recipe_saved_model_loads_with_trusted_types(
        self, data: TrainingSet, split: TimeSplit, family: str, calibration: Any
    ) -> None:
        model = fit_recipe(_recipe(split, family, calibration), data)
        saved = skops.io.dumps(model)
        assert set(skops.io.get_untrusted_types(data=saved)) <= set(TRUSTED_TYPES)
        loaded = skops.io.loads(saved, trusted=TRUSTED_TYPES)
        assert predict_churn(loaded, data.x).tobytes() == predict_churn(model, data.x).tobytes()

    @pytest.mark.parametrize("family", FAMILIES)
    def test_fit_recipe_changed_test_rows_same_model(self, data: TrainingSet, split: TimeSplit, family: str) -> None:
        test = data.keys["cutoff"].isin(split.test).to_numpy()
        recipe = _recipe(split, family, "isotonic")
        model, blind = fit_recipe(recipe, data), fit_recipe(recipe, _changed(data, test))
        assert predict_churn(model, data.x).tobytes() == predict_churn(blind, data.x).tobytes()

    @pytest.mark.parametrize("family", FAMILIES)
    def test_fit_recipe_changed_development_rows_other_model(
        self, data: TrainingSet, split: TimeSplit, family: str
    ) -> None:
        last = (data.keys["cutoff"] == split.development[-1]).to_numpy()
        recipe = _recipe(split, family)
        model, other = fit_recipe(recipe, data), fit_recipe(recipe, _changed(data, last))
        assert predict_churn(model, data.x).tobytes() != predict_churn(other, data.x).tobytes()

    @pytest.mark.parametrize("family", FAMILIES)
    def test_fit_recipe_sigmoid_shape_of_out_of_fold_scores_level_of_fitted_rows(
        self, data: TrainingSet, split: TimeSplit, family: str
    ) -> None:
        recipe = _recipe(split, family, "sigmoid")
        model = fit_recipe(recipe, data)
        assert isinstance(model, CalibratedModel)
        folds = score_out_of_fold(family, recipe.params, data, split.folds, 0)
        log_odds = np.concatenate([fold.level_free for fold in folds])
        churned = np.concatenate([fold.validation.y for fold in folds])
        slope = fit_calibrator("sigmoid", log_odds, churned).coef_[0, 0]
        plain = fit_recipe(_recipe(split, family), data).decision_function(data.x)
        fitted = data.keys["cutoff"].isin(split.development).to_numpy()
        expected = expit(slope * plain + level_offset(data.y[fitted], slope * plain[fitted]))
        assert predict_churn(model, data.x) == pytest.approx(expected)
        assert model.decision_function(data.x).tobytes() == plain.tobytes()

    @pytest.mark.parametrize("family", FAMILIES)
    def test_fit_recipe_other_cutoffs_fitted_on_their_rows(
        self, data: TrainingSet, split: TimeSplit, family: str
    ) -> None:
        recipe, cutoffs = _recipe(split, family), split.cutoffs
        model = fit_recipe(recipe, data, cutoffs)
        expected = fit_model(family, recipe.params, data.at_cutoffs(cutoffs), 0)
        assert predict_churn(model, data.x).tobytes() == predict_churn(expected, data.x).tobytes()
        tested = fit_recipe(recipe, data)
        assert predict_churn(model, data.x).tobytes() != predict_churn(tested, data.x).tobytes()


class TestAdditivity:
    @pytest.mark.parametrize("calibration", ["none", "isotonic"])
    @pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if not family.uses_history])
    def test_fit_recipe_additive_family_log_odds_are_sum_of_single_changes(
        self, dataset: Dataset, family: str, calibration: str
    ) -> None:
        """Check on the shop, from the typical customer, including nulls; up to rounding."""
        model = fit_recipe(_recipe(dataset.split, family, calibration), dataset.data)
        test = dataset.data.at_cutoffs(dataset.split.test[:1])
        assert np.isnan(test.x).any()
        latest = dataset.data.at_cutoffs(dataset.split.development[-1:])
        reference = np.array(typical_inputs(latest.x), dtype=np.float64)
        base = model.decision_function(reference[np.newaxis])[0]
        total = np.full(len(test.y), base)
        for column in range(test.x.shape[1]):
            one = np.tile(reference, (len(test.y), 1))
            one[:, column] = test.x[:, column]
            total += model.decision_function(one) - base
        log_odds = model.decision_function(test.x)
        assert np.abs(total - log_odds).max() < 1e-9
        assert np.std(log_odds) > 0.1

    def test_compute_contributions_boosting_with_interactions_raises(self) -> None:
        """The check of additivity finds interactions, so such a model would not be served."""
        rng = np.random.default_rng(0)
        x = rng.normal(size=(500, 2))
        model = HistGradientBoostingClassifier(max_iter=20).fit(x, x[:, 0] * x[:, 1] > 0)
        with pytest.raises(NotAdditiveError):
            compute_contributions(model.decision_function, x, [0.0, 0.0])


class TestFolds:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_prepared_fold_score_equals_plain_fit(self, data: TrainingSet, split: TimeSplit, family: str) -> None:
        fold, params = split.folds[0], FAMILIES[family].defaults
        found = PreparedFold(FAMILIES[family], data, fold, 0).score(params)
        validation = data.at_cutoffs([fold.validation])
        plain = fit_model(family, params, data.at_cutoffs(fold.fit), 0)
        assert found.log_odds.tobytes() == plain.decision_function(validation.x).tobytes()
        assert found.validation.digests() == validation.digests()

    @pytest.mark.parametrize("family", FAMILIES)
    def test_prepared_fold_changed_validation_rows_same_fit(
        self, data: TrainingSet, split: TimeSplit, family: str
    ) -> None:
        """Validation rows do not affect the transformers: the other rows get the same scores."""
        fold = split.folds[-1]
        rows = np.flatnonzero((data.keys["cutoff"] == fold.validation).to_numpy())
        found, other = (
            PreparedFold(FAMILIES[family], each, fold, 0).score(FAMILIES[family].defaults).log_odds
            for each in (data, _changed(data, rows[:40]))
        )
        assert found[40:].tobytes() == other[40:].tobytes()
        assert found[:40].tobytes() != other[:40].tobytes()

    def test_prepared_fold_repeated_score_equal(self, data: TrainingSet, split: TimeSplit) -> None:
        fold = PreparedFold(FAMILIES["logistic"], data, split.folds[0], 0)
        first = fold.score({"C": 0.01}).log_odds
        assert fold.score({"C": 5.0}).log_odds.tobytes() != first.tobytes()
        assert fold.score({"C": 0.01}).log_odds.tobytes() == first.tobytes()

    def test_score_out_of_fold_several_folds_in_order(self, data: TrainingSet, split: TimeSplit) -> None:
        found = score_out_of_fold("logistic", {"C": 0.1}, data, split.folds, 0)
        assert [fold.validation.keys["cutoff"].iloc[0] for fold in found] == [fold.validation for fold in split.folds]
        assert all(isinstance(fold, FoldScores) and len(fold.log_odds) == len(fold.validation.y) for fold in found)

    def test_fit_model_boosting_uses_one_thread(
        self, data: TrainingSet, split: TimeSplit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limits = []

        class Watched(HistGradientBoostingClassifier):
            def fit(self, *arguments: Any) -> Any:
                limits.append(_openmp_effective_n_threads())
                return super().fit(*arguments)

        monkeypatch.setattr("holdfast.training.model_families.HistGradientBoostingClassifier", Watched)
        params = FAMILIES["boosting"].defaults | {"max_iter": 1}
        fit_model("boosting", params, data, 0)
        score_out_of_fold("boosting", params, data, split.folds, 0)
        assert limits == [1] * (1 + len(split.folds))
