"""Selection on the test rows: the simplest family that no other beats, and a calibration that helps."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from holdfast.core.types import Floats
from holdfast.models.calibrated_classifier import CalibratedModel
from holdfast.training.bootstrap import CustomerBootstrap, mean_draws
from holdfast.training.final_selection import _find_unbeaten, veto_on_test
from holdfast.training.fitting import fit_recipe, predict_churn
from holdfast.training.hyperparameter_search import SearchTrial
from holdfast.training.model_families import FAMILIES
from holdfast.training.model_selection import ModelChoice, choose_model
from holdfast.training.recipe import Recipe
from holdfast.training.settings import TrainingSettings
from holdfast.training.time_split import split_by_time
from tests.support.recipes import CHOICE, make_recipe, make_trial, synthetic_recipe
from tests.support.strategies import EXAMPLES
from tests.support.training_sets import synthetic_training_set

TRAINING = TrainingSettings(resamples=100)


def _losses(seed: int, rows: int, means: dict[str, float], spread: float = 1.0) -> dict[str, Floats]:
    """Draw losses per row around a mean per family, with a part that all families share."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=rows)
    return {name: shared + mean + spread * rng.normal(size=rows) for name, mean in means.items()}


class TestFindUnbeaten:
    """Choice among families by their losses of the test rows."""

    ORDER = sorted(FAMILIES, key=lambda name: FAMILIES[name].complexity)

    def _beats(self, other: str, name: str, chosen: str, losses: dict[str, Floats], draws: CustomerBootstrap) -> bool:
        gain = losses[name] - losses[other]
        drawn = mean_draws(gain, draws)
        if self.ORDER.index(other) <= self.ORDER.index(chosen):
            return bool(gain.mean() > np.std(drawn))
        return bool(gain.mean() > 0 and np.percentile(drawn, 2.5) > 0)

    @given(
        seed=st.integers(0, 2**32),
        means=st.lists(st.floats(-0.3, 0.3), min_size=len(FAMILIES), max_size=len(FAMILIES)),
        chosen=st.sampled_from(sorted(FAMILIES)),
        spread=st.floats(0, 2),
    )
    @EXAMPLES
    def test_find_unbeaten_random_losses_simplest_that_no_other_beats(
        self, seed: int, means: list[float], chosen: str, spread: float
    ) -> None:
        losses = _losses(seed, 60, dict(zip(FAMILIES, means, strict=True)), spread)
        draws = CustomerBootstrap(np.arange(60), 50, 0)
        unbeaten = [
            name
            for name in self.ORDER
            if not any(self._beats(other, name, chosen, losses, draws) for other in self.ORDER if other != name)
        ]
        assert min(losses, key=lambda name: losses[name].mean()) in unbeaten
        assert _find_unbeaten(chosen, losses, draws) == unbeaten[0]

    def test_find_unbeaten_equal_losses_simplest(self) -> None:
        losses = dict.fromkeys(self.ORDER, np.linspace(0, 1, 50))
        for chosen in self.ORDER:
            assert _find_unbeaten(chosen, losses, CustomerBootstrap(np.arange(50), 50, 0)) == self.ORDER[0]

    def test_find_unbeaten_family_that_ties_with_choice_but_is_beaten_by_a_third_does_not_ship(self) -> None:
        """The first family is within the noise of the choice, and surely worse than the second, a simpler one too."""
        first, second, chosen = self.ORDER[0], self.ORDER[1], self.ORDER[-1]
        rng = np.random.default_rng(0)
        shared, noise = rng.normal(size=400), rng.normal(size=400)
        noise -= noise.mean()
        losses = {first: shared + 0.02, second: shared, chosen: shared + noise}
        draws = CustomerBootstrap(np.arange(400), 200, 0)
        without = {name: losses[name] for name in (first, chosen)}
        assert _find_unbeaten(chosen, without, draws) == first
        assert _find_unbeaten(chosen, losses, draws) == second

    @pytest.mark.parametrize(("errors", "expected"), [(0.5, False), (1.5, False), (2.5, True)])
    def test_find_unbeaten_more_complex_family_ships_only_if_surely_better(self, errors: float, expected: bool) -> None:
        chosen, complex_one = self.ORDER[0], self.ORDER[-1]
        noise = np.random.default_rng(1).normal(size=2000)
        noise = (noise - noise.mean()) / noise.std()
        losses = {chosen: noise + errors / np.sqrt(2000), complex_one: np.zeros(2000)}
        draws = CustomerBootstrap(np.arange(2000), 500, 0)
        assert (_find_unbeaten(chosen, losses, draws) == complex_one) is expected
        # as the choice of the folds, it needs one standard error only
        assert (_find_unbeaten(complex_one, losses, draws) == complex_one) is (errors > 1)


class TestVetoOnTest:
    """The gain over the other families is measured on the test rows, which did not affect the choice."""

    SIMPLEST = make_trial("logistic")
    BOOSTING = make_trial("boosting")

    def _choice(self, recipe: Recipe, *rivals: SearchTrial) -> ModelChoice:
        trial = SearchTrial(recipe.family, 0, recipe.params, [], 0.7, 1.0)
        return ModelChoice(recipe, trial, "It won.", rivals, CHOICE)

    @pytest.mark.parametrize(("curvature", "better"), [(3.0, True), (0.0, False)])
    def test_veto_on_test_only_gain_beyond_one_standard_error_accepted(self, curvature: float, better: bool) -> None:
        data, recipe = synthetic_recipe(curvature, "boosting")
        settled, fitted = veto_on_test(self._choice(recipe, self.SIMPLEST), data, TRAINING, 90)
        assert (settled.recipe.family, settled.trial, settled.rivals) == (
            ("boosting", self.BOOSTING, (self.SIMPLEST,)) if better else ("logistic", self.SIMPLEST, (self.BOOSTING,))
        )
        assert (settled.reason == "It won.") is better
        assert ("logistic C=0.01 is the simplest family that no other beats, and ships" in settled.reason) is not better
        test = data.at_cutoffs(recipe.test)
        assert (predict_churn(fitted, test.x) == predict_churn(fit_recipe(settled.recipe, data), test.x)).all()
        loss = {
            family: log_loss(
                test.y, predict_churn(fit_recipe(make_recipe(recipe.development, (), family), data), test.x)
            )
            for family in ("logistic", "boosting")
        }
        other = "logistic" if better else "boosting"
        assert settled.gain is not None
        assert settled.gain.value == pytest.approx(loss[other] - loss[settled.recipe.family])
        assert settled.gain.low < settled.gain.value < settled.gain.high

    def test_veto_on_test_more_complex_family_surely_better_ships(self) -> None:
        data, recipe = synthetic_recipe(3.0, "logistic")
        settled, _ = veto_on_test(self._choice(recipe, self.BOOSTING), data, TRAINING, 90)
        assert (settled.recipe.family, settled.rivals) == ("boosting", (self.SIMPLEST,))
        assert settled.reason.startswith("It won. On the test rows boosting learning_rate=0.1 ")
        assert settled.gain is not None
        assert settled.gain.low > 0

    def test_veto_on_test_weak_simpler_family_choice_ships_with_its_gain(self) -> None:
        data, recipe = synthetic_recipe(0.0, "boosting")
        weak = make_trial("logistic", C=1e-6)
        settled, _ = veto_on_test(self._choice(recipe, weak), data, TRAINING, 90)
        assert (settled.recipe.family, settled.rivals) == ("boosting", (weak,))
        assert settled.gain is not None
        assert settled.gain.value > 0

    def test_veto_on_test_without_rivals_choice_ships_without_gain(self) -> None:
        data, recipe = synthetic_recipe(0.0, "logistic")
        choice = self._choice(recipe)
        assert veto_on_test(choice, data, TRAINING, 90)[0] == choice

    @pytest.mark.parametrize(("curvature", "expected"), [(3.0, "boosting"), (0.0, "logistic")])
    def test_veto_on_test_without_folds_defaults_of_each_family_compared(self, curvature: float, expected: str) -> None:
        data = synthetic_training_set(customers=400, months=6, curvature=curvature)
        split = split_by_time([cutoff.to_pydatetime() for cutoff in data.keys["cutoff"].unique()], 90, 4, 5, 2)
        assert not split.folds
        choice = choose_model([], data, split, TRAINING, 90)
        assert choice.recipe.family == "logistic"
        settled, _ = veto_on_test(choice, data, TRAINING, 90)
        assert (settled.recipe.family, settled.recipe.params) == (expected, FAMILIES[expected].defaults)
        assert settled.folds is None
        assert settled.gain is not None

    @pytest.mark.parametrize(("flip", "expected"), [(False, "sigmoid"), (True, "none")])
    def test_veto_on_test_calibration_that_does_not_help_is_dropped(self, flip: bool, expected: str) -> None:
        """Boosting with many leaves is far too sure of itself, and its sigmoid helps unless the test contradicts it."""
        data, recipe = synthetic_recipe(0.0, "boosting")
        params = FAMILIES["boosting"].defaults | {"max_iter": 300, "min_samples_leaf": 5, "max_leaf_nodes": 31}
        recipe = recipe.model_copy(update={"calibration": "sigmoid", "params": params})
        if flip:  # the test is such that the uncalibrated model is right
            model = fit_recipe(recipe, data).classifier  # type: ignore[attr-defined]
            rows = data.keys["cutoff"].isin(recipe.test).to_numpy()
            data = replace(data, y=np.where(rows, predict_churn(model, data.x) > 0.5, data.y))
        choice = replace(self._choice(recipe), calibration=replace(CHOICE, method="sigmoid"))
        settled, fitted = veto_on_test(choice, data, TRAINING, 90)
        assert settled.recipe.calibration == settled.calibration.method == expected
        assert isinstance(fitted, CalibratedModel) is not flip
        assert ("not better than none by more than one standard error" in settled.calibration.reason) is flip
        fixed, _ = veto_on_test(choice, data, TRAINING.model_copy(update={"calibration": "sigmoid"}), 90)
        assert fixed.recipe.calibration == "sigmoid"
