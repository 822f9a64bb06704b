"""The choice between candidates: by more than noise, reproducibly, and never against the simpler of two equals."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

from feature_repo.model_contract import Feature
from flows.training.candidates import SIZES, STRENGTHS, Candidate, baseline_scores, candidates
from flows.training.dataset import TrainingSet
from flows.training.evaluation import by_month, metrics, roc_auc_difference
from flows.training.selection import Fitted, choose, churn_scores, fit_candidate, fit_model
from tests.flows.conftest import Dataset

CUSTOMERS, MONTHS = 250, [datetime(2024, month, 1, tzinfo=UTC) for month in (1, 2, 3)]


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    """250 customers at three cut-offs; half of the rows churned."""
    rng = np.random.default_rng(5)
    keys = pd.DataFrame(
        {
            "customer_id": [f"c{n}" for n in range(CUSTOMERS)] * len(MONTHS),
            "cutoff": pd.Series(np.repeat(MONTHS, CUSTOMERS)).astype("datetime64[us, UTC]"),
        }
    )
    x = rng.normal(size=(len(keys), 1))
    return TrainingSet(
        keys, x, rng.random(len(keys)) < 0.5, [Feature("v", "days_since_last_purchase", "Float64", False)]
    )


def _scores(data: TrainingSet, signal: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=len(data.y))
    return 1 / (1 + np.exp(-(signal * data.y + noise)))


def _fitted(name: str, complexity: int, data: TrainingSet, scores: np.ndarray) -> Fitted:
    candidate = Candidate(name, name.split()[0], complexity, {}, lambda names, seed: DummyClassifier())
    return Fitted(candidate, DummyClassifier(), metrics(data.y, scores), scores)


class TestMetrics:
    def test_by_hand(self) -> None:
        churned, scores = np.array([True, False, True, False]), np.array([0.9, 0.8, 0.6, 0.1])
        found = metrics(churned, scores)
        assert found["roc_auc"] == 3 / 4  # of the four pairs only (0.6, 0.8) is the wrong way round
        assert found["pr_auc"] == pytest.approx((1 + 2 / 3) / 2)
        assert found["brier"] == pytest.approx((0.1**2 + 0.8**2 + 0.4**2 + 0.1**2) / 4)
        assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.2, 0.6, 0.9]).mean())

    def test_on_many_rows(self, data: TrainingSet) -> None:
        scores = _scores(data, 1.0)
        found = metrics(data.y, scores)
        assert found["roc_auc"] == roc_auc_score(data.y, scores)
        assert found["pr_auc"] == average_precision_score(data.y, scores)
        assert found["brier"] == pytest.approx(np.mean((scores - data.y) ** 2))

    def test_months_add_up(self, data: TrainingSet) -> None:
        scores = {"model": _scores(data, 1.0), "recency": _scores(data, 0.2)}
        table = by_month(data, scores)
        assert len(table) == len(MONTHS) * 2
        for name, values in scores.items():
            months = table[table["model"] == name]
            assert months["cutoff"].tolist() == MONTHS
            assert months["rows"].sum() == len(data.y)
            for metric in ("brier", "log_loss"):  # means over rows, so the months' weighted mean is the whole
                whole = np.average(months[metric], weights=months["rows"])
                assert whole == pytest.approx(metrics(data.y, values)[metric])
            assert np.average(months["base_rate"], weights=months["rows"]) == pytest.approx(data.y.mean())
        march = data.at([MONTHS[2]])
        last = table[(table["cutoff"] == MONTHS[2]) & (table["model"] == "model")].iloc[0]
        assert last["roc_auc"] == roc_auc_score(march.y, scores["model"][-CUSTOMERS:])


class TestDifference:
    def test_of_the_same_scores_is_nothing(self, data: TrainingSet) -> None:
        scores = _scores(data, 1.0)
        assert roc_auc_difference(data, scores, scores, 0) == (0.0, 0.0)
        assert roc_auc_difference(data, scores, scores**2, 0) == (0.0, 0.0)  # the same ranking

    def test_turned_round_it_changes_its_sign(self, data: TrainingSet) -> None:
        left, right = _scores(data, 1.5), _scores(data, 0.5, 1)
        difference, error = roc_auc_difference(data, left, right, 0)
        assert difference == roc_auc_score(data.y, left) - roc_auc_score(data.y, right) > 0
        assert roc_auc_difference(data, right, left, 0) == (-difference, error)

    def test_the_seed_alone_decides_the_error(self, data: TrainingSet) -> None:
        left, right = _scores(data, 1.0), _scores(data, 1.0, 1)
        first = roc_auc_difference(data, left, right, 3)
        assert roc_auc_difference(data, left, right, 3) == first
        assert roc_auc_difference(data, left, right, 4)[1] != first[1]

    def test_customers_are_drawn_not_rows(self, data: TrainingSet) -> None:
        """Three copies of each customer say no more than one: the error does not shrink with copies."""
        month = data.at([MONTHS[0]])
        copies = TrainingSet(
            pd.concat([month.keys] * 9, ignore_index=True), np.tile(month.x, (9, 1)), np.tile(month.y, 9), []
        )
        left, right = _scores(month, 1.0), _scores(month, 0.5, 1)
        once = roc_auc_difference(month, left, right, 0)
        nine_times = roc_auc_difference(copies, np.tile(left, 9), np.tile(right, 9), 0)
        assert nine_times == pytest.approx(once)

    def test_the_error_is_about_what_repetition_shows(self) -> None:
        """Against the spread of the difference over 200 fresh samples of the same size."""
        rng = np.random.default_rng(1)
        drawn = []
        for _ in range(200):
            y = rng.random(300) < 0.5
            drawn.append(roc_auc_score(y, y + rng.normal(size=300)) - roc_auc_score(y, 0.5 * y + rng.normal(size=300)))
        y = rng.random(300) < 0.5
        keys = pd.DataFrame({"customer_id": [str(n) for n in range(300)], "cutoff": MONTHS[0]})
        sample = TrainingSet(keys, np.zeros((300, 1)), y, [])
        left, right = y + rng.normal(size=300), 0.5 * y + rng.normal(size=300)
        assert roc_auc_difference(sample, left, right, 0)[1] == pytest.approx(np.std(drawn), rel=0.35)


class TestChoose:
    def test_a_clearly_better_rival_wins(self, data: TrainingSet) -> None:
        simple = _fitted("logistic", 0, data, _scores(data, 0.5))
        rival = _fitted("boosting", 1, data, _scores(data, 2.0))
        choice = choose([simple, rival], data, 0, 2.0)
        assert choice.fitted is rival
        assert choice.reason.startswith("boosting beats logistic on validation (ROC-AUC +0.")
        assert choose([rival, simple], data, 0, 2.0) == choice

    def test_a_rival_within_noise_loses(self, data: TrainingSet) -> None:
        simple = _fitted("logistic", 0, data, _scores(data, 1.0))
        rival = _fitted("boosting", 1, data, np.clip(simple.scores + 1e-3 * data.y, 0, 1))
        difference, error = roc_auc_difference(data, rival.scores, simple.scores, 0)
        assert difference > 0
        noise_z = difference / error * 1.01
        choice = choose([simple, rival], data, 0, noise_z)
        assert choice.fitted is simple
        assert choice.reason.startswith("boosting does not beat logistic on validation (ROC-AUC +0.")
        assert choice.reason.endswith(": the simpler model ships.")
        assert choose([simple, rival], data, 0, noise_z * 0.98).fitted is rival

    def test_noise_loses(self, data: TrainingSet) -> None:
        simple = _fitted("logistic", 0, data, _scores(data, 1.0))
        assert choose([simple, _fitted("boosting", 1, data, _scores(data, 0.0, 9))], data, 0, 2.0).fitted is simple

    def test_of_equals_the_simpler_wins(self, data: TrainingSet) -> None:
        scores = _scores(data, 1.0)
        simple, rival = _fitted("logistic", 0, data, scores), _fitted("boosting", 1, data, scores)
        assert choose([rival, simple], data, 0, 0.0).fitted is simple

    def test_each_family_sends_its_best(self, data: TrainingSet) -> None:
        family = [_fitted(f"logistic {signal}", 0, data, _scores(data, signal)) for signal in (0.1, 1.0, 0.5)]
        family.append(_fitted("boosting a", 1, data, _scores(data, 0.05)))
        assert choose(family, data, 0, 2.0).fitted.candidate.name == "logistic 1.0"

    def test_the_seed_gives_the_same_reason(self, data: TrainingSet) -> None:
        rivals = [_fitted("logistic", 0, data, _scores(data, 1.0)), _fitted("boosting", 1, data, _scores(data, 1.2, 1))]
        assert choose(rivals, data, 5, 2.0) == choose(rivals, data, 5, 2.0)


class TestCandidates:
    def test_they_are_what_the_run_is_said_to_compare(self) -> None:
        found = candidates()
        assert [item.params for item in found] == [{"C": c} for c in STRENGTHS] + [{"max_leaf_nodes": n} for n in SIZES]
        assert len({item.name for item in found}) == len(found) == 6
        assert max(i.complexity for i in found if i.family == "logistic") < min(
            i.complexity for i in found if i.family == "boosting"
        )

    @pytest.mark.parametrize("index", [1, 4])
    def test_the_seed_gives_the_same_model(self, dataset: Dataset, index: int) -> None:
        fit, validation = (dataset.data.at(part) for part in (dataset.split.fit, dataset.split.validation))
        candidate = candidates()[index]
        once, again = (fit_candidate(candidate, fit, validation, 0) for _ in range(2))
        assert once.scores.tobytes() == again.scores.tobytes()
        assert once.model is not again.model
        assert once.validation == metrics(validation.y, once.scores)
        assert ((once.scores >= 0) & (once.scores <= 1)).all()

    @pytest.mark.parametrize("item", candidates(), ids=lambda item: item.name)
    def test_every_one_learns_and_takes_nulls(self, dataset: Dataset, item: Any) -> None:
        development, test = (dataset.data.at(part) for part in (dataset.split.development, dataset.split.test))
        assert np.isnan(test.x).any()
        scores = churn_scores(fit_model(item, development, 0), test.x)
        assert scores.shape == (len(test.y),)
        assert roc_auc_score(test.y, scores) > 0.7

    @pytest.mark.parametrize("item", candidates()[4:], ids=lambda item: item.name)
    def test_boosting_never_takes_silence_for_a_good_sign(self, dataset: Dataset, item: Any) -> None:
        development, test = (dataset.data.at(part) for part in (dataset.split.development, dataset.split.test))
        model = fit_model(item, development, 0)
        names = [feature.name for feature in test.inputs]
        for name in ("days_since_last_purchase", "lateness_ratio", "silence_share"):
            x = test.x[~np.isnan(test.x[:, names.index(name)])].copy()
            before = churn_scores(model, x)
            for factor in (1.2, 2.0, 10.0):
                x[:, names.index(name)] *= factor
                after = churn_scores(model, x)
                assert (after >= before - 1e-12).all(), name
                before = after


class TestBaselines:
    def test_the_base_rate_is_one_number_and_recency_a_ranking(self, data: TrainingSet) -> None:
        test = data.at(MONTHS[2:])
        train = data.at(MONTHS[:2])
        scores = baseline_scores(train, test)
        assert list(scores) == ["base_rate", "recency"]
        assert (scores["base_rate"] == train.y.mean()).all()
        assert len(scores["recency"]) == len(test.y)
        order = np.argsort(test.column("days_since_last_purchase"))
        steps = np.diff(scores["recency"][order])
        assert (steps >= 0).all() or (steps <= 0).all()

    def test_they_see_nothing_of_the_test(self, dataset: Dataset) -> None:
        development, test = (dataset.data.at(part) for part in (dataset.split.development, dataset.split.test))
        blind = TrainingSet(test.keys, test.x, ~test.y, test.inputs)
        for name, values in baseline_scores(development, test).items():
            assert values.tobytes() == baseline_scores(development, blind)[name].tobytes()

    def test_recency_beats_the_base_rate_on_the_shop(self, dataset: Dataset) -> None:
        development, test = (dataset.data.at(part) for part in (dataset.split.development, dataset.split.test))
        found = {name: metrics(test.y, values) for name, values in baseline_scores(development, test).items()}
        assert found["base_rate"]["roc_auc"] == 0.5
        assert found["recency"]["roc_auc"] > 0.6
        assert found["recency"]["brier"] < found["base_rate"]["brier"]
