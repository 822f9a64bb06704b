"""Evaluation of a model on the test period."""

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from holdfast.core.types import Floats
from holdfast.training.baselines import BASELINE_LABELS, score_baselines
from holdfast.training.bootstrap import CustomerBootstrap, roc_auc_draws
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation import (
    _assign_groups,
    _evaluate_slice,
    evaluate_model,
)
from holdfast.training.evaluation_report import METRIC_LABELS, Evaluation, ServedFit, SliceResult
from holdfast.training.fitting import fit_recipe, predict_churn
from holdfast.training.metrics import compute_metric_intervals, compute_metrics
from holdfast.training.model_selection import ModelChoice
from holdfast.training.recipe import Recipe
from holdfast.training.settings import Slice, TrainingSettings
from tests.support.recipes import CHOICE, make_recipe, make_trial
from tests.support.shop_fixtures import Dataset
from tests.support.strategies import EXAMPLES
from tests.support.training_sets import make_training_set, month_starts, synthetic_training_set

TRAINING = TrainingSettings(resamples=100)
SHIPPED = ServedFit(cutoffs=month_starts(3), refitted=False, change=None, limit=None, reason="The tested model ships.")


@dataclass(frozen=True)
class OnTest:
    """Evaluation of a model of the shop, with its inputs."""

    development: TrainingSet
    test: TrainingSet
    scores: dict[str, Floats]
    report: Evaluation


def _tested(development: TrainingSet, test: TrainingSet, recipe: Recipe, model: Any, **scores: Floats) -> OnTest:
    every = {
        "model": predict_churn(model, test.x),
        **(scores or score_baselines(development, development.histories[recipe.development[-1]], test, 90)),
    }
    choice = ModelChoice(recipe, make_trial(recipe.family), "It is the only one.", (), CHOICE)
    report = evaluate_model(model, every, development, test, choice, TRAINING, SHIPPED, 500)
    return OnTest(development, test, every, report)


@pytest.fixture(scope="module")
def shop(dataset: Dataset) -> OnTest:
    recipe = make_recipe(dataset.split.development, dataset.split.test)
    development, test = dataset.data.at_cutoffs(recipe.development), dataset.data.at_cutoffs(recipe.test)
    return _tested(development, test, recipe, fit_recipe(recipe, dataset.data))


class TestEvaluateModel:
    def test_evaluate_model_report_describes_test(self, shop: OnTest, dataset: Dataset) -> None:
        report = shop.report
        assert report.rows == len(shop.test.y)
        assert report.customers == shop.test.keys["customer_id"].nunique() < report.rows
        assert report.cutoffs == list(dataset.split.test)
        assert report.base_rate == shop.test.y.mean()
        assert (report.family, report.chosen, report.reason) == ("logistic", "logistic C=0.01", "It is the only one.")
        assert (report.calibration, report.calibration_reason) == ("none", "Nothing to compare.")
        assert report.over_families is None
        assert report.served == SHIPPED

    def test_evaluate_model_level_is_mean_predicted_minus_observed(self, shop: OnTest) -> None:
        level = shop.report.level
        assert level is not None
        assert (level.months, level.history_days) == (len(shop.report.cutoffs), 500)
        assert level.bias.value == pytest.approx(shop.scores["model"].mean() - shop.test.y.mean())
        assert level.bias.low < level.bias.value < level.bias.high
        both = pd.concat([part.keys.assign(churned=part.y) for part in (shop.development, shop.test)])
        rates = both.groupby("cutoff")["churned"].mean()
        assert level.month_spread == pytest.approx(max(rates.max() - rates.mean(), rates.mean() - rates.min()))

    def test_evaluate_model_each_baseline_has_log_loss_gain(self, shop: OnTest) -> None:
        assert list(shop.report.log_loss_gains) == list(BASELINE_LABELS)
        for name, gain in shop.report.log_loss_gains.items():
            losses = (log_loss(shop.test.y, shop.scores[key]) for key in (name, "model"))
            assert gain.value == pytest.approx(np.subtract(*losses))
            assert gain.low <= gain.value <= gain.high
        assert shop.report.log_loss_gains["base_rate"].low > 0

    def test_evaluate_model_months_and_slices_have_bias_with_interval(self, shop: OnTest) -> None:
        for item in [*shop.report.months, *shop.report.slices]:
            assert item.bias is not None
            assert item.bias.value == pytest.approx(item.mean_score - item.base_rate)
            assert item.bias.low < item.bias.value < item.bias.high
        assert {item.months for item in shop.report.slices} == {len(shop.report.cutoffs)}

    def test_evaluate_model_slices_compared_with_best_simple_model_of_the_slice(self, shop: OnTest) -> None:
        group = TRAINING.slices[1]  # one-time and repeat buyers
        numbers = _assign_groups(group, shop.test.column(group.feature))
        for number, item in enumerate(item for item in shop.report.slices if item.feature == group.feature):
            rows = numbers == number
            every = {name: roc_auc_score(shop.test.y[rows], values[rows]) for name, values in shop.scores.items()}
            assert item.behind_simple is not None
            assert item.best_simple == max(BASELINE_LABELS, key=lambda name: every[name])
            assert item.behind_simple.value == pytest.approx(every[item.best_simple] - every["model"])
            assert item.behind_simple.low <= item.behind_simple.value <= item.behind_simple.high

    def test_evaluate_model_metrics_computed_from_scores_of_each_model(self, shop: OnTest) -> None:
        assert list(shop.report.metrics) == ["model", *BASELINE_LABELS]
        for name, found in shop.report.metrics.items():
            assert {metric: item.value for metric, item in found.items()} == compute_metrics(
                shop.test.y, shop.scores[name]
            )
            assert list(found) == list(METRIC_LABELS)

    def test_evaluate_model_values_within_their_intervals(self, shop: OnTest) -> None:
        """The bootstrap can only increase the calibration error, so the value may lie below the interval."""
        for name, found in shop.report.metrics.items():
            for metric, item in found.items():
                assert item.low <= item.value or metric == "ece", (name, metric)
                assert item.value <= item.high, (name, metric)
                assert item.high - item.low < 0.3

    def test_evaluate_model_each_baseline_compared(self, shop: OnTest) -> None:
        model = roc_auc_score(shop.test.y, shop.scores["model"])
        assert list(shop.report.over_baselines) == list(BASELINE_LABELS)
        for name, found in shop.report.over_baselines.items():
            assert found.value == pytest.approx(model - roc_auc_score(shop.test.y, shop.scores[name]))
            assert found.low <= found.value <= found.high
        assert shop.report.over_baselines["base_rate"].low > 0.2

    def test_evaluate_model_months_sum_to_test_rows(self, shop: OnTest, dataset: Dataset) -> None:
        months, report = shop.report.months, shop.report
        weights = [month.rows for month in months]
        assert [month.cutoff for month in months] == list(dataset.split.test)
        assert sum(weights) == report.rows
        assert np.average([month.base_rate for month in months], weights=weights) == pytest.approx(report.base_rate)
        assert np.average([month.mean_score for month in months], weights=weights) == pytest.approx(
            shop.scores["model"].mean()
        )
        for metric in ("brier", "log_loss"):  # means over rows
            whole = np.average([month.metrics[metric].value for month in months], weights=weights)
            assert whole == pytest.approx(report.metrics["model"][metric].value)
            for name in BASELINE_LABELS:
                whole = np.average([month.baselines[name][metric] for month in months], weights=weights)
                assert whole == pytest.approx(report.metrics[name][metric].value)

    def test_evaluate_model_month_has_metrics_of_its_rows(self, shop: OnTest, dataset: Dataset) -> None:
        cutoff = dataset.split.test[2]
        rows = (shop.test.keys["cutoff"] == cutoff).to_numpy()
        month = shop.report.months[2]
        assert month.metrics["roc_auc"].value == roc_auc_score(shop.test.y[rows], shop.scores["model"][rows])
        assert month.baselines["rfm"] == compute_metrics(shop.test.y[rows], shop.scores["rfm"][rows])
        bootstrap = CustomerBootstrap(shop.test.keys["customer_id"].to_numpy(), TRAINING.resamples, TRAINING.seed)
        drawn = bootstrap.one_month(rows)
        assert month.metrics == compute_metric_intervals(shop.test.y[rows], shop.scores["model"][rows], drawn)

    def test_evaluate_model_slices_sum_to_test_rows(self, shop: OnTest) -> None:
        for group in TRAINING.slices:
            found = [item for item in shop.report.slices if item.feature == group.feature]
            weights = [item.rows for item in found]
            assert [item.label for item in found] == group.labels
            assert sum(weights) == shop.report.rows
            for name, whole in (
                ("base_rate", shop.report.base_rate),
                ("mean_score", shop.scores["model"].mean()),
                ("brier", shop.report.metrics["model"]["brier"].value),
            ):
                assert np.average([getattr(item, name) for item in found], weights=weights) == pytest.approx(whole)

    def test_evaluate_model_spend_quantiles_equal_size(self, shop: OnTest) -> None:
        rows = [item.rows for item in shop.report.slices if item.feature == "total_amount"]
        assert len(rows) == 4
        assert max(rows) - min(rows) <= 4

    def test_evaluate_model_profit_computed_at_threshold(self, shop: OnTest) -> None:
        value = shop.report.value
        assert value.threshold == 2 / 3
        treated = shop.scores["model"] >= 2 / 3
        assert value.earned.value == pytest.approx((treated * (3.0 * shop.test.y - 2)).mean())
        assert value.best >= value.earned.value - 1e-12

    def test_evaluate_model_each_input_has_importance(self, shop: OnTest) -> None:
        assert {item.feature for item in shop.report.importance} == {feature.name for feature in shop.test.inputs}

    def test_evaluate_model_shop_instability_small(self, shop: OnTest) -> None:
        assert 0 < shop.report.instability.low <= shop.report.instability.value <= shop.report.instability.high < 0.1

    def test_evaluation_json_round_trip_equal(self, shop: OnTest) -> None:
        assert Evaluation.model_validate_json(shop.report.model_dump_json(indent=2)) == shop.report

    def test_evaluation_of_an_earlier_release_readable(self, shop: OnTest) -> None:
        """Monitoring and the gates read the report of a champion that an earlier release trained."""
        fields = json.loads(shop.report.model_dump_json())
        for name in (
            "over_families",
            "log_loss_gains",
            "folds",
            "served",
            "decisions",
            "search_notes",
            "history_notes",
        ):
            del fields[name]
        del fields["level"]["month_spread"]
        older = Evaluation.model_validate(fields | {"simpler": None})
        assert older.metrics == shop.report.metrics
        assert (older.over_families, older.folds) == (None, None)
        assert older.level is not None and shop.report.level is not None
        assert (older.level.bias, older.level.month_spread) == (shop.report.level.bias, 0)


class TestOneClass:
    """A month and a group in which all customers churned."""

    @pytest.fixture(scope="class")
    def report(self) -> OnTest:
        data = synthetic_training_set(customers=60, months=3)
        x, y = data.x.copy(), data.y.copy()
        last = (data.keys["cutoff"] == month_starts(3)[2]).to_numpy()
        y[last] = True
        x[:, 1] = np.where(last, 1000.0, x[:, 1])
        data = TrainingSet(data.keys, x, y, data.inputs)
        recipe = make_recipe(tuple(month_starts(1)), tuple(month_starts(3)[1:]))
        development, test = data.at_cutoffs(recipe.development), data.at_cutoffs(recipe.test)
        slices = [Slice(feature="noise", edges=[100], labels=["mixed", "lost"])]
        training = TrainingSettings(resamples=50, slices=slices)
        model = fit_recipe(recipe, data)
        scores = {"model": predict_churn(model, test.x), "base_rate": np.full(len(test.y), 0.5)}
        choice = ModelChoice(recipe, make_trial(recipe.family), "", (), CHOICE)
        report = evaluate_model(model, scores, development, test, choice, training, SHIPPED, 500)
        return OnTest(development, test, scores, report)

    def test_evaluate_model_single_class_month_has_no_ranking_metrics(self, report: OnTest) -> None:
        mixed, lost = report.report.slices
        assert (lost.roc_auc, lost.gap, lost.base_rate) == (None, None, 1.0)
        assert lost.brier == pytest.approx(((1 - report.scores["model"][report.test.x[:, 1] > 100]) ** 2).mean())
        assert mixed.roc_auc is not None
        month = report.report.months[1]
        assert np.isnan(month.metrics["roc_auc"].value)
        assert np.isnan(month.metrics["roc_auc"].low)
        assert np.isfinite(month.metrics["log_loss"].high)

    def test_evaluation_json_round_trip_with_nan_equal(self, report: OnTest) -> None:
        """NaN is no JSON number."""
        text = report.report.model_dump_json()
        again = Evaluation.model_validate_json(text)
        assert np.isnan(again.months[1].metrics["roc_auc"].value)
        assert again.model_dump_json() == text


class TestAssignGroups:
    @given(
        st.lists(st.one_of(st.floats(-1e6, 1e6), st.sampled_from([1.0, 2.0, 5.0])), min_size=1, max_size=40),
        st.sets(st.sampled_from([1.0, 2.0, 5.0, 1e5]), min_size=1),
    )
    @EXAMPLES
    def test_assign_groups_value_on_edge_in_group_above(self, values: list[float], edges: set[float]) -> None:
        ascending = sorted(edges)
        group = Slice(feature="f", edges=ascending, labels=[str(n) for n in range(len(edges) + 1)])
        for value, number in zip(values, _assign_groups(group, np.array(values)), strict=True):
            assert number == sum(edge <= value for edge in ascending)

    @given(st.lists(st.floats(-1e6, 1e6), min_size=8, max_size=60, unique=True), st.integers(2, 5))
    @EXAMPLES
    def test_assign_groups_quantiles_similar_size_in_order(self, values: list[float], quantiles: int) -> None:
        group = Slice(feature="f", quantiles=quantiles, labels=[str(n) for n in range(quantiles)])
        numbers = _assign_groups(group, np.array(values))
        sizes = np.bincount(numbers, minlength=quantiles)
        assert len(sizes) == quantiles
        assert max(sizes) - min(sizes) <= 2
        assert (np.diff(numbers[np.argsort(values)]) >= 0).all()

    def test_assign_groups_missing_values_separate_group(self) -> None:
        """NaN is not sorted into the highest group, and quantiles are those of the known values."""
        values = np.array([np.nan, 1, 2, 3, 4, np.nan])
        halves = Slice(feature="f", quantiles=2, labels=["low", "high"])
        assert _assign_groups(halves, values).tolist() == [2, 0, 0, 1, 1, 2]
        assert _assign_groups(Slice(feature="f", edges=[3], labels=["low", "high"]), values).tolist() == [
            2,
            0,
            0,
            1,
            1,
            2,
        ]
        assert _assign_groups(halves, np.full(3, np.nan)).tolist() == [2, 2, 2]


class TestEvaluateSlice:
    SLICE = Slice(feature="age", edges=[10, 20, 30], labels=["child", "none", "young", "old"])

    def _rows(self) -> tuple[TrainingSet, Floats]:
        rng = np.random.default_rng(0)
        age = np.repeat([5.0, 20.0, 40.0], 100)
        churned = np.r_[rng.random(100) < 0.5, rng.random(100) < 0.3, np.ones(100)]
        signal = np.repeat([0.5, 0.0, 0.3], 100)  # none among the young
        scores = signal * churned + (1 - signal) * rng.random(300)
        return make_training_set(churned, range(300), month_starts(1) * 300, age=age), scores

    def _evaluate(self, group: Slice, test: TrainingSet, scores: Floats) -> list[SliceResult]:
        bootstrap = CustomerBootstrap(np.arange(300), 100, 0)
        return _evaluate_slice(group, test, {"model": scores}, bootstrap, roc_auc_draws(test.y, scores, bootstrap))

    def test_evaluate_slice_three_groups_equals_manual_calculation(self) -> None:
        test, scores = self._rows()
        found = self._evaluate(self.SLICE, test, scores)
        assert [item.label for item in found] == ["child", "young", "old"]  # no customer is between 10 and 20
        for item, start in zip(found, (0, 100, 200), strict=True):
            rows = slice(start, start + 100)
            assert (item.feature, item.rows) == ("age", 100)
            assert item.base_rate == test.y[rows].mean()
            assert item.mean_score == pytest.approx(scores[rows].mean())
            assert item.brier == pytest.approx(brier_score_loss(test.y[rows], scores[rows], labels=[False, True]))
        for item, rows in zip(found[:2], (slice(0, 100), slice(100, 200)), strict=True):
            assert item.roc_auc is not None
            assert item.gap is not None
            assert item.roc_auc.value == roc_auc_score(test.y[rows], scores[rows])
            assert item.gap.value == pytest.approx(roc_auc_score(test.y, scores) - item.roc_auc.value)
            assert item.gap.low < item.gap.value < item.gap.high
        assert found[0].gap is not None and found[0].gap.high < 0  # better than overall
        assert found[1].gap is not None and found[1].gap.low > 0
        assert found[2].roc_auc is found[2].gap is None

    def test_evaluate_slice_group_of_all_rows_no_gap(self) -> None:
        test, scores = self._rows()
        all_rows = Slice(feature="age", edges=[1000], labels=["all", "none"])
        (found,) = self._evaluate(all_rows, test, scores)
        assert found.gap is not None
        assert (found.gap.value, found.gap.low, found.gap.high) == (0, 0, 0)

    def test_evaluate_slice_missing_values_unknown_group(self) -> None:
        test, scores = self._rows()
        x = np.where(np.arange(300)[:, None] < 50, np.nan, test.x)
        found = self._evaluate(self.SLICE, replace(test, x=x), scores)
        assert [(item.label, item.rows) for item in found] == [
            ("child", 50), ("young", 100), ("old", 100), ("unknown", 50)
        ]  # fmt: skip
