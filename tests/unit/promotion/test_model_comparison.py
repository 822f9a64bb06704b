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
    compare_brier_with_base_rate,
    compare_roc_auc,
    compare_shared_brier,
    compare_shared_roc_auc,
    largest_difference,
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
    """What a run keeps of its test."""
    return KEYS.assign(churned=CHURNED, model=model, base_rate=0.4).iloc[rows].reset_index(drop=True)


class TestSameRows:
    def test_the_better_one_is_surely_better(self) -> None:
        gain = compare_roc_auc(TEST, GOOD, POOR, SETTINGS)
        assert gain.value == pytest.approx(roc_auc_score(CHURNED, GOOD) - roc_auc_score(CHURNED, POOR))
        assert 0 < gain.low < gain.value < gain.high
        loss = compare_roc_auc(TEST, POOR, GOOD, SETTINGS)
        assert (loss.low, loss.high) == pytest.approx((-gain.high, -gain.low))

    def test_a_model_is_no_better_than_itself(self) -> None:
        assert compare_roc_auc(TEST, GOOD, GOOD, SETTINGS).model_dump() == {"value": 0, "low": 0, "high": 0}


class TestSharedPredictions:
    def test_all_rows_shared_is_the_same(self) -> None:
        shuffled = predictions(POOR).sample(frac=1, random_state=0)
        assert compare_shared_roc_auc(predictions(GOOD), shuffled, SETTINGS) == compare_roc_auc(
            TEST, GOOD, POOR, SETTINGS
        )

    def test_only_shared_rows_count_and_the_challengers_outcomes(self) -> None:
        champion = predictions(POOR, slice(100, 900)).assign(churned=False)
        gain = compare_shared_roc_auc(predictions(GOOD, slice(0, 800)), champion, SETTINGS)
        shared = slice(100, 800)
        expected = roc_auc_score(CHURNED[shared], GOOD[shared]) - roc_auc_score(CHURNED[shared], POOR[shared])
        assert gain.value == pytest.approx(expected)

    def test_too_few_shared_rows_are_no_comparison(self) -> None:
        with pytest.raises(NotComputedError, match="only 499 same rows of the 500 it takes"):
            compare_shared_roc_auc(predictions(GOOD), predictions(POOR, slice(401, 900)), SETTINGS)
        compare_shared_roc_auc(predictions(GOOD), predictions(POOR, slice(400, 900)), SETTINGS)


def test_brier_gain_is_over_the_base_rate() -> None:
    gain = compare_brier_with_base_rate(predictions(GOOD), SETTINGS)
    base_rate = brier_score_loss(CHURNED, np.full(ROWS, 0.4))
    assert gain.value == pytest.approx(base_rate - brier_score_loss(CHURNED, GOOD))
    assert gain.low < gain.value < gain.high
    assert compare_brier_with_base_rate(predictions(np.full(ROWS, 0.9)), SETTINGS).high < 0


class TestBrierOverChampion:
    def test_it_is_the_champions_less_the_challengers(self) -> None:
        gain = compare_brier(TEST, GOOD, POOR, SETTINGS)
        assert gain.value == pytest.approx(brier_score_loss(CHURNED, POOR) - brier_score_loss(CHURNED, GOOD))
        assert 0 < gain.low < gain.value < gain.high
        assert compare_brier(TEST, POOR, GOOD, SETTINGS).high < 0
        assert compare_brier(TEST, GOOD, GOOD, SETTINGS).model_dump() == {"value": 0, "low": 0, "high": 0}

    def test_on_shared_rows_the_same_and_of_few_none(self) -> None:
        shuffled = predictions(POOR).sample(frac=1, random_state=0)
        shared = compare_shared_brier(predictions(GOOD), shuffled, SETTINGS)
        assert shared.value == pytest.approx(compare_brier(TEST, GOOD, POOR, SETTINGS).value)
        with pytest.raises(NotComputedError, match="only 499 same rows of the 500 it takes"):
            compare_shared_brier(predictions(GOOD), predictions(POOR, slice(401, 900)), SETTINGS)


class TestAsTested:
    def test_the_largest_difference_counts(self) -> None:
        assert largest_difference(TEST, GOOD, predictions(GOOD)) == 0
        other = GOOD.copy()
        other[7] += 0.25
        assert largest_difference(TEST, other, predictions(GOOD)) == pytest.approx(0.25)

    @pytest.mark.parametrize("tested", [predictions(GOOD, slice(1, 900)), predictions(GOOD).iloc[::-1]])
    def test_other_rows_cannot_be_compared(self, tested: pd.DataFrame) -> None:
        with pytest.raises(NotComputedError, match="test had"):
            largest_difference(TEST, GOOD, tested)
