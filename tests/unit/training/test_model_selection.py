"""Selection of the family: significant gains on the folds only, otherwise the simpler family."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from holdfast.training import model_selection
from holdfast.training.bootstrap import CustomerBootstrap
from holdfast.training.calibration import FoldScores
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import Interval
from holdfast.training.fitting import score_out_of_fold
from holdfast.training.hyperparameter_search import SearchTrial
from holdfast.training.model_families import FAMILIES
from holdfast.training.model_selection import ModelChoice, SingleClassError, choose_model, drop_single_class_folds
from holdfast.training.profit import optimal_threshold
from holdfast.training.recipe import FoldCutoffs, Recipe
from holdfast.training.settings import TrainingSettings, ValueSettings
from holdfast.training.time_split import TimeSplit, split_by_time
from tests.support.training_sets import default_split, synthetic_training_set

TRAINING = TrainingSettings(resamples=200)
CUSTOMERS = 200


def _trial(family: str) -> SearchTrial:
    params = FAMILIES[family].defaults if family in FAMILIES else {}
    return SearchTrial(family, 0, params, [], 0.5, 0.0)


BEST = [_trial("logistic"), _trial("boosting")]


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    """Return 200 customers at 16 cut-offs with a linear relation."""
    return synthetic_training_set(customers=CUSTOMERS, months=16)


@pytest.fixture(scope="module")
def split(data: TrainingSet) -> TimeSplit:
    return default_split(data)


SetScores = Callable[..., None]


@pytest.fixture
def set_scores(monkeypatch: pytest.MonkeyPatch) -> SetScores:
    """Replace out-of-fold scores: ``signals`` times the outcome per family, plus noise that all families share."""

    def set_scores(**signals: float) -> None:
        def fake_scores(
            family: str, params: dict[str, Any], data: TrainingSet, folds: Sequence[FoldCutoffs], seed: int
        ) -> list[FoldScores]:
            scores = []
            for number, fold in enumerate(folds):
                rows = data.at_cutoffs([fold.validation])
                noise = np.random.default_rng(number).normal(size=len(rows.y))
                scores.append(FoldScores(rows, signals[family] * (rows.y - 0.5) + noise))
            return scores

        monkeypatch.setattr(model_selection, "score_out_of_fold", fake_scores)

    return set_scores


def _choose(
    best: list[SearchTrial], data: TrainingSet, split: TimeSplit, training: TrainingSettings = TRAINING
) -> ModelChoice:
    return choose_model(best, data, split, training, 90)


class TestChooseModel:
    """Choice with real models."""

    def test_choose_model_linear_data_chooses_logistic(self, data: TrainingSet, split: TimeSplit) -> None:
        found = _choose(BEST, data, split)
        assert (found.recipe.family, found.recipe.params) == ("logistic", {"C": 0.01})
        assert found.simplest is None
        assert found.reason.startswith("boosting learning_rate=0.1 ")
        assert " does not beat logistic C=0.01 on 5 folds (ROC-AUC " in found.reason
        assert found.reason.endswith(": the simpler model ships.")

    def test_choose_model_nonlinear_data_chooses_boosting(self) -> None:
        data = synthetic_training_set(customers=CUSTOMERS, months=16, curvature=3.0)
        found = _choose(BEST, data, default_split(data))
        assert (found.recipe.family, found.recipe.params) == ("boosting", FAMILIES["boosting"].defaults)
        assert found.simplest == BEST[0]
        assert " beats logistic C=0.01 on 5 folds (ROC-AUC +0." in found.reason
        assert "ships" not in found.reason

    def test_choose_model_same_inputs_same_choice(self, data: TrainingSet, split: TimeSplit) -> None:
        assert _choose(BEST, data, split) == _choose(BEST, data, split)


class TestSignificance:
    """Choice with synthetic scores."""

    def test_choose_model_significantly_better_rival_chosen(
        self, data: TrainingSet, split: TimeSplit, set_scores: SetScores
    ) -> None:
        set_scores(logistic=1.0, boosting=1.5)
        found = _choose(BEST, data, split)
        assert found.recipe.family == "boosting"
        assert found.simplest == BEST[0]

    def test_choose_model_rival_within_interval_not_chosen(
        self, data: TrainingSet, split: TimeSplit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fake_scores(family: str, params: Any, data: TrainingSet, folds: Any, seed: int) -> list[FoldScores]:
            scores = []
            for number, fold in enumerate(folds):
                rows, rng = data.at_cutoffs([fold.validation]), np.random.default_rng([number, family == "boosting"])
                scores.append(FoldScores(rows, 1.02 * rows.y + rng.normal(size=len(rows.y))))
            return scores

        monkeypatch.setattr(model_selection, "score_out_of_fold", fake_scores)
        scored = [fake_scores(trial.family, {}, data, split.folds, 0) for trial in BEST]
        better, worse = sorted(scored, key=_mean_roc_auc, reverse=True)
        monkeypatch.setattr(
            model_selection, "score_out_of_fold", lambda family, *_: {"logistic": worse, "boosting": better}[family]
        )
        found = _choose(BEST, data, split)
        assert _mean_roc_auc(better) > _mean_roc_auc(worse)
        assert found.recipe.family == "logistic"
        assert f"(ROC-AUC {_mean_roc_auc(better) - _mean_roc_auc(worse):+.4f}, 95% interval -0." in found.reason

    def test_choose_model_equal_rival_not_chosen(
        self, data: TrainingSet, split: TimeSplit, set_scores: SetScores
    ) -> None:
        set_scores(logistic=1.0, boosting=1.0)
        found = _choose(BEST, data, split)
        assert found.recipe.family == "logistic"
        assert "(ROC-AUC +0.0000, 95% interval +0.0000 to +0.0000)" in found.reason

    def test_choose_model_worse_rival_not_chosen(
        self, data: TrainingSet, split: TimeSplit, set_scores: SetScores
    ) -> None:
        set_scores(logistic=1.5, boosting=1.0)
        assert _choose(BEST, data, split).recipe.family == "logistic"

    @pytest.mark.parametrize(
        ("second", "third", "chosen"),
        [(1.5, 2.0, "third"), (1.5, 1.4, "second"), (0.5, 1.5, "third"), (0.5, 0.9, "logistic")],
    )
    def test_choose_model_three_families_each_compared_with_best_so_far(
        self, data: TrainingSet, split: TimeSplit, set_scores: SetScores, second: float, third: float, chosen: str
    ) -> None:
        """The chosen model is compared with the simplest family."""
        set_scores(logistic=1.0, second=second, third=third)
        found = _choose([_trial("logistic"), _trial("second"), _trial("third")], data, split)
        assert found.recipe.family == chosen
        assert found.reason.count("(ROC-AUC ") == 2
        assert found.simplest == (None if chosen == "logistic" else _trial("logistic"))


def _mean_roc_auc(folds: Sequence[FoldScores]) -> float:
    return float(np.mean([roc_auc_score(fold.validation.y, fold.log_odds) for fold in folds]))


class TestMeanDifference:
    def _scored(self, data: TrainingSet, split: TimeSplit) -> list[list[FoldScores]]:
        return [score_out_of_fold("logistic", {"C": c}, data, split.folds, 0) for c in (1.0, 0.001)]

    def test_mean_roc_auc_difference_unequal_folds_mean_over_folds(self, data: TrainingSet, split: TimeSplit) -> None:
        """Folds with different base rates or scales must not be pooled."""
        left, right = self._scored(data, split)
        shifted = [FoldScores(fold.validation, fold.log_odds + 10 * n) for n, fold in enumerate(left)]
        found = model_selection._mean_roc_auc_difference(left, right, TRAINING)
        assert found.value == pytest.approx(_mean_roc_auc(left) - _mean_roc_auc(right))
        assert found.low <= found.value <= found.high
        assert model_selection._mean_roc_auc_difference(shifted, right, TRAINING) == found

    def test_mean_roc_auc_difference_interval_resamples_whole_customers(
        self, data: TrainingSet, split: TimeSplit
    ) -> None:
        left, right = (folds[:3] for folds in self._scored(data, split))
        customers = np.concatenate([fold.validation.keys["customer_id"] for fold in left])
        weights = CustomerBootstrap(customers, 50, TRAINING.seed).weights.reshape(50, 3, CUSTOMERS)
        draws = [
            np.mean([self._difference(*pair, drawn[n]) for n, pair in enumerate(zip(left, right, strict=True))])
            for drawn in weights
        ]
        found = model_selection._mean_roc_auc_difference(left, right, TrainingSettings(resamples=50))
        assert (found.low, found.high) == pytest.approx(tuple(np.percentile(draws, [2.5, 97.5])))

    def _difference(self, left: FoldScores, right: FoldScores, weights: Any) -> float:
        model_auc, other_auc = (
            roc_auc_score(fold.validation.y, fold.log_odds, sample_weight=weights) for fold in (left, right)
        )
        return float(model_auc - other_auc)

    def test_mean_roc_auc_difference_same_ranking_zero(self, data: TrainingSet, split: TimeSplit) -> None:
        left = self._scored(data, split)[0]
        right = [FoldScores(fold.validation, 3 * fold.log_odds - 1) for fold in left]
        assert model_selection._mean_roc_auc_difference(left, right, TRAINING) == Interval(value=0, low=0, high=0)

    def test_mean_roc_auc_difference_copied_folds_same_interval(self, data: TrainingSet, split: TimeSplit) -> None:
        """Five copies of a fold contain no more information than one."""
        left, right = self._scored(data, split)
        once = model_selection._mean_roc_auc_difference(left[:1], right[:1], TRAINING)
        five = model_selection._mean_roc_auc_difference(left[:1] * 5, right[:1] * 5, TRAINING)
        assert (five.value, five.low, five.high) == pytest.approx((once.value, once.low, once.high))


class TestRecipe:
    def test_choose_model_recipe_contains_choice_and_data_digests(self, data: TrainingSet, split: TimeSplit) -> None:
        training = TrainingSettings(resamples=100, seed=7, value=ValueSettings(kept_customer=50))
        found = _choose(BEST, data, split, training).recipe
        assert (found.seed, found.threshold) == (7, optimal_threshold(training.value))
        assert (found.folds, found.development, found.test) == (split.folds, split.development, split.test)
        assert found.digests == {
            "development": data.at_cutoffs(split.development).digests(),
            "test": data.at_cutoffs(split.test).digests(),
        }
        assert Recipe.model_validate_json(found.model_dump_json()) == found

    def test_choose_model_recipe_contains_calibration_of_chosen_family(
        self, data: TrainingSet, split: TimeSplit, set_scores: SetScores
    ) -> None:
        set_scores(logistic=0.5, boosting=3.0)  # with noise of 1 the odds are the synthetic ones to the power of 3
        found = _choose(BEST, data, split)
        assert found.recipe.family == "boosting"
        assert found.recipe.calibration == found.calibration.method == "sigmoid"

    def test_choose_model_changed_test_outcomes_same_recipe(self, data: TrainingSet, split: TimeSplit) -> None:
        test = data.keys["cutoff"].isin(split.test).to_numpy()
        blind = TrainingSet(data.keys, data.x, np.where(test, ~data.y, data.y), data.inputs)
        found, other = _choose(BEST, data, split), _choose(BEST, blind, split)
        assert found.recipe.digests["test"]["labels"] != other.recipe.digests["test"]["labels"]
        digests = {"digests": found.recipe.digests}
        assert other.recipe.model_copy(update=digests) == found.recipe
        assert (other.reason, other.simplest, other.calibration) == (found.reason, found.simplest, found.calibration)

    def test_choose_model_without_folds_chooses_simplest_family_with_defaults(self, data: TrainingSet) -> None:
        cutoffs = sorted(cutoff.to_pydatetime() for cutoff in data.keys["cutoff"].unique())[:6]
        split = split_by_time(cutoffs, 90, 4, 5, 2)
        assert not split.folds
        found = _choose([], data, split)
        assert (found.recipe.family, found.recipe.params) == ("logistic", FAMILIES["logistic"].defaults)
        assert found.recipe.calibration == "none"
        assert found.simplest is None
        assert found.reason.startswith("Too little history to compare candidates: the simplest family ")
        assert found.calibration.reason.startswith("Too little history to compare calibrations")


class TestDropSingleClassFolds:
    def test_drop_single_class_folds_single_class_fold_dropped(self, data: TrainingSet, split: TimeSplit) -> None:
        assert drop_single_class_folds(split, data) == split
        validation = split.folds[1].validation
        all_churned = np.where((data.keys["cutoff"] == validation).to_numpy(), True, data.y)
        folds = drop_single_class_folds(split, TrainingSet(data.keys, data.x, all_churned, data.inputs)).folds
        assert folds == (split.folds[0], *split.folds[2:])

    @pytest.mark.parametrize("period", ["development", "test"])
    def test_drop_single_class_folds_single_class_period_raises(
        self, data: TrainingSet, split: TimeSplit, period: str
    ) -> None:
        no_churn = np.where(data.keys["cutoff"].isin(getattr(split, period)).to_numpy(), False, data.y)
        with pytest.raises(SingleClassError, match=rf"{period} rows .* 0 churned: a model needs both outcomes"):
            drop_single_class_folds(split, TrainingSet(data.keys, data.x, no_churn, data.inputs))
