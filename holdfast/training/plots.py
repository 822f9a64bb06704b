"""Plots of a training run."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from holdfast.core.plot_style import AMBER, GRAY, GREEN, LIGHT, style_axes
from holdfast.core.types import Bools, Floats
from holdfast.training.baselines import BASELINE_LABELS
from holdfast.training.bootstrap import calibration_bins
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import Evaluation, Importance, MonthResult, ProfitEstimate
from holdfast.training.profit import profit_curve
from holdfast.training.settings import ValueSettings

MODEL_COLORS = {
    "model": GREEN,
    "recency": AMBER,
    "rfm": "#2563eb",
    "bg_nbd": "#9333ea",
    "pareto_nbd": "#db2777",
    "base_rate": GRAY,
}
_LABELS = {"model": "Holdfast"} | BASELINE_LABELS


def plot_evaluation(
    test: TrainingSet, scores: Mapping[str, Floats], evaluation: Evaluation, value: ValueSettings
) -> dict[str, Figure]:
    """Plot the evaluation of a version on the test period.

    Args:
        test: Test rows.
        scores: "model" and each baseline to scores, shape (rows,).
        evaluation: Evaluation of the version.
        value: Value of customers and offers.

    Returns:
        Name to figure.
    """
    return {
        "test_curves": _plot_roc_and_pr(test.y, scores),
        "test_months": _plot_months(evaluation.months),
        "reliability": _plot_reliability(test, scores["model"], evaluation.months),
        "profit": _plot_profit(test.y, scores["model"], value, evaluation.value),
        "importance": _plot_importance(evaluation.importance),
    }


def _plot_roc_and_pr(churned: Bools, scores: Mapping[str, Floats]) -> Figure:
    """Plot the ROC and precision-recall curves of each model on the test period."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    roc, pr = figure.subplots(1, 2)
    for name, values in scores.items():
        style = {"color": MODEL_COLORS[name], "label": _LABELS[name], "lw": 2.2 if name == "model" else 1.2}
        false_positive, true_positive, _ = roc_curve(churned, values)
        roc.plot(false_positive, true_positive, **style)
        if np.ptp(values) == 0:  # with equal scores the precision of every subset is the base rate
            pr.axhline(churned.mean(), **style)
        else:
            precision, recall, _ = precision_recall_curve(churned, values)
            shown = recall > 0.01  # the precision of the first few customers is mostly chance
            pr.plot(recall[shown], precision[shown], **style)
    for axes, title, x, y in (
        (roc, "ROC", "false positive rate", "true positive rate"),
        (pr, "Precision and recall", "recall", "precision"),
    ):
        axes.set(title=title, xlabel=x, ylabel=y)
        style_axes(axes)
    roc.legend(frameon=False, loc="lower right")
    return figure


def _plot_months(months: Sequence[MonthResult]) -> Figure:
    """Plot ROC-AUC and Brier score by test cut-off, with 95% intervals of the model."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    names = [f"{month.cutoff:%Y-%m}" for month in months]
    for axes, metric, title in zip(
        figure.subplots(1, 2), ("roc_auc", "brier"), ("ROC-AUC, higher is better", "Brier score, lower is better"),
        strict=True,
    ):  # fmt: skip
        intervals = [month.metrics[metric] for month in months]
        axes.plot(names, [i.value for i in intervals], marker="o", ms=4, lw=2.2, color=GREEN, label=_LABELS["model"])
        axes.fill_between(names, [i.low for i in intervals], [i.high for i in intervals], color=GREEN, alpha=0.15, lw=0)
        for name in months[0].baselines:
            values = [month.baselines[name][metric] for month in months]
            axes.plot(names, values, marker="o", ms=3, lw=1.2, color=MODEL_COLORS[name], label=_LABELS[name])
        axes.set(title=title, xlabel="test cut-off")
        style_axes(axes)
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=6)
    return figure


def _plot_reliability(test: TrainingSet, scores: Floats, months: Sequence[MonthResult]) -> Figure:
    """Plot predicted and observed churn: the reliability diagram, and means by month."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color=LIGHT, ls="--", zorder=0)
    for month, shade in zip(months, np.linspace(0.35, 0.9, len(months)), strict=True):
        rows = (test.keys["cutoff"] == month.cutoff).to_numpy()
        left.plot(
            *_reliability(test.y[rows], scores[rows]), color=matplotlib.colormaps["Greys"](shade), lw=1,
            label=f"{month.cutoff:%Y-%m}",
        )  # fmt: skip
    left.plot(*_reliability(test.y, scores), color=GREEN, lw=2.2, marker="o", ms=4, label="all months")
    left.set(title="Reliability", xlabel="predicted churn", ylabel="observed churn")
    left.legend(frameon=False, loc="upper left")
    names = [f"{month.cutoff:%Y-%m}" for month in months]
    right.plot(names, [month.mean_score for month in months], color=GREEN, lw=2.2, marker="o", ms=4, label="predicted")
    right.plot(names, [month.base_rate for month in months], color=GRAY, lw=1.4, marker="o", ms=4, label="observed")
    right.set(title="Mean churn by month", xlabel="test cut-off", ylim=(0, 1))
    right.legend(frameon=False, loc="lower right")
    for axes in (left, right):
        style_axes(axes)
    return figure


def _plot_profit(churned: Bools, scores: Floats, value: ValueSettings, profit: ProfitEstimate) -> Figure:
    """Plot the profit per customer on the test period by threshold."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(*profit_curve(churned, scores, value), color=GREEN, lw=2.2)
    axes.axhline(0, color=LIGHT, zorder=0)
    for threshold, amount, name, color in (
        (profit.threshold, profit.earned.value, f"chosen {profit.threshold:.2f}: {profit.earned.value:+.3f}", GREEN),
        (0.5, profit.at_half.value, f"0.50: {profit.at_half.value:+.3f}", AMBER),
        (profit.best_threshold, profit.best, f"hindsight {profit.best_threshold:.2f}: {profit.best:+.3f}", GRAY),
    ):
        axes.plot([threshold], [amount], marker="o", ms=8, ls="", color=color, label=name)
    axes.set(
        title=f"Profit per customer: worth {value.kept_customer:g}, offer {value.offer_cost:g}, "
        f"response {value.response_rate:.0%}",
        xlabel="threshold: customers at or above it get an offer",
        ylabel="profit per customer",
    )
    axes.legend(frameon=False)
    style_axes(axes)
    return figure


def _plot_importance(importance: Sequence[Importance]) -> Figure:
    """Plot the ROC-AUC lost when a feature is shuffled, with 95% intervals."""
    figure = Figure(figsize=(8, 0.3 * len(importance) + 1.2), layout="constrained")
    axes = figure.subplots()
    drops = [item.drop for item in reversed(importance)]
    low = [max(0.0, drop.value - drop.low) for drop in drops]
    high = [max(0.0, drop.high - drop.value) for drop in drops]
    axes.barh([item.feature for item in reversed(importance)], [drop.value for drop in drops], color=GREEN, alpha=0.75,
              xerr=[low, high], error_kw={"ecolor": GRAY, "elinewidth": 1})  # fmt: skip
    axes.set(title="ROC-AUC lost when a feature is shuffled", xlabel="drop, with 95% interval")
    style_axes(axes)
    return figure


def _reliability(churned: Bools, scores: Floats) -> tuple[Floats, Floats]:
    bins = calibration_bins(scores)
    rows = np.bincount(bins)
    filled = rows > 0
    return (
        np.bincount(bins, weights=scores)[filled] / rows[filled],
        np.bincount(bins, weights=churned)[filled] / rows[filled],
    )
