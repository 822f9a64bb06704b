"""The pictures of a training run."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

matplotlib.use("Agg")

_COLOURS = {"model": "#0b6e4f", "recency": "#c46210", "base_rate": "#6b7280"}
_LABELS = {"model": "Holdfast", "recency": "recency alone", "base_rate": "base rate"}


def quality_curves(churned: npt.NDArray[np.bool_], scores: Mapping[str, npt.NDArray[np.float64]]) -> Figure:
    """ROC, precision-recall and reliability of each model on the test period."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    roc, pr, reliability = figure.subplots(1, 3)
    for name, values in scores.items():
        style = {"color": _COLOURS[name], "label": _LABELS[name], "lw": 2 if name == "model" else 1.4}
        false_positive, true_positive, _ = roc_curve(churned, values)
        roc.plot(false_positive, true_positive, **style)
        if np.ptp(values) == 0:  # one score for all: every subset is as precise as the base rate
            pr.axhline(churned.mean(), **style)
        else:
            precision, recall, _ = precision_recall_curve(churned, values)
            told = recall > 0.01  # of the first few customers the precision is mostly chance
            pr.plot(recall[told], precision[told], **style)
        observed, predicted = calibration_curve(churned, values, n_bins=10, strategy="quantile")
        reliability.plot(predicted, observed, marker="o", ms=4, **style)
    reliability.plot([0, 1], [0, 1], color="#d1d5db", ls="--", zorder=0)
    for axes, title, x, y in (
        (roc, "ROC", "false positive rate", "true positive rate"),
        (pr, "Precision and recall", "recall", "precision"),
        (reliability, "Reliability", "predicted churn", "observed churn"),
    ):
        axes.set(title=title, xlabel=x, ylabel=y)
        _plain(axes)
    roc.legend(frameon=False, loc="lower right")
    return figure


def months(table: pd.DataFrame) -> Figure:
    """ROC-AUC and Brier score by test cut-off."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    for axes, metric, title in zip(
        figure.subplots(1, 2), ("roc_auc", "brier"), ("ROC-AUC, higher is better", "Brier score, lower is better"),
        strict=True,
    ):  # fmt: skip
        for name, rows in table.groupby("model", sort=False):
            cutoffs = rows["cutoff"].dt.strftime("%Y-%m")
            axes.plot(cutoffs, rows[metric], marker="o", ms=4, color=_COLOURS[str(name)], label=_LABELS[str(name)])
        axes.set(title=title, xlabel="test cut-off")
        _plain(axes)
    axes.legend(frameon=False)
    return figure


def _plain(axes: matplotlib.axes.Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#eef0f2")
    axes.set_axisbelow(True)
