"""Behavioral tests of the main job's champion: direction, invariance and minimum performance."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from feature_repo.timestamps import DAY_US
from tests.support.main_job import MainJob
from tests.support.main_job_champion import Champion

# On CDNOW no customer's risk rises: the smallest decrease over a day is 7e-5. Only rounding is tolerated.
TOLERANCE = 1e-9


@pytest.fixture(scope="module")
def scores(champion: Champion) -> np.ndarray:
    return champion.score(champion.matrix(champion.customers))


def _shifted_scores(champion: Champion, days: int) -> np.ndarray:
    """Score customers with a later last purchase, limited to the time of the request and of the first purchase."""
    last = champion.customers["last_purchase_us"] + days * DAY_US
    last = last.clip(lower=champion.customers["first_purchase_us"], upper=champion.as_of_us)
    return champion.score(champion.matrix(champion.customers, last_purchase_us=last.astype("int64")))


class TestDirection:
    def test_score_more_recent_purchase_does_not_increase(self, champion: Champion, scores: np.ndarray) -> None:
        before = scores
        for days in (1, 3, 7, 14, 30, 60, 90, 179):
            after = _shifted_scores(champion, days)
            assert (after - before).max() <= TOLERANCE, f"a last purchase {days} days later"
            before = after
        assert (scores - before).mean() > 0.02, "the time of the last purchase hardly matters"

    def test_score_longer_silence_does_not_decrease(self, champion: Champion, scores: np.ndarray) -> None:
        before = scores
        for days in (1, 7, 30, 60, 90):
            after = _shifted_scores(champion, -days)
            assert (before - after).max() <= TOLERANCE, f"a last purchase {days} days earlier"
            before = after
        assert (before - scores).mean() > 0.01

    def test_score_later_request_time_increases_on_average(self, champion: Champion, scores: np.ndarray) -> None:
        later = Champion(
            champion.score,
            champion.inputs,
            champion.customers,
            champion.request_time,
            champion.as_of_us + 30 * DAY_US,
            champion.tested,
        )
        assert (later.score(later.matrix(later.customers)) - scores).mean() > 0

    def test_score_frequent_buyers_have_lower_scores(self, champion: Champion, scores: np.ndarray) -> None:
        days = champion.customers["purchase_days"]
        assert scores[days >= 10].mean() < scores[days <= 2].mean() - 0.2


class TestInvariance:
    def test_scores_do_not_depend_on_the_order_of_the_batch(self, champion: Champion, scores: np.ndarray) -> None:
        order = np.random.default_rng(0).permutation(len(scores))
        shuffled = champion.score(champion.matrix(champion.customers.iloc[order].reset_index(drop=True)))
        np.testing.assert_allclose(shuffled, scores[order], rtol=0, atol=1e-12)

    def test_scores_do_not_depend_on_other_customers(self, champion: Champion, scores: np.ndarray) -> None:
        for row in range(0, len(scores), 250):
            alone = champion.score(champion.matrix(champion.customers.iloc[[row]]))
            np.testing.assert_allclose(alone, scores[[row]], rtol=0, atol=1e-12)

    def test_scores_do_not_depend_on_the_customer_id(self, champion: Champion, scores: np.ndarray) -> None:
        renamed = champion.matrix(champion.customers, customer_id="other")
        assert champion.score(renamed).tobytes() == scores.tobytes()
        assert "customer_id" not in [feature.name for feature in champion.inputs]

    def test_scores_are_deterministic(self, champion: Champion, scores: np.ndarray) -> None:
        assert champion.score(champion.matrix(champion.customers)).tobytes() == scores.tobytes()


class TestMinimum:
    def test_scores_are_probabilities_and_differ(self, champion: Champion, scores: np.ndarray) -> None:
        assert len(scores) > 4000
        assert ((scores >= 0) & (scores <= 1)).all()
        assert np.quantile(scores, 0.9) - np.quantile(scores, 0.1) > 0.2

    def test_scores_of_extreme_customers_are_probabilities(self, champion: Champion) -> None:
        extremes = champion.customers.iloc[:6].assign(
            total_amount=[1e12, -1e12, 0.0, 1e-6, 5.0, 5.0], amount_30d=[1e12, -1e12, 0.0, 0.0, 0.0, 0.0]
        )
        found = champion.score(champion.matrix(extremes))
        assert np.isfinite(found).all()
        assert ((found >= 0) & (found <= 1)).all()

    def test_test_period_roc_auc_exceeds_recency(self, champion: Champion) -> None:
        tested = champion.tested
        model, recency = (roc_auc_score(tested["churned"], tested[name]) for name in ("model", "recency"))
        assert model - recency >= 0.02
        assert brier_score_loss(tested["churned"], tested["model"]) < brier_score_loss(
            tested["churned"], tested["base_rate"]
        )

    def test_roc_auc_exceeds_recency_at_every_cutoff(self, champion: Champion) -> None:
        by_cutoff = champion.tested.groupby("cutoff")
        assert by_cutoff.ngroups == 4
        for cutoff, rows in by_cutoff:
            assert roc_auc_score(rows["churned"], rows["model"]) > roc_auc_score(rows["churned"], rows["recency"]), (
                cutoff
            )

    def test_summary_matches_the_test_predictions(self, champion: Champion, main_job: MainJob) -> None:
        reported, tested = main_job.summary["metrics"], champion.tested
        assert main_job.summary["test_rows"] == len(tested)
        assert reported["roc_auc"] == pytest.approx(roc_auc_score(tested["churned"], tested["model"]))
        assert reported["brier"] == pytest.approx(brier_score_loss(tested["churned"], tested["model"]))

    def test_scores_in_fifths_order_the_churn_rates(self, champion: Champion) -> None:
        tested = champion.tested
        observed = tested["churned"].groupby(pd.qcut(tested["model"].rank(method="first"), 5, labels=False)).mean()
        assert observed.is_monotonic_increasing
        assert observed.iloc[-1] - observed.iloc[0] > 0.3
