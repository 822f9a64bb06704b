"""Selection of the family: the simplest within one standard error of the best on the folds."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from holdfast.core.types import Floats
from holdfast.training import model_selection
from holdfast.training.bootstrap import CustomerBootstrap, mean_draws
from holdfast.training.calibration import FoldScores
from holdfast.training.dataset import TrainingSet
from holdfast.training.fitting import score_out_of_fold
from holdfast.training.hyperparameter_search import SearchTrial, default_trial
from holdfast.training.metrics import level_free_log_loss
from holdfast.training.model_families import FAMILIES
from holdfast.training.model_selection import ModelChoice, choose_model, drop_single_class_folds
from holdfast.training.profit import optimal_threshold
from holdfast.training.recipe import FoldCutoffs, Recipe
from holdfast.training.settings import TrainingSettings, ValueSettings
from holdfast.training.time_split import SingleClassError, TimeSplit, split_by_time
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
        assert (found.trial, found.rivals) == (BEST[0], (BEST[1],))
        assert " has the lowest log loss on 5 folds" in found.reason

    def test_choose_model_nonlinear_data_chooses_boosting(self) -> None:
        data = synthetic_training_set(customers=CUSTOMERS, months=16, curvature=3.0)
        found = _choose(BEST, data, default_split(data))
        assert (found.recipe.family, found.recipe.params) == ("boosting", FAMILIES["boosting"].defaults)
        assert (found.trial, found.rivals) == (BEST[1], (BEST[0],))
        assert found.reason.startswith("boosting learning_rate=0.1 ")
        assert " has the lowest log loss on 5 folds; logistic C=0.01 is not within one standard error" in found.reason

    def test_choose_model_same_inputs_same_choice(self, data: TrainingSet, split: TimeSplit) -> None:
        assert _choose(BEST, data, split) == _choose(BEST, data, split)


def _loss(folds: Sequence[FoldScores]) -> Floats:
    return np.concatenate([level_free_log_loss(fold.validation.y, fold.log_odds) for fold in folds])


class TestOneStandardError:
    """Choice with synthetic scores."""

    def test_choose_model_far_better_rival_chosen(
        self, data: TrainingSet, split: TimeSplit, set_scores: SetScores
    ) -> None:
        set_scores(logistic=1.0, boosting=1.5)
        found = _choose(BEST, data, split)
        assert found.recipe.family == "boosting"
        assert (found.trial, found.rivals) == (BEST[1], (BEST[0],))

    @pytest.mark.parametrize("seed", range(6))
    def test_choose_model_simplest_within_one_standard_error_of_lowest_loss(
        self, data: TrainingSet, split: TimeSplit, monkeypatch: pytest.MonkeyPatch, seed: int
    ) -> None:
        names = ["logistic", "second", "third"]
        scored = {}
        for number, name in enumerate(names):
            folds = []
            for fold in split.folds:
                rows = data.at_cutoffs([fold.validation])
                noise = np.random.default_rng([seed, number]).normal(size=len(rows.y))
                folds.append(FoldScores(rows, (1 + 0.1 * number) * rows.y + noise))
            scored[name] = folds
        monkeypatch.setattr(model_selection, "score_out_of_fold", lambda family, *_: scored[family])
        found = _choose([_trial(name) for name in names], data, split)
        losses = {name: _loss(folds) for name, folds in scored.items()}
        lowest = min(names, key=lambda name: losses[name].mean())
        keys = pd.concat([fold.validation.keys for fold in scored["logistic"]])
        bootstrap = CustomerBootstrap(keys["customer_id"], TRAINING.resamples, TRAINING.seed, keys["cutoff"])
        within = [
            name
            for name in names
            if (losses[name] - losses[lowest]).mean()
            <= np.std(mean_draws(losses[name] - losses[lowest], bootstrap)) * (name != lowest)
        ]
        assert found.recipe.family == within[0]
        assert found.trial == _trial(within[0])
        assert found.rivals == tuple(_trial(name) for name in names if name != within[0])

    def test_choose_model_equal_rival_not_chosen(
        self, data: TrainingSet, split: TimeSplit, set_scores: SetScores
    ) -> None:
        set_scores(logistic=1.0, boosting=1.0)
        assert _choose(BEST, data, split).recipe.family == "logistic"

    def test_choose_model_worse_rival_not_chosen(
        self, data: TrainingSet, split: TimeSplit, set_scores: SetScores
    ) -> None:
        set_scores(logistic=1.5, boosting=1.0)
        assert _choose(BEST, data, split).recipe.family == "logistic"

    def test_choose_model_levels_of_folds_do_not_matter(
        self, data: TrainingSet, split: TimeSplit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A family whose fold models miss the level of each month is chosen by the rest."""
        real = score_out_of_fold

        def shifted(family: str, *rest: Any) -> list[FoldScores]:
            return [FoldScores(f.validation, f.log_odds + 2 * n - 4) for n, f in enumerate(real(family, *rest))]

        expected = _choose(BEST, data, split)
        monkeypatch.setattr(model_selection, "score_out_of_fold", shifted)
        found = _choose(BEST, data, split)
        assert found.recipe == expected.recipe
        assert found.folds is not None
        assert expected.folds is not None
        assert found.folds.log_loss_gain.value == pytest.approx(expected.folds.log_loss_gain.value)

    def test_choose_model_bound_of_search_is_noted(
        self, data: TrainingSet, split: TimeSplit, set_scores: SetScores
    ) -> None:
        set_scores(logistic=1.0, boosting=1.0)
        assert _choose(BEST, data, split).notes == ()
        found = _choose([replace(BEST[0], on_bound=("C",)), BEST[1]], data, split)
        assert len(found.notes) == 1
        assert "logistic C=0.01 of the search lies on a bound in C" in found.notes[0]


class TestFoldResult:
    def _scored(self, data: TrainingSet, split: TimeSplit) -> list[FoldScores]:
        return score_out_of_fold("logistic", {"C": 1.0}, data, split.folds, 0)

    def test_measure_folds_mean_roc_auc_and_gain_over_base_rate(self, data: TrainingSet, split: TimeSplit) -> None:
        folds = self._scored(data, split)
        found = model_selection._measure_folds(folds, TRAINING)
        assert (found.months, found.rows) == (5, sum(len(fold.log_odds) for fold in folds))
        expected = np.mean([roc_auc_score(fold.validation.y, fold.log_odds) for fold in folds])
        assert found.roc_auc.value == pytest.approx(expected)
        assert 0.5 < found.roc_auc.low < expected < found.roc_auc.high
        rates = [fold.validation.y.mean() for fold in folds]
        entropy = -np.mean([rate * np.log(rate) + (1 - rate) * np.log(1 - rate) for rate in rates])
        assert found.log_loss_gain.value == pytest.approx(entropy - _loss(folds).mean())
        assert 0 < found.log_loss_gain.low < found.log_loss_gain.high

    def test_measure_folds_coin_toss_no_sure_signal(self, data: TrainingSet, split: TimeSplit) -> None:
        rng, sure = np.random.default_rng(1), 0
        for _ in range(20):
            folds = [FoldScores(fold.validation, rng.normal(size=CUSTOMERS)) for fold in self._scored(data, split)]
            found = model_selection._measure_folds(folds, TrainingSettings(resamples=100))
            assert found.log_loss_gain.value < 0
            sure += found.log_loss_gain.low > 0
        assert sure == 0

    def test_measure_folds_months_disagree_wider_than_over_customers(self, data: TrainingSet, split: TimeSplit) -> None:
        """Months are drawn too: a signal that some months lack is less sure than its mean on as many customers."""
        folds = self._scored(data, split)
        mixed = [FoldScores(f.validation, f.log_odds if n % 2 else -f.log_odds) for n, f in enumerate(folds)]
        found = model_selection._measure_folds(mixed, TRAINING)
        same = model_selection._measure_folds(folds, TRAINING)
        assert found.roc_auc.high - found.roc_auc.low > 2 * (same.roc_auc.high - same.roc_auc.low)


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
        assert (other.reason, other.rivals, other.calibration) == (found.reason, found.rivals, found.calibration)

    def test_choose_model_without_folds_chooses_simplest_family_with_defaults(self, data: TrainingSet) -> None:
        cutoffs = sorted(cutoff.to_pydatetime() for cutoff in data.keys["cutoff"].unique())[:6]
        split = split_by_time(cutoffs, 90, 4, 5, 2)
        assert not split.folds
        found = _choose([], data, split)
        assert (found.recipe.family, found.recipe.params) == ("logistic", FAMILIES["logistic"].defaults)
        assert found.recipe.calibration == "none"
        assert found.trial == default_trial(FAMILIES["logistic"])
        assert (found.rivals, found.folds) == ((default_trial(FAMILIES["boosting"]),), None)
        assert found.reason.startswith("Too little history to compare candidates: the simplest family ")
        assert found.calibration.reason.startswith("Too little history to compare calibrations")

    def test_choose_model_without_folds_trials_of_veto_first_one_chosen(self, data: TrainingSet) -> None:
        """The veto on the test gives the family that ships, for which there are no folds either."""
        cutoffs = sorted(cutoff.to_pydatetime() for cutoff in data.keys["cutoff"].unique())[:6]
        found = _choose([_trial("boosting")], data, split_by_time(cutoffs, 90, 4, 5, 2))
        assert (found.recipe.family, found.trial) == ("boosting", _trial("boosting"))
        assert (found.rivals, found.folds) == ((), None)

    def test_choose_model_base_rate_by_request_no_rivals(self, data: TrainingSet, split: TimeSplit) -> None:
        found = _choose([], data, split, TrainingSettings(resamples=100, family="base_rate"))
        assert (found.recipe.family, found.recipe.calibration) == ("base_rate", "none")
        assert (found.rivals, found.folds) == ((), None)
        assert found.reason == "One probability for all customers, by request."


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
