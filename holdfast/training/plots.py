"""Plots of a training run, and the style of all plots."""

from collections.abc import Mapping, Sequence

import matplotlib
import matplotlib.axes
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from holdfast.core.types import Bools, Floats
from holdfast.training.baselines import BASELINE_LABELS
from holdfast.training.bootstrap import calibration_bins
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import Importance, MonthResult, ProfitEstimate
from holdfast.training.profit import profit_curve
from holdfast.training.settings import ValueSettings

matplotlib.use("Agg")


GREEN, GREY, LIGHT = "#0b6e4f", "#6b7280", "#d1d5db"
RED, AMBER = "#b91c1c", "#c46210"
_COLORS = {"model": GREEN, "recency": "#c46210", "rfm": "#2563eb", "bg_nbd": "#9333ea", "base_rate": GREY}
_LABELS = {"model": "Holdfast"} | BASELINE_LABELS


def plot_roc_and_pr(churned: Bools, scores: Mapping[str, Floats]) -> Figure:
    """Plot ROC and precision-recall curves of each model on the test period.

    Args:
        churned: Labels, shape (rows,).
        scores: Scores by model, each of shape (rows,).

    Returns:
        The figure.
    """
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    roc, pr = figure.subplots(1, 2)
    for name, values in scores.items():
        style = {"color": _COLORS[name], "label": _LABELS[name], "lw": 2.2 if name == "model" else 1.2}
        false_positive, true_positive, _ = roc_curve(churned, values)
        roc.plot(false_positive, true_positive, **style)
        if np.ptp(values) == 0:  # one score for all: every subset is as precise as the base rate
            pr.axhline(churned.mean(), **style)
        else:
            precision, recall, _ = precision_recall_curve(churned, values)
            shown = recall > 0.01  # of the first few customers the precision is mostly chance
            pr.plot(recall[shown], precision[shown], **style)
    for axes, title, x, y in (
        (roc, "ROC", "false positive rate", "true positive rate"),
        (pr, "Precision and recall", "recall", "precision"),
    ):
        axes.set(title=title, xlabel=x, ylabel=y)
        style_axes(axes)
    roc.legend(frameon=False, loc="lower right")
    return figure


def plot_months(months: Sequence[MonthResult]) -> Figure:
    """Plot ROC-AUC and Brier score by test cut-off, with 95% intervals of the model.

    Args:
        months: Results by test cut-off.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    names = [f"{month.cutoff:%Y-%m}" for month in months]
    for axes, metric, title in zip(
        figure.subplots(1, 2), ("roc_auc", "brier"), ("ROC-AUC, higher is better", "Brier score, lower is better"),
        strict=True,
    ):  # fmt: skip
        intervals = [month.metrics[metric] for month in months]
        axes.plot(names, [i.value for i in intervals], marker="o", ms=4, lw=2.2, color=GREEN, label=_LABELS["model"])
        axes.fill_between(names, [i.low for i in intervals], [i.high for i in intervals], color=GREEN, alpha=0.15, lw=0)
        for name in BASELINE_LABELS:
            values = [month.baselines[name][metric] for month in months]
            axes.plot(names, values, marker="o", ms=3, lw=1.2, color=_COLORS[name], label=_LABELS[name])
        axes.set(title=title, xlabel="test cut-off")
        style_axes(axes)
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=5)
    return figure


def plot_reliability(test: TrainingSet, scores: Floats, months: Sequence[MonthResult]) -> Figure:
    """Plot predicted and observed churn: reliability over the test period, and means by month.

    Args:
        test: Test rows.
        scores: Churn probabilities, shape (rows,).
        months: Results by test cut-off.

    Returns:
        The figure.
    """
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
    right.plot(names, [month.base_rate for month in months], color=GREY, lw=1.4, marker="o", ms=4, label="observed")
    right.set(title="Mean churn by month", xlabel="test cut-off", ylim=(0, 1))
    right.legend(frameon=False, loc="lower right")
    for axes in (left, right):
        style_axes(axes)
    return figure


def plot_profit(churned: Bools, scores: Floats, value: ValueSettings, estimate: ProfitEstimate) -> Figure:
    """Plot the profit per customer on the test period by threshold.

    Args:
        churned: Labels, shape (rows,).
        scores: Churn probabilities, shape (rows,).
        value: Value of a customer, cost and response rate of an offer.
        estimate: Profit at the chosen threshold, at 0.5 and in hindsight.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(*profit_curve(churned, scores, value), color=GREEN, lw=2.2)
    axes.axhline(0, color=LIGHT, zorder=0)
    for threshold, money, name, color in (
        (
            estimate.threshold,
            estimate.earned.value,
            f"chosen {estimate.threshold:.2f}: {estimate.earned.value:+.3f}",
            GREEN,
        ),
        (0.5, estimate.at_half.value, f"0.50: {estimate.at_half.value:+.3f}", "#c46210"),
        (
            estimate.best_threshold,
            estimate.best,
            f"hindsight {estimate.best_threshold:.2f}: {estimate.best:+.3f}",
            GREY,
        ),
    ):
        axes.plot([threshold], [money], marker="o", ms=8, ls="", color=color, label=name)
    axes.set(
        title=f"Profit per customer: worth {value.kept_customer:g}, offer {value.offer_cost:g}, "
        f"response {value.response_rate:.0%}",
        xlabel="threshold: customers at or above it get an offer",
        ylabel="profit per customer",
    )
    axes.legend(frameon=False)
    style_axes(axes)
    return figure


def plot_importance(importances: Sequence[Importance]) -> Figure:
    """Plot permutation importances with 95% intervals.

    Args:
        importances: Importance by feature, the largest first.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(8, 0.3 * len(importances) + 1.2), layout="constrained")
    axes = figure.subplots()
    drops = [item.drop for item in reversed(importances)]
    low = [max(0.0, drop.value - drop.low) for drop in drops]
    high = [max(0.0, drop.high - drop.value) for drop in drops]
    axes.barh([item.feature for item in reversed(importances)], [drop.value for drop in drops], color=GREEN, alpha=0.75,
              xerr=[low, high], error_kw={"ecolor": GREY, "elinewidth": 1})  # fmt: skip
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


def style_axes(axes: matplotlib.axes.Axes) -> None:
    """Apply the common style to axes.

    Args:
        axes: Axes to change.
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#eef0f2")
    axes.set_axisbelow(True)


def draw_message(axes: Axes, text: str) -> None:
    """Replace empty axes by a message.

    Args:
        axes: Axes to change.
        text: Message.
    """
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GREY)
    axes.set_axis_off()
