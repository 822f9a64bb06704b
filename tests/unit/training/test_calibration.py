"""Choice of the calibration on folds with known outcomes."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from holdfast.core.types import Floats
from holdfast.models.calibrated_classifier import apply_calibrator
from holdfast.training.calibration import (
    CALIBRATION_METHODS,
    CalibrationChoice,
    FoldScores,
    choose_calibration,
    fit_calibrator,
    fit_on_folds,
)
from holdfast.training.metrics import compute_metrics
from holdfast.training.recipe import Calibration
from tests.support.strategies import FEWER_EXAMPLES
from tests.support.training_sets import make_training_set, month_starts

JANUARY, FEBRUARY, MARCH, APRIL = range(4)  # of a year in which April begins exactly 90 days after January


def _fold(month: int, rows: int, predicted: Callable[[Floats], Floats], true: Callable[[Floats], Floats]) -> FoldScores:
    """Customers of one cut-off: ``true`` and ``predicted`` map a hidden value, uniform from -3 to 3, to log-odds."""
    rng = np.random.default_rng(month)
    hidden = rng.uniform(-3, 3, rows)
    churned = rng.random(rows) < expit(true(hidden))
    cutoffs = [month_starts(12)[month]] * rows
    return FoldScores(make_training_set(churned, range(rows), cutoffs), predicted(hidden))


def _folds(
    rows: int,
    predicted: Callable[[Floats], Floats],
    true: Callable[[Floats], Floats] = lambda hidden: hidden,
    count: int = 7,
) -> list[FoldScores]:
    return [_fold(month, rows, predicted, true) for month in range(count)]


def _step(hidden: Floats) -> Floats:
    """Log-odds that distinguish only two groups of customers: no sigmoid of the hidden value."""
    return np.where(hidden > 0, 1.4, -1.4)


def _same(hidden: Floats) -> Floats:
    return hidden


def _choose(folds: list[FoldScores], horizon_days: int = 90) -> CalibrationChoice:
    return choose_calibration(folds, horizon_days, 200, 0)


class TestChooseCalibration:
    @pytest.mark.parametrize("factor", [2.5, 0.3])
    def test_choose_calibration_scaled_log_odds_chooses_sigmoid(self, factor: float) -> None:
        found = _choose(_folds(400, lambda hidden: factor * hidden))
        assert found.method == "sigmoid"
        none, sigmoid, _ = found.methods
        assert sigmoid.gain is not None
        assert sigmoid.gain.low > 0
        assert (sigmoid.log_loss, sigmoid.ece) < (none.log_loss, none.ece)
        assert sigmoid.brier < none.brier
        assert found.reason.startswith("sigmoid is better than none by more than one standard error (log loss +0.")
        assert "; isotonic is not better than sigmoid by more than one standard error (log loss " in found.reason

    @pytest.mark.parametrize("shift", [-2.0, 1.0, 10.0])
    def test_choose_calibration_shifted_log_odds_same_choice(self, shift: float) -> None:
        """The level of a fold's model is no property of the model that ships."""
        for factor, method in ((1.0, "none"), (2.5, "sigmoid")):
            found = _choose(_folds(400, lambda hidden, factor=factor: factor * hidden + shift))  # type: ignore[misc]
            assert found.method == method

    @pytest.mark.parametrize("rows", [40, 400, 2000])
    def test_choose_calibration_calibrated_log_odds_chooses_none(self, rows: int) -> None:
        found = _choose(_folds(rows, _same))
        assert found.method == "none"
        assert found.reason.startswith("sigmoid is not better than none by more than one standard error (log loss ")
        assert "; isotonic is not better than none by more than one standard error (" in found.reason

    def test_choose_calibration_non_sigmoid_error_many_rows_chooses_isotonic(self) -> None:
        found = _choose(_folds(4000, lambda hidden: 2 * hidden, _step))
        assert found.method == "isotonic"
        none, sigmoid, isotonic = found.methods
        assert isotonic.log_loss < sigmoid.log_loss < none.log_loss
        assert found.reason.startswith("sigmoid is better than none by more than one standard error")
        assert "; isotonic is better than sigmoid by more than one standard error (log loss +0." in found.reason

    def test_choose_calibration_few_rows_does_not_choose_isotonic(self) -> None:
        assert _choose(_folds(30, lambda hidden: 2 * hidden, _step)).method != "isotonic"

    def test_choose_calibration_changing_base_rate_chooses_none(self) -> None:
        """A base rate that moves from month to month is no fault of the shape."""
        for months in ([0, 0, -1, -1, -1], [1, 0, -1, 1, 0], [-2, -2, -2, 0, 0]):
            moving = [
                _fold(month, 400, _same, lambda hidden, level=level: hidden + level)  # type: ignore[misc]
                for month, level in enumerate(months)
            ]
            assert _choose(moving).method == "none"

    def test_choose_calibration_one_of_two_months_contradicts_chooses_none(self) -> None:
        """Months are drawn like customers: what helps in one of two months is no sure gain, on however many rows."""
        steep, flat = (lambda hidden: 2.5 * hidden), (lambda hidden: 0.6 * hidden)
        folds = [_fold(month, 3000, steep if month != APRIL + 1 else flat, _same) for month in range(APRIL + 2)]
        assert _choose(folds).method == "none"

    @pytest.mark.parametrize("setting", CALIBRATION_METHODS)
    def test_choose_calibration_setting_fixes_method(self, setting: Calibration) -> None:
        found = choose_calibration(_folds(50, _same), 90, 200, 0, setting)
        assert (found.method, found.methods) == (setting, [])
        assert found.reason == f"The settings fix the calibration: {setting}."

    def test_choose_calibration_setting_without_folds_falls_back_to_none(self) -> None:
        assert choose_calibration([], 90, 200, 0, "sigmoid").reason.startswith("Too little history")

    def test_choose_calibration_same_seed_same_choice(self) -> None:
        folds = _folds(100, lambda hidden: 1.2 * hidden)
        assert _choose(folds) == _choose(folds)
        assert choose_calibration(folds, 90, 200, 1) != _choose(folds)


class TestComparison:
    def test_choose_calibration_each_method_has_metrics_and_gain_over_none(self) -> None:
        folds = _folds(300, lambda hidden: 2 * hidden)
        found = _choose(folds).methods
        assert tuple(item.method for item in found) == CALIBRATION_METHODS == ("none", "sigmoid", "isotonic")
        evaluated = folds[APRIL:]  # the first whose outcomes were known by then is January
        raw = compute_metrics(
            np.concatenate([fold.validation.y for fold in evaluated]),
            expit(np.concatenate([fold.level_free for fold in evaluated])),
        )
        expected = [raw[name] for name in ("brier", "log_loss", "ece")]
        assert [found[0].brier, found[0].log_loss, found[0].ece] == pytest.approx(expected)
        assert found[0].gain is None
        for item in found[1:]:
            assert item.gain is not None
            assert item.gain.value == pytest.approx(found[0].log_loss - item.log_loss)
            assert item.gain.low < item.gain.value < item.gain.high

    def test_choose_calibration_each_fold_uses_earlier_closed_folds(self) -> None:
        folds = _folds(300, lambda hidden: 2 * hidden, count=6)
        # February begins 89 days before May, March 92 days before June.
        known = {APRIL: [JANUARY], APRIL + 1: [JANUARY], APRIL + 2: [JANUARY, FEBRUARY, MARCH]}
        scores = []
        for later, earlier in known.items():
            calibrator = fit_calibrator(
                "sigmoid",
                np.concatenate([folds[month].level_free for month in earlier]),
                np.concatenate([folds[month].validation.y for month in earlier]),
            )
            calibrated = FoldScores(
                folds[later].validation, logit(apply_calibrator(calibrator, folds[later].level_free))
            )
            scores.append(expit(calibrated.level_free))
        churned = np.concatenate([folds[month].validation.y for month in known])
        sigmoid = _choose(folds).methods[1]
        assert sigmoid.log_loss == pytest.approx(compute_metrics(churned, np.concatenate(scores))["log_loss"])


class TestLevel:
    """The level of a calibrator is that of the rows that the shipped model was fitted on."""

    @given(
        levels=st.lists(st.floats(-3, 3), min_size=1, max_size=4),
        factor=st.floats(0.1, 4),
        shift=st.floats(-4, 4),
        seed=st.integers(0, 1000),
    )
    @FEWER_EXAMPLES
    def test_fit_on_folds_any_fold_levels_mean_prediction_equals_fitted_rows(
        self, levels: list[float], factor: float, shift: float, seed: int
    ) -> None:
        folds = [
            _fold(month, 120, lambda hidden: factor * hidden, lambda hidden, level=level: hidden + level)  # type: ignore[misc]
            for month, level in enumerate(levels)
        ]
        rng = np.random.default_rng(seed)
        log_odds, churned = rng.normal(shift, 1, 200), rng.random(200) < 0.37
        for method in ("sigmoid", "isotonic"):
            predicted = apply_calibrator(fit_on_folds(method, folds, log_odds, churned), log_odds)
            assert predicted.mean() == pytest.approx(churned.mean(), abs=1e-6)
        assert fit_on_folds("none", folds, log_odds, churned) is None

    def test_fit_on_folds_shifted_fold_models_same_calibrator(self) -> None:
        """A model of earlier months whose level is wrong teaches the shape that a model with the right level would."""
        right = _folds(300, lambda hidden: 2 * hidden, count=4)
        wrong = [FoldScores(fold.validation, fold.log_odds - 0.5 * n) for n, fold in enumerate(right)]
        log_odds, churned = np.linspace(-3, 3, 100), np.arange(100) % 3 == 0
        for method in ("sigmoid", "isotonic"):
            left, other = (fit_on_folds(method, folds, log_odds, churned) for folds in (right, wrong))
            assert apply_calibrator(left, log_odds) == pytest.approx(apply_calibrator(other, log_odds), abs=1e-6)

    def test_fit_on_folds_sigmoid_keeps_slope(self) -> None:
        folds = _folds(4000, lambda hidden: 2.5 * hidden)
        calibrator = fit_on_folds("sigmoid", folds, np.linspace(-3, 3, 100) + 7, np.arange(100) % 2 == 0)
        assert calibrator.coef_[0, 0] == pytest.approx(1 / 2.5, rel=0.05)

    def test_fit_on_folds_isotonic_target_beyond_values_nearest_end(self) -> None:
        fold = _fold(0, 300, _same, _same)
        churned = np.ones(50, dtype=bool)
        calibrator = fit_on_folds("isotonic", [fold], np.zeros(50), churned)
        predicted = apply_calibrator(calibrator, np.zeros(50))
        assert predicted == pytest.approx(apply_calibrator(calibrator, np.full(50, 99.0)))


class TestEmbargo:
    @pytest.fixture
    def folds(self) -> list[FoldScores]:
        return _folds(400, lambda hidden: 2.5 * hidden, count=4)

    def _turned(self, folds: list[FoldScores], *months: int) -> list[FoldScores]:
        """Flip the outcomes of these months."""
        return [
            FoldScores(
                make_training_set(
                    ~fold.validation.y, fold.validation.keys["customer_id"], fold.validation.keys["cutoff"].tolist()
                ),
                fold.log_odds,
            )
            if month in months
            else fold
            for month, fold in enumerate(folds)
        ]

    def test_choose_calibration_unknown_outcomes_not_used(self, folds: list[FoldScores]) -> None:
        assert _choose(self._turned(folds, FEBRUARY, MARCH)) == _choose(folds)

    def test_choose_calibration_known_outcomes_used(self, folds: list[FoldScores]) -> None:
        """The horizon of January ends on April's cut-off; with 28 days also those of February and March."""
        assert _choose(self._turned(folds, JANUARY)) != _choose(folds)
        assert _choose(self._turned(folds, FEBRUARY, MARCH), 28) != _choose(folds, 28)

    def test_choose_calibration_longer_horizon_excludes_fold(self, folds: list[FoldScores]) -> None:
        assert _choose(folds, 90).methods
        late = _choose(folds, 91)
        assert (late.method, late.methods) == ("none", [])
        assert late.reason == "Too little history to compare calibrations: none is used."

    def test_choose_calibration_without_folds_chooses_none(self) -> None:
        assert _choose([]).method == _choose(_folds(50, _same, count=3)).method == "none"


class TestFitCalibrator:
    def test_fit_calibrator_sigmoid_recovers_scale_and_shift(self) -> None:
        fold = _fold(0, 20_000, lambda hidden: 2.5 * hidden + 1, lambda hidden: hidden)
        model = fit_calibrator("sigmoid", fold.log_odds, fold.validation.y)
        assert model.coef_[0, 0] == pytest.approx(1 / 2.5, rel=0.05)
        assert model.intercept_[0] == pytest.approx(-1 / 2.5, abs=0.05)

    def test_fit_calibrator_isotonic_recovers_step_and_accepts_any_value(self) -> None:
        fold = _fold(0, 20_000, _same, _step)
        model = fit_calibrator("isotonic", fold.log_odds, fold.validation.y)
        predicted = apply_calibrator(model, np.array([-50.0, -2.0, 2.0, 50.0]))
        assert (np.diff(predicted) >= 0).all()
        assert predicted[1:3] == pytest.approx(expit([-1.4, 1.4]), abs=0.06)
        assert np.isfinite(predicted).all()

    def test_fit_calibrator_none_returns_none(self) -> None:
        assert fit_calibrator("none", np.zeros(3), np.array([True, False, True])) is None
        assert apply_calibrator(None, np.array([0.0, 2.0])) == pytest.approx(expit([0.0, 2.0]))
