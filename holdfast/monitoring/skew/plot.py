"""Skew as a picture, and as a report of Evidently's."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from holdfast.monitoring.result import plot_message
from holdfast.monitoring.skew.causes import CAUSES, Cause, FeatureComparison
from holdfast.training.plots import GRAY, style_axes

_COLOURS: dict[Cause, str] = {
    "changed definition": "#9333ea",
    "stale store": "#c46210",
    "late data": "#2563eb",
    "unexplained": "#b91c1c",
}


def plot_mismatches(different: pd.DataFrame, summary: str) -> Figure:
    """How many values of each feature differ, by likely cause; without any, a page that says so."""
    if not len(different):
        return plot_message(summary)
    counts = different.groupby(["feature", "cause"]).size().unstack(fill_value=0)
    counts = counts.loc[counts.sum(axis=1).sort_values().index]
    figure = Figure(figsize=(9, 0.32 * len(counts) + 1.8), layout="constrained")
    axes = figure.subplots()
    left = np.zeros(len(counts))
    for cause in (cause for cause in CAUSES if cause in counts):
        axes.barh(counts.index, counts[cause], left=left, height=0.7, color=_COLOURS[cause], label=cause)
        left += counts[cause].to_numpy()
    for place, total in enumerate(left):
        axes.annotate(f"{total:,.0f}", (total, place), (4, 0), textcoords="offset points", va="center", color=GRAY)
    axes.set(title="Logged values that differ from those recomputed", xlabel="values")
    axes.margins(x=0.08)
    style_axes(axes)
    axes.grid(visible=False, axis="y")
    figure.legend(frameon=False, loc="outside lower center", ncols=len(CAUSES))
    return figure


def mismatch_report(compared: Sequence[FeatureComparison], max_rows: int, seed: int = 0) -> Any:
    """Evidently's report: how many values of each input differ, tested to be none, and how far those have moved.

    Current is what was logged, reference what was recomputed. All rows are counted; the distributions, only of inputs
    that differ, are of a sample of ``max_rows`` predictions.
    """
    from evidently import Report
    from evidently.metrics import SumValue
    from evidently.presets import DataDriftPreset
    from evidently.tests import eq

    def table(matrices: Sequence[npt.NDArray[Any]]) -> pd.DataFrame:
        parts = [pd.DataFrame(x, columns=item.logged.inputs) for item, x in zip(compared, matrices, strict=True)]
        return pd.concat(parts, ignore_index=True)

    marks = table([item.different for item in compared]).fillna(False).sum()
    logged, again = table([item.logged.x for item in compared]), table([item.recomputed for item in compared])
    chosen = np.random.default_rng(seed).permutation(len(logged))[:max_rows]
    current, reference = logged.iloc[chosen].reset_index(drop=True), again.iloc[chosen].reset_index(drop=True)
    metrics: list[Any] = []
    moved = [name for name in marks.index[marks > 0] if current[name].notna().any() and reference[name].notna().any()]
    if moved:
        metrics.append(DataDriftPreset(columns=moved, method="psi", include_tests=False))
    for name, count in marks.items():
        # Evidently counts rows, here of a sample: the first row stands for all.
        current[f"{name} differs"] = np.where(current.index == 0, float(count), 0.0)
        reference[f"{name} differs"] = 0.0
        metrics.append(SumValue(column=f"{name} differs", tests=[eq(0)]))
    shown = [*moved, *(f"{name} differs" for name in marks.index)]
    with np.errstate(invalid="ignore"):  # a column of zeros has no correlation
        return Report(metrics, metadata={"view": "skew"}).run(current[shown], reference[shown])
