"""Plot and Evidently report of the skew view."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from holdfast.core.plot_style import GRAY, style_axes
from holdfast.monitoring.result import plot_message
from holdfast.monitoring.skew.causes import FeatureComparison
from holdfast.monitoring.skew.findings import CAUSES, Cause

_COLORS: dict[Cause, str] = {
    "stale store": "#c46210",
    "late data": "#2563eb",
    "unexplained": "#b91c1c",
}


def plot_mismatches(different: pd.DataFrame, summary: str) -> Figure:
    """Plot the number of differences per feature and likely cause.

    Args:
        different: Differences with their causes.
        summary: Message to show without differences.

    Returns:
        The figure.
    """
    if not len(different):
        return plot_message(summary)
    counts = different.groupby(["feature", "cause"]).size().unstack(fill_value=0)
    counts = counts.loc[counts.sum(axis=1).sort_values().index]
    figure = Figure(figsize=(9, 0.32 * len(counts) + 1.8), layout="constrained")
    axes = figure.subplots()
    left = np.zeros(len(counts))
    for cause in (cause for cause in CAUSES if cause in counts):
        axes.barh(counts.index, counts[cause], left=left, height=0.7, color=_COLORS[cause], label=cause)
        left += counts[cause].to_numpy()
    for position, total in enumerate(left):
        axes.annotate(f"{total:,.0f}", (total, position), (4, 0), textcoords="offset points", va="center", color=GRAY)
    axes.set(title="Logged values that differ from those recomputed", xlabel="values")
    axes.margins(x=0.08)
    style_axes(axes)
    axes.grid(visible=False, axis="y")
    figure.legend(frameon=False, loc="outside lower center", ncols=len(CAUSES))
    return figure


def mismatch_report(comparisons: Sequence[FeatureComparison], max_rows: int, seed: int = 0) -> Any:
    """Build Evidently's report: number of differences per input (tested to be 0), and drift of the differing inputs.

    Current data are the logged values, reference data the recomputed values. Differences are counted on all rows.

    Args:
        comparisons: Logged and recomputed features of each version.
        max_rows: Sample size for the distributions.
        seed: Seed of the sample.

    Returns:
        The report.
    """
    from evidently import Report
    from evidently.metrics import SumValue
    from evidently.presets import DataDriftPreset
    from evidently.tests import eq

    def to_frame(matrices: Sequence[npt.NDArray[Any]]) -> pd.DataFrame:
        parts = [pd.DataFrame(x, columns=item.logged.inputs) for item, x in zip(comparisons, matrices, strict=True)]
        return pd.concat(parts, ignore_index=True)

    counts = to_frame([item.different for item in comparisons]).fillna(False).sum()
    logged, recomputed = (
        to_frame([item.logged.x for item in comparisons]),
        to_frame([item.recomputed for item in comparisons]),
    )
    chosen = np.random.default_rng(seed).permutation(len(logged))[:max_rows]
    current, reference = logged.iloc[chosen].reset_index(drop=True), recomputed.iloc[chosen].reset_index(drop=True)
    metrics: list[Any] = []
    differing = [
        name for name in counts.index[counts > 0] if current[name].notna().any() and reference[name].notna().any()
    ]
    if differing:
        metrics.append(DataDriftPreset(columns=differing, method="psi", include_tests=False))
    for name, count in counts.items():
        # Evidently counts sampled rows only, so that the first row gets the total.
        current[f"{name} differs"] = np.where(current.index == 0, float(count), 0.0)
        reference[f"{name} differs"] = 0.0
        metrics.append(SumValue(column=f"{name} differs", tests=[eq(0)]))
    columns = [*differing, *(f"{name} differs" for name in counts.index)]
    with np.errstate(invalid="ignore"):  # a column of zeros has no correlation
        return Report(metrics, metadata={"view": "skew"}).run(current[columns], reference[columns])
