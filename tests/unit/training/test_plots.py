"""Plots of a training run: plotted values and labels."""

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from holdfast.core.types import Floats
from holdfast.training import plots
from holdfast.training.baselines import BASELINE_LABELS
from holdfast.training.bootstrap import CustomerBootstrap
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import Importance, Interval, MonthResult
from holdfast.training.metrics import compute_metric_intervals, compute_metrics
from holdfast.training.profit import estimate_profit
from holdfast.training.settings import ValueSettings
from tests.support.training_sets import synthetic_training_set

NAMES = ["Holdfast", *BASELINE_LABELS.values()]
VALUE = ValueSettings(kept_customer=40, offer_cost=4, response_rate=0.25)


@pytest.fixture(scope="module")
def holdout() -> TrainingSet:
    return synthetic_training_set(customers=80, months=3)


@pytest.fixture(scope="module")
def scores(holdout: TrainingSet) -> dict[str, Floats]:
    rng = np.random.default_rng(0)
    known = 0.5 * holdout.y + 0.5 * rng.random(len(holdout.y))
    return {"model": known} | {
        name: np.full(len(known), 0.4) if name == "base_rate" else rng.permutation(known) for name in BASELINE_LABELS
    }


@pytest.fixture(scope="module")
def months(holdout: TrainingSet, scores: dict[str, Floats]) -> list[MonthResult]:
    months = []
    for cutoff in holdout.keys["cutoff"].unique():
        rows = (holdout.keys["cutoff"] == cutoff).to_numpy()
        y, model = holdout.y[rows], scores["model"][rows]
        months.append(
            MonthResult(
                cutoff=cutoff,
                rows=int(rows.sum()),
                base_rate=float(y.mean()),
                mean_score=float(model.mean()),
                metrics=compute_metric_intervals(y, model, CustomerBootstrap(np.arange(rows.sum()), 50, 0)),
                baselines={name: compute_metrics(y, scores[name][rows]) for name in BASELINE_LABELS},
            )
        )
    return months


def _labels(axes: Axes) -> list[str]:
    return [str(line.get_label()) for line in axes.get_lines()]


def _legend(axes: Axes) -> list[str]:
    legend: Any = axes.get_legend()
    return [text.get_text() for text in legend.get_texts()]


def _line(axes: Axes, label: str) -> tuple[Floats, Floats]:
    (line,) = [line for line in axes.get_lines() if line.get_label() == label]
    x, y = line.get_data()
    return np.asarray(x), np.asarray(y)


def _drawn(figure: Any) -> list[Axes]:
    """Check that the figure can be drawn."""
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    return figure.axes


def test_plot_roc_and_pr_all_models_drawn_and_labeled(holdout: TrainingSet, scores: dict[str, Floats]) -> None:
    roc, pr = _drawn(plots._plot_roc_and_pr(holdout.y, scores))
    assert (roc.get_title(), roc.get_xlabel(), roc.get_ylabel()) == ("ROC", "false positive rate", "true positive rate")
    assert (pr.get_title(), pr.get_xlabel(), pr.get_ylabel()) == ("Precision and recall", "recall", "precision")
    assert _labels(roc) == NAMES
    assert _labels(pr) == NAMES
    x, y = _line(roc, "Holdfast")
    assert np.trapezoid(y, x) == pytest.approx(compute_metrics(holdout.y, scores["model"])["roc_auc"])
    assert set(_line(pr, "base rate")[1]) == {holdout.y.mean()}
    assert _legend(roc) == NAMES


def test_plot_months_three_months_draws_values_and_intervals(months: list[MonthResult]) -> None:
    figure = plots._plot_months(months)
    panels = _drawn(figure)
    assert [axes.get_title() for axes in panels] == ["ROC-AUC, higher is better", "Brier score, lower is better"]
    for axes, metric in zip(panels, ("roc_auc", "brier"), strict=True):
        assert axes.get_xlabel() == "test cut-off"
        names, values = _line(axes, "Holdfast")
        assert names.tolist() == ["2023-01", "2023-02", "2023-03"]
        assert values.tolist() == [month.metrics[metric].value for month in months]
        for name, label in BASELINE_LABELS.items():
            assert _line(axes, label)[1].tolist() == [month.baselines[name][metric] for month in months]
        (band,) = axes.collections
        edges = np.asarray(band.get_paths()[0].vertices)[:, 1]
        assert min(edges) == min(month.metrics[metric].low for month in months)
        assert max(edges) == max(month.metrics[metric].high for month in months)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == NAMES


def test_plot_months_single_class_month_leaves_gap(months: list[MonthResult]) -> None:
    nothing = Interval(value=float("nan"), low=float("nan"), high=float("nan"))
    gap = months[1].model_copy(update={"metrics": months[1].metrics | {"roc_auc": nothing}})
    roc_auc = _drawn(plots._plot_months([months[0], gap, months[2]]))[0]
    assert np.isnan(_line(roc_auc, "Holdfast")[1]).tolist() == [False, True, False]


def test_plot_reliability_three_months_draws_months_and_means(
    holdout: TrainingSet, scores: dict[str, Floats], months: list[MonthResult]
) -> None:
    left, right = _drawn(plots._plot_reliability(holdout, scores["model"], months))
    assert (left.get_title(), left.get_xlabel()) == ("Reliability", "predicted churn")
    assert left.get_ylabel() == "observed churn"
    assert _labels(left)[1:] == ["2023-01", "2023-02", "2023-03", "all months"]
    predicted, observed = _line(left, "all months")
    assert len(predicted) == 10
    assert (np.diff(predicted) > 0).all()
    assert observed.mean() == pytest.approx(holdout.y.mean())  # ten bins of as many rows
    assert predicted.mean() == pytest.approx(scores["model"].mean())
    assert right.get_title() == "Mean churn by month"
    assert _line(right, "predicted")[1].tolist() == [month.mean_score for month in months]
    assert _line(right, "observed")[1].tolist() == [month.base_rate for month in months]
    assert right.get_ylim() == (0, 1)


def test_plot_profit_estimate_marks_thresholds(holdout: TrainingSet, scores: dict[str, Floats]) -> None:
    bootstrap = CustomerBootstrap(holdout.keys["customer_id"].to_numpy(), 50, 0)
    value = estimate_profit(holdout.y, scores["model"], 0.4, VALUE, bootstrap)
    (axes,) = _drawn(plots._plot_profit(holdout.y, scores["model"], VALUE, value))
    assert axes.get_title() == "Profit per customer: worth 40, offer 4, response 25%"
    assert axes.get_xlabel() == "threshold: customers at or above it get an offer"
    chosen, half, hindsight = _legend(axes)
    assert chosen == f"chosen 0.40: {value.earned.value:+.3f}"
    assert half == f"0.50: {value.at_half.value:+.3f}"
    assert hindsight == f"hindsight {value.best_threshold:.2f}: {value.best:+.3f}"
    assert _line(axes, chosen) == ([0.4], [value.earned.value])
    thresholds, money = (np.asarray(values) for values in axes.get_lines()[0].get_data())
    assert money[thresholds == 0] == value.offers_to_all


def test_plot_importance_three_drops_largest_first() -> None:
    drops = [
        Importance(feature="silence", drop=Interval(value=0.2, low=0.1, high=0.25)),
        Importance(feature="money", drop=Interval(value=0.05, low=0.0, high=0.1)),
        Importance(feature="noise", drop=Interval(value=-0.01, low=-0.005, high=0.01)),  # not inside: no negative bar
    ]
    (axes,) = _drawn(plots._plot_importance(drops))
    assert axes.get_title() == "ROC-AUC lost when a feature is shuffled"
    assert axes.get_xlabel() == "drop, with 95% interval"
    assert [text.get_text() for text in axes.get_yticklabels()] == ["noise", "money", "silence"]  # from below
    assert [patch.get_width() for patch in axes.patches] == [-0.01, 0.05, 0.2]  # type: ignore[attr-defined]
    ends = axes.collections[0].get_segments()  # type: ignore[attr-defined]
    assert ends[2][:, 0] == pytest.approx([0.1, 0.25])


def test_plots_evaluated_models_have_label_and_color() -> None:
    assert plots.MODEL_COLORS.keys() == plots._LABELS.keys() == {"model", *BASELINE_LABELS}
    assert len(set(plots.MODEL_COLORS.values())) == len(plots.MODEL_COLORS)
