"""Comparisons on the same rows: signs, intervals, and rows that are not the same."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn.metrics import brier_score_loss, roc_auc_score

from holdfast.model_versions.evidence import NotComputedError
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.promotion.gates import list_gate_rules
from holdfast.promotion.model_comparison import (
    compare_brier,
    compare_roc_auc,
    largest_difference,
    measure_signal,
    pair_scores,
    pair_shared_scores,
    remove_level,
    use_tested_scores,
)
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import Interval
from tests.support.gate_evidence import PASSING_EVIDENCE, evidence_with, good_evaluation
from tests.support.strategies import EXAMPLES

SETTINGS = GateSettings(resamples=200)
RNG = np.random.default_rng(1)
ROWS = 900
CHURNED = RNG.random(ROWS) < 0.4
GOOD = np.clip(CHURNED * 0.4 + RNG.random(ROWS) * 0.6, 0, 1)
POOR = np.clip(CHURNED * 0.1 + RNG.random(ROWS) * 0.9, 0, 1)
KEYS = pd.DataFrame(
    {
        "customer_id": [f"c{i % 450:03d}" for i in range(ROWS)],
        "cutoff": pd.to_datetime([datetime(2024, 1 + i // 450, 1, tzinfo=UTC) for i in range(ROWS)]),
    }
)
TEST = TrainingSet(KEYS, np.zeros((ROWS, 1)), CHURNED, [])


def predictions(model: np.ndarray, rows: slice = slice(None)) -> pd.DataFrame:
    """Return the predictions that a run stores of its test."""
    return KEYS.assign(churned=CHURNED, model=model, base_rate=0.4).iloc[rows].reset_index(drop=True)


class TestSameRows:
    def test_compare_roc_auc_better_model_interval_above_zero(self) -> None:
        gain = compare_roc_auc(pair_scores(TEST, GOOD, POOR), SETTINGS)
        assert gain.value == pytest.approx(roc_auc_score(CHURNED, GOOD) - roc_auc_score(CHURNED, POOR))
        assert 0 < gain.low < gain.value < gain.high
        loss = compare_roc_auc(pair_scores(TEST, POOR, GOOD), SETTINGS)
        assert (loss.low, loss.high) == pytest.approx((-gain.high, -gain.low))

    def test_compare_roc_auc_same_scores_zero(self) -> None:
        difference = compare_roc_auc(pair_scores(TEST, GOOD, GOOD), SETTINGS)
        assert difference.model_dump() == {"value": 0, "low": 0, "high": 0}


class TestSharedPredictions:
    def test_pair_shared_scores_all_rows_shared_equals_compare_roc_auc(self) -> None:
        shuffled = predictions(POOR).sample(frac=1, random_state=0)
        shared = pair_shared_scores(predictions(GOOD), shuffled)
        same = pair_scores(TEST, GOOD, POOR)
        assert compare_roc_auc(shared, SETTINGS) == compare_roc_auc(same, SETTINGS)

    def test_pair_shared_scores_partly_shared_rows_uses_shared_rows_and_challenger_outcomes(self) -> None:
        champion = predictions(POOR, slice(100, 900)).assign(churned=False)
        gain = compare_roc_auc(pair_shared_scores(predictions(GOOD, slice(0, 800)), champion), SETTINGS)
        shared = slice(100, 800)
        expected = roc_auc_score(CHURNED[shared], GOOD[shared]) - roc_auc_score(CHURNED[shared], POOR[shared])
        assert gain.value == pytest.approx(expected)

    @pytest.mark.parametrize("first", [0, 401, 900])
    def test_pair_shared_scores_any_number_of_shared_rows_all_and_only_these(self, first: int) -> None:
        found = pair_shared_scores(predictions(GOOD), predictions(POOR, slice(first, 900)))
        assert found["model"].tolist() == GOOD[first:].tolist()
        assert found["champion"].tolist() == POOR[first:].tolist()


class TestTestedScores:
    """A refitted champion has learned the outcomes of months that the next training tests."""

    JANUARY, FEBRUARY = (datetime(2024, month, 1, tzinfo=UTC) for month in (1, 2))

    def test_use_tested_scores_month_not_learned_unchanged(self) -> None:
        paired = pair_scores(TEST, GOOD, POOR)
        assert use_tested_scores(paired, predictions(GOOD), ()).equals(paired)

    def test_use_tested_scores_month_of_refit_compared_by_tested_model(self) -> None:
        """January was in the champion's test and its refit; February is new to both models."""
        paired = pair_scores(TEST, GOOD, np.full(ROWS, 0.99))
        shuffled = predictions(POOR, slice(0, 450)).sample(frac=1, random_state=0)
        found = use_tested_scores(paired, shuffled, [self.JANUARY])
        assert found["champion"].tolist() == [*POOR[:450], *[0.99] * 450]
        assert found.drop(columns="champion").equals(paired.drop(columns="champion"))

    def test_use_tested_scores_month_of_refit_without_test_left_out(self) -> None:
        paired = pair_scores(TEST, GOOD, POOR)
        found = use_tested_scores(paired, predictions(GOOD, slice(450, 900)), [self.JANUARY, self.FEBRUARY])
        assert (found["cutoff"] == self.FEBRUARY).all()
        assert found["champion"].tolist() == GOOD[450:].tolist()


def test_largest_difference_after_refit_compared_with_shipped_model() -> None:
    refitted = predictions(GOOD).assign(served=POOR)
    assert largest_difference(TEST, POOR, refitted) == 0
    assert largest_difference(TEST, GOOD, refitted) == np.abs(GOOD - POOR).max()


def test_compare_brier_base_rate_good_scores_difference_of_brier_scores() -> None:
    gain = compare_brier(predictions(GOOD), SETTINGS, "base_rate")
    base_rate = brier_score_loss(CHURNED, np.full(ROWS, 0.4))
    assert gain.value == pytest.approx(base_rate - brier_score_loss(CHURNED, GOOD))
    assert gain.low < gain.value < gain.high
    assert compare_brier(predictions(np.full(ROWS, 0.9)), SETTINGS, "base_rate").high < 0


class TestBrierOverChampion:
    def test_compare_brier_two_models_champion_minus_challenger(self) -> None:
        gain = compare_brier(pair_scores(TEST, GOOD, POOR), SETTINGS)
        assert gain.value == pytest.approx(brier_score_loss(CHURNED, POOR) - brier_score_loss(CHURNED, GOOD))
        assert 0 < gain.low < gain.value < gain.high
        assert compare_brier(pair_scores(TEST, POOR, GOOD), SETTINGS).high < 0
        assert compare_brier(pair_scores(TEST, GOOD, GOOD), SETTINGS).model_dump() == {"value": 0, "low": 0, "high": 0}

    def test_compare_brier_all_rows_shared_equals_same_rows(self) -> None:
        shuffled = predictions(POOR).sample(frac=1, random_state=0)
        shared = compare_brier(pair_shared_scores(predictions(GOOD), shuffled), SETTINGS)
        assert shared.value == pytest.approx(compare_brier(pair_scores(TEST, GOOD, POOR), SETTINGS).value)


def shop_predictions(rows: int, months: int, rate: float, seed: int, signal: float = 0.0) -> pd.DataFrame:
    """Draw customers whose scores, and half of whose outcomes, persist over the months; ``signal`` moves churners."""
    rng = np.random.default_rng([seed, rows, months, int(rate * 100)])
    outcomes = [rng.random(rows) < rate]
    for _ in range(months - 1):
        outcomes.append(np.where(rng.random(rows) < 0.5, outcomes[-1], rng.random(rows) < rate))
    scores, cutoffs = rng.random(rows), [datetime(2024, 1 + month, 1, tzinfo=UTC) for month in range(months)]
    churned = np.concatenate(outcomes)
    return pd.DataFrame(
        {
            "customer_id": np.tile(np.arange(rows), months),
            "cutoff": np.repeat(pd.to_datetime(cutoffs), rows),
            "churned": churned,
            "model": (np.tile(scores, months) + signal * churned) / (1 + signal),
            "base_rate": rate,
        }
    )


@pytest.mark.long
class TestMeasureSignal:
    FEWEST = GateSettings(resamples=50)

    WITH_FOLDS, WITHOUT = PASSING_EVIDENCE, evidence_with(evaluation=good_evaluation(folds=None))
    RULE = list_gate_rules()[0]

    def _lower_bounds(self, signal: Interval) -> list[float | None]:
        """Return the values that the gate compares with chance, with folds and without."""
        return [
            self.RULE.measure(replace(evidence, signal=signal), SETTINGS)[0]
            for evidence in (self.WITH_FOLDS, self.WITHOUT)
        ]

    @pytest.mark.parametrize("months", [1, pytest.param(4, marks=pytest.mark.long)])
    @pytest.mark.parametrize("rows", [20, 60, 300])
    def test_measure_signal_random_scores_sure_in_one_percent_without_folds_in_a_thousandth(
        self, rows: int, months: int
    ) -> None:
        sure = np.zeros(2)
        for rate in (0.5, 0.8, 0.95):
            for seed in range(400):
                drawn = shop_predictions(rows, months, rate, seed)
                if drawn.groupby("cutoff")["churned"].nunique().max() == 2:
                    bounds = self._lower_bounds(measure_signal(drawn, self.FEWEST))
                    sure += [bound is not None and bound > 0.5 for bound in bounds]
        assert sure[0] / 1200 <= 0.015
        assert sure[1] / 1200 <= 0.001

    @pytest.mark.parametrize("months", [1, 4])
    def test_measure_signal_scores_of_churners_higher_surely_above_chance(self, months: int) -> None:
        drawn = shop_predictions(300, months, 0.8, 0, signal=0.5)
        with_folds, without = self._lower_bounds(measure_signal(drawn, SETTINGS))
        assert with_folds is not None and without is not None
        assert with_folds > without > 0.5

    def test_measure_signal_is_mean_of_roc_auc_within_months(self) -> None:
        drawn = shop_predictions(200, 3, 0.7, 1, signal=0.5)
        drawn["model"] += drawn["cutoff"].dt.month  # the order between months is no signal
        expected = [roc_auc_score(rows["churned"], rows["model"]) for _, rows in drawn.groupby("cutoff")]
        found = measure_signal(drawn, SETTINGS)
        assert found.value == pytest.approx(np.mean(expected))
        assert found.low < found.value < found.high

    def test_measure_signal_few_churners_rank_first_interval_not_narrower_than_chance(self) -> None:
        """Two churners that rank first have the same ROC-AUC in every resample."""
        scores = np.linspace(0, 1, 40)
        first = predictions(GOOD, slice(0, 40)).assign(churned=np.arange(40) >= 38, model=scores)
        found = measure_signal(first, SETTINGS)
        chance = norm.isf(0.025) * np.sqrt(41 / (12 * 2 * 38))
        assert (found.value, found.low, found.high) == pytest.approx((1.0, 1 - chance, 1 + chance))

    @pytest.mark.parametrize("seed", range(4))
    def test_measure_signal_two_customers_interval_of_chance(self, seed: int) -> None:
        """Half of the resamples have one outcome; with one more there is no percentile."""
        two = predictions(GOOD, slice(0, 2)).assign(churned=[True, False], model=[0.9, 0.1])
        found = measure_signal(two, GateSettings(resamples=51, seed=seed))
        chance = norm.isf(0.025) * np.sqrt(3 / 12)
        assert (found.value, found.low, found.high) == pytest.approx((1.0, 1 - chance, 1 + chance))

    def test_measure_signal_month_of_one_outcome_does_not_matter(self) -> None:
        mixed = predictions(GOOD, slice(0, 450))
        other = predictions(GOOD, slice(450, 900)).assign(churned=True)
        assert measure_signal(pd.concat([mixed, other]), SETTINGS) == measure_signal(mixed, SETTINGS)
        with pytest.raises(NotComputedError, match="no test month has both outcomes"):
            measure_signal(other, SETTINGS)


class TestRemoveLevel:
    @given(shifts=st.lists(st.floats(-3, 3), min_size=2, max_size=2))
    @EXAMPLES
    def test_remove_level_shifted_months_same_scores_with_observed_mean(self, shifts: list[float]) -> None:
        month = KEYS["cutoff"].dt.month.to_numpy() - 1
        found = remove_level(predictions(expit(logit(GOOD * 0.9 + 0.05) + np.array(shifts)[month])))
        plain = remove_level(predictions(GOOD * 0.9 + 0.05))
        assert found["model"].to_numpy() == pytest.approx(plain["model"].to_numpy(), abs=1e-6)
        for _, rows in found.groupby("cutoff"):
            assert rows["model"].mean() == pytest.approx(rows["churned"].mean(), abs=1e-6)
            assert (rows["base_rate"] == rows["churned"].mean()).all()
            assert (np.diff(rows["model"].to_numpy()[np.argsort(GOOD[rows.index])]) >= -1e-12).all()

    def test_remove_level_far_too_high_gain_over_base_rate_remains(self) -> None:
        """A level that is wrong in both months makes good scores worse than the base rate, the order does not."""
        high = predictions(expit(logit(GOOD * 0.9 + 0.05) + 3))
        assert compare_brier(high, SETTINGS, "base_rate").high < 0
        assert compare_brier(remove_level(high), SETTINGS, "base_rate").low > 0
        useless = predictions(np.random.default_rng(2).random(ROWS))
        assert compare_brier(remove_level(useless), SETTINGS, "base_rate").high < 0

    def test_remove_level_certain_scores_finite(self) -> None:
        found = remove_level(predictions((GOOD > 0.5).astype(float)))
        assert np.isfinite(found["model"]).all()

    def test_remove_level_month_of_one_outcome_left_out(self) -> None:
        test = predictions(GOOD)
        test.loc[450:, "churned"] = True
        assert remove_level(test).index.tolist() == list(range(450))
        with pytest.raises(NotComputedError, match="no test month has both outcomes"):
            remove_level(test.iloc[450:])


class TestAsTested:
    def test_largest_difference_one_changed_score_returns_its_difference(self) -> None:
        assert largest_difference(TEST, GOOD, predictions(GOOD)) == 0
        other = GOOD.copy()
        other[7] += 0.25
        assert largest_difference(TEST, other, predictions(GOOD)) == pytest.approx(0.25)

    @pytest.mark.parametrize("tested", [predictions(GOOD, slice(1, 900)), predictions(GOOD).iloc[::-1]])
    def test_largest_difference_other_rows_raises(self, tested: pd.DataFrame) -> None:
        with pytest.raises(NotComputedError, match=r"differ from the \d+ rows of the test"):
            largest_difference(TEST, GOOD, tested)
