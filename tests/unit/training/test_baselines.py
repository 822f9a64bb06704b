"""Baseline models."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import numpy as np
import pytest

from holdfast.core.types import Bools, Floats
from holdfast.training import baselines
from holdfast.training.baselines import BASELINE_LABELS, score_baselines
from holdfast.training.bootstrap import CustomerBootstrap
from holdfast.training.dataset import PurchaseHistory, TrainingSet, read_purchase_history
from holdfast.training.metrics import compute_metrics, roc_auc_difference
from tests.support.shop_fixtures import Dataset
from tests.support.small_shop import KNOWN_AT, transactions
from tests.support.training_sets import make_training_set, month_starts


@pytest.fixture(scope="module")
def parts(dataset: Dataset) -> tuple[TrainingSet, TrainingSet]:
    return dataset.data.at_cutoffs(dataset.split.development), dataset.data.at_cutoffs(dataset.split.test)


@pytest.fixture(scope="module")
def history(dataset: Dataset) -> PurchaseHistory:
    return read_purchase_history(dataset.settings, dataset.split.development[-1], KNOWN_AT)


@pytest.fixture(scope="module")
def scores(parts: tuple[TrainingSet, TrainingSet], history: PurchaseHistory) -> dict[str, Floats]:
    development, test = parts
    return score_baselines(development, history, test, 90)


def test_read_purchase_history_shop_contains_inactive_customers(dataset: Dataset, history: PurchaseHistory) -> None:
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
        assert list(scores) == list(BASELINE_LABELS) == ["base_rate", "recency", "rfm", "bg_nbd"]
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

    @pytest.mark.parametrize("name", ["recency", "rfm", "bg_nbd"])
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
        other = score_baselines(development, history, TrainingSet(test.keys, x, test.y, test.inputs), 90)
        assert (other["rfm"] != scores["rfm"]).all()
        assert (other["recency"] == scores["recency"]).all()

    def test_score_baselines_changed_test_outcomes_same_scores(
        self, parts: tuple[TrainingSet, TrainingSet], history: PurchaseHistory, scores: dict[str, Floats]
    ) -> None:
        development, test = parts
        blind = TrainingSet(test.keys, test.x, ~test.y, test.inputs)
        for name, values in score_baselines(development, history, blind, 90).items():
            assert values.tobytes() == scores[name].tobytes(), name


# Parameters of a shop where people buy every three weeks or so and one in five purchases is the last.
R, ALPHA, A, B = 1.2, 25.0, 1.5, 6.0
HORIZON = 90


def _simulated(customers: int, seed: int) -> TrainingSet:
    """Simulate BG/NBD (Fader, Hardie and Lee, 2005) purchase by purchase, from its assumptions instead of its formula.

    A customer of age T buys at rate lambda ~ Gamma(r, alpha) and drops out after every repeat purchase with
    probability p ~ Beta(a, b). Churned: no purchase from T to T + HORIZON.
    """
    rng = np.random.default_rng(seed)
    rate, p = rng.gamma(R, 1 / ALPHA, customers), rng.beta(A, B, customers)
    age = rng.uniform(30, 300, customers)
    repeats, last = np.zeros(customers), np.zeros(customers)
    silent, alive, now = np.ones(customers, dtype=bool), np.ones(customers, dtype=bool), np.zeros(customers)
    while alive.any():
        now = np.where(alive, now + rng.exponential(1 / rate), np.inf)
        before, within = now < age, (now >= age) & (now < age + HORIZON)
        repeats[before] += 1
        last[before] = now[before]
        silent[within] = False
        alive &= before & (rng.random(customers) >= p)  # purchases after the first in the horizon do not matter
    return make_training_set(
        silent, range(customers), month_starts(1) * customers,
        purchase_days=repeats + 1, mean_purchase_amount=np.ones(customers),
        days_since_last_purchase=age - last, tenure_days=age,
    )  # fmt: skip


class TestBgNbd:
    @pytest.fixture(scope="class")
    def simulated(self) -> tuple[TrainingSet, Floats]:
        test = _simulated(60_000, 1)
        return test, baselines._bg_nbd(baselines._test_history(_simulated(4_000, 0)), test, HORIZON)

    @pytest.mark.parametrize(
        ("name", "group"),
        [
            ("all", lambda repeats, share: repeats >= 0),
            ("bought once", lambda repeats, share: repeats == 0),
            ("once again, long ago", lambda repeats, share: (repeats == 1) & (share < 0.3)),
            ("once again, lately", lambda repeats, share: (repeats == 1) & (share > 0.7)),
            ("often, long ago", lambda repeats, share: (repeats > 4) & (share < 0.5)),
            ("often, lately", lambda repeats, share: (repeats > 4) & (share > 0.8)),
        ],
    )
    def test_bg_nbd_simulated_customers_scores_match_churn_rate(
        self, simulated: tuple[TrainingSet, Floats], name: str, group: Callable[[Floats, Floats], Bools]
    ) -> None:
        test, scores = simulated
        age = test.column("tenure_days")
        rows = group(test.column("purchase_days") - 1, 1 - test.column("days_since_last_purchase") / age)
        assert rows.sum() > 300
        noise = np.sqrt(0.25 / rows.sum())
        assert scores[rows].mean() == pytest.approx(test.y[rows].mean(), abs=0.015 + 3 * noise)

    def test_bg_nbd_simulated_customers_scores_vary(self, simulated: tuple[TrainingSet, Floats]) -> None:
        """Check that the test above compares different scores."""
        test, scores = simulated
        assert np.std(scores) > 0.2
        assert compute_metrics(test.y, scores)["ece"] < 0.02

    def test_bg_nbd_longer_horizon_lower_scores(self) -> None:
        train, test = _simulated(2_000, 0), _simulated(500, 2)
        horizons: Sequence[int] = (30, 90, 365)
        scores = [baselines._bg_nbd(baselines._test_history(train), test, horizon) for horizon in horizons]
        assert (scores[0] > scores[1]).all()
        assert (scores[1] > scores[2]).all()

    def test_bg_nbd_new_customer_score_equals_lifetimes(self) -> None:
        """Compare with the closed form for a first purchase at the cut-off."""
        train = _simulated(2_000, 0)
        new = make_training_set([True], ["new"], month_starts(1), purchase_days=[1], mean_purchase_amount=[1],
                           days_since_last_purchase=[0], tenure_days=[0])  # fmt: skip
        model = baselines._fit_bg_nbd(baselines._test_history(train))
        expected = model.probability_of_n_purchases_up_to_time(HORIZON, 0)
        assert baselines._bg_nbd(baselines._test_history(train), new, HORIZON)[0] == pytest.approx(float(expected))

    @pytest.mark.parametrize(
        "customers",
        [
            pytest.param({"purchase_days": [1] * 30, "days_since_last_purchase": range(30)}, id="no repeat purchases"),
            pytest.param({"purchase_days": [6] * 30, "days_since_last_purchase": [1] * 30}, id="all are alike"),
            pytest.param(
                {"purchase_days": [1, 2, 4, 2, 9], "days_since_last_purchase": [30, 2, 3, 35, 1]}, id="five customers"
            ),
        ],
    )
    def test_bg_nbd_degenerate_histories_valid_scores(self, customers: dict[str, Any], capsys: Any) -> None:
        """Without drop-outs the likelihood has no maximum; a small penalty gives it one."""
        rows = len(customers["purchase_days"])
        age = np.arange(rows) + 40.0
        train = make_training_set([True] * rows, range(rows), month_starts(1) * rows, tenure_days=age,
                             mean_purchase_amount=[1.0] * rows, **customers)  # fmt: skip
        scores = baselines._bg_nbd(baselines._test_history(train), train, HORIZON)
        assert ((scores >= 0) & (scores <= 1)).all()
        assert capsys.readouterr().out == ""
