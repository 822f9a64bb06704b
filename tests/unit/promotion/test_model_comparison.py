"""Comparisons on the same rows: signs, intervals, and rows that are not the same."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from holdfast.model_versions.evidence import NotComputedError
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.promotion.model_comparison import (
    compare_brier,
    compare_roc_auc,
    largest_difference,
    pair_scores,
    pair_shared_scores,
    use_tested_scores,
)
from holdfast.training.dataset import TrainingSet

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
        shared = pair_shared_scores(predictions(GOOD), shuffled, SETTINGS)
        same = pair_scores(TEST, GOOD, POOR)
        assert compare_roc_auc(shared, SETTINGS) == compare_roc_auc(same, SETTINGS)

    def test_pair_shared_scores_partly_shared_rows_uses_shared_rows_and_challenger_outcomes(self) -> None:
        champion = predictions(POOR, slice(100, 900)).assign(churned=False)
        gain = compare_roc_auc(pair_shared_scores(predictions(GOOD, slice(0, 800)), champion, SETTINGS), SETTINGS)
        shared = slice(100, 800)
        expected = roc_auc_score(CHURNED[shared], GOOD[shared]) - roc_auc_score(CHURNED[shared], POOR[shared])
        assert gain.value == pytest.approx(expected)

    def test_pair_shared_scores_too_few_shared_rows_raises(self) -> None:
        with pytest.raises(NotComputedError, match="only 499 shared rows; 500 are needed"):
            pair_shared_scores(predictions(GOOD), predictions(POOR, slice(401, 900)), SETTINGS)
        pair_shared_scores(predictions(GOOD), predictions(POOR, slice(400, 900)), SETTINGS)


class TestTestedScores:
    """A refitted champion has learned the outcomes of months that the next training tests."""

    JANUARY, FEBRUARY = (datetime(2024, month, 1, tzinfo=UTC) for month in (1, 2))

    def test_use_tested_scores_champion_not_refitted_unchanged(self) -> None:
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
        shared = compare_brier(pair_shared_scores(predictions(GOOD), shuffled, SETTINGS), SETTINGS)
        assert shared.value == pytest.approx(compare_brier(pair_scores(TEST, GOOD, POOR), SETTINGS).value)


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
