"""Plots of the evaluation of a regression."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from holdfast.core.plot_style import GRAY, GREEN, LIGHT, style_axes
from holdfast.training.regression.report import RegressionEvaluation, SpendGroup

_LABEL = "mean per customer"


def plot_regression(evaluation: RegressionEvaluation) -> dict[str, Figure]:
    """Plot the evaluation of a regression.

    Args:
        evaluation: Results on the test period.

    Returns:
        Figure by name: ``test_months`` and ``deciles``.
    """
    return {
        "test_months": _plot_groups(evaluation.months, "Spend in the horizon by test cut-off", ""),
        "deciles": _plot_groups(
            evaluation.deciles,
            "Spend in the horizon by tenth of the test rows",
            "tenth by expected spend, the lowest first",
        ),
    }


def _plot_groups(groups: Sequence[SpendGroup], title: str, label: str) -> Figure:
    """Plot observed beside predicted means; the bars of the observed ones are the intervals of the difference."""
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    axes = figure.subplots()
    position, observed = np.arange(len(groups)), np.array([item.observed for item in groups])
    predicted = np.array([item.predicted for item in groups])
    ends = np.array([[item.bias.low, item.bias.high] for item in groups]).reshape(-1, 2)
    errors = np.maximum(0, [observed - (predicted - ends[:, 1]), (predicted - ends[:, 0]) - observed])
    axes.bar(position - 0.2, observed, 0.4, yerr=errors, color=LIGHT, ecolor=GRAY, capsize=3, label="observed")
    axes.bar(position + 0.2, predicted, 0.4, color=GREEN, label="expected")
    axes.set_xticks(position, [item.name for item in groups])
    axes.set(title=title, xlabel=label, ylabel=_LABEL)
    axes.legend(frameon=False, loc="upper left")
    style_axes(axes)
    return figure
