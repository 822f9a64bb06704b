"""Baseline models."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from holdfast.core.types import Floats
from holdfast.training.baselines import BASELINE_LABELS, score_baselines
from holdfast.training.bootstrap import CustomerBootstrap
from holdfast.training.dataset import PurchaseHistory, TrainingSet, read_purchase_histories
from holdfast.training.metrics import compute_metrics, roc_auc_difference
from tests.support.shop_fixtures import Dataset
from tests.support.small_shop import KNOWN_AT, transactions


@pytest.fixture(scope="module")
def parts(dataset: Dataset) -> tuple[TrainingSet, TrainingSet]:
    return dataset.data.at_cutoffs(dataset.split.development), dataset.data.at_cutoffs(dataset.split.test)


@pytest.fixture(scope="module")
def history(dataset: Dataset) -> PurchaseHistory:
    cutoff = dataset.split.development[-1]
    return read_purchase_histories(dataset.settings, [cutoff], KNOWN_AT)[cutoff]


@pytest.fixture(scope="module")
def scores(parts: tuple[TrainingSet, TrainingSet], history: PurchaseHistory) -> dict[str, Floats]:
    development, test = parts
    return score_baselines(development, history, test, 90)


def test_read_purchase_histories_shop_contains_inactive_customers(dataset: Dataset, history: PurchaseHistory) -> None:
    cutoff = dataset.split.development[-1]
    days: dict[str, set[date]] = {}
    for row in transactions():
        if row.amount > 0 and row.event_timestamp < cutoff and row.ingested_at <= KNOWN_AT:
            days.setdefault(row.customer_id, set()).add(row.event_timestamp.date())
    assert sorted(history.repeats + 1) == sorted(map(len, days.values()))
    assert len(history.age) > len(dataset.data.at_cutoffs([cutoff]).y), "some are not active any more"
    assert (history.last <= history.age).all()
    assert (history.last >= 0).all()
    assert (history.last[history.repeats == 0] == 0).all(), "two purchases on one day are none that was repeated"


class TestScoreBaselines:
    def test_score_baselines_shop_one_probability_per_test_row(
        self, parts: tuple[TrainingSet, TrainingSet], scores: dict[str, Floats]
    ) -> None:
        assert list(scores) == list(BASELINE_LABELS) == ["base_rate", "recency", "rfm", "bg_nbd", "pareto_nbd"]
        for name, values in scores.items():
            assert values.shape == (len(parts[1].y),), name
            assert ((values >= 0) & (values <= 1)).all(), name

    def test_score_baselines_base_rate_equals_development_base_rate(
        self, parts: tuple[TrainingSet, TrainingSet], scores: dict[str, Floats]
    ) -> None:
        assert (scores["base_rate"] == parts[0].y.mean()).all()

    def test_score_baselines_recency_ranks_by_days_since_last_purchase(
        self, parts: tuple[TrainingSet, TrainingSet], scores: dict[str, Floats]
    ) -> None:
        order = np.argsort(parts[1].column("days_since_last_purchase"))
        assert (np.diff(scores["recency"][order]) >= 0).all()
        assert np.ptp(scores["recency"]) > 0.2

    @pytest.mark.parametrize("name", ["recency", "rfm", "bg_nbd", "pareto_nbd"])
    def test_score_baselines_each_baseline_beats_base_rate(
        self, parts: tuple[TrainingSet, TrainingSet], scores: dict[str, Floats], name: str
    ) -> None:
        test = parts[1]
        bootstrap = CustomerBootstrap(test.keys["customer_id"].to_numpy(), 200, 0)
        assert roc_auc_difference(test.y, scores[name], scores["base_rate"], bootstrap).low > 0.1
        assert compute_metrics(test.y, scores[name])["brier"] < compute_metrics(test.y, scores["base_rate"])["brier"]

    @pytest.mark.parametrize("name", ["purchase_days", "mean_purchase_amount"])
    def test_score_baselines_changed_frequency_or_amount_changes_rfm_only(
        self, parts: tuple[TrainingSet, TrainingSet], history: PurchaseHistory, scores: dict[str, Floats], name: str
    ) -> None:
        development, test = parts
        x = test.x.copy()
        x[:, [feature.name for feature in test.inputs].index(name)] += 5
        other = score_baselines(development, history, replace(test, x=x), 90)
        assert (other["rfm"] != scores["rfm"]).all()
        assert (other["recency"] == scores["recency"]).all()

    def test_score_baselines_changed_test_outcomes_same_scores(
        self, parts: tuple[TrainingSet, TrainingSet], history: PurchaseHistory, scores: dict[str, Floats]
    ) -> None:
        development, test = parts
        blind = replace(test, y=~test.y)
        for name, values in score_baselines(development, history, blind, 90).items():
            assert values.tobytes() == scores[name].tobytes(), name
