"""Summary of a score table: counts by decision, and a histogram."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from holdfast.core.formatting import format_count
from holdfast.core.plot_style import GREEN, LIGHT, style_axes


def summarize_decisions(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """Count decisions of active and other customers.

    Args:
        scores: Rows of ``ScoresSchema``.

    Returns:
        Table rows: customers, decisions and mean probability.
    """
    rows = []
    for name, active in (("active", True), ("not active", False)):
        found = scores[scores["active"] == active]
        churns = int(found["will_churn"].sum())
        mean = f"{found['churn_probability'].mean():.1%}" if len(found) else "-"
        rows.append(
            {
                "customers": name,
                "scored": len(found),
                "will churn": churns,
                "will stay": len(found) - churns,
                "mean probability": mean,
            }
        )
    return rows


def plot_score_histogram(scores: pd.DataFrame) -> Figure:
    """Plot the distribution of churn probabilities of active and other customers, with the threshold.

    Args:
        scores: Rows of ``ScoresSchema``.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    axes = figure.subplots()
    parts = [scores.loc[scores["active"] == active, "churn_probability"].to_numpy() for active in (True, False)]
    axes.hist(
        parts, bins=np.linspace(0, 1, 41).tolist(), stacked=True, color=[GREEN, LIGHT], label=["active", "not active"]
    )
    threshold = float(scores["threshold"].iloc[0])
    axes.axvline(threshold, color="black", lw=1, ls="--", label=f"threshold {threshold:.3g}")
    axes.set(
        title=f"Churn probability of {format_count(len(scores), 'customer')} as of {scores['as_of'].iloc[0]:%Y-%m-%d}, "
        f"version {scores['model_version'].iloc[0]}",
        xlabel="churn probability",
        ylabel="customers",
    )
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.legend(frameon=False)
    style_axes(axes)
    return figure
