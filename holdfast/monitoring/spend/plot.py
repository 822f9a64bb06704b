"""Plot of the spend view."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from holdfast.core.plot_style import GREEN, LIGHT, draw_message, style_axes
from holdfast.monitoring.spend.performance import SpendPerformance


def plot_spend(performance: Sequence[SpendPerformance], latest: SpendPerformance | None) -> Figure:
    """Plot mean expected and observed spend by cohort, and by tenth of the champion's latest measured cohort.

    Args:
        performance: Performance of all cohorts.
        latest: The champion's latest measured cohort.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    by_cohort, by_tenth = figure.subplots(1, 2)
    cohorts = sorted(performance, key=lambda item: (item.cohort.as_of, item.cohort.version))
    observed = [float("nan") if item.observed is None else item.observed for item in cohorts]
    _draw_bars(by_cohort, [f"{item.cohort.as_of:%Y-%m}" for item in cohorts], [i.expected for i in cohorts], observed)
    by_cohort.set(title="Spend in the horizon by cohort", ylabel="mean per customer")
    by_cohort.tick_params(axis="x", rotation=45)
    if latest is None:
        draw_message(by_tenth, "No horizon of the champion's scores has closed yet.")
        return figure
    names = [str(number) for number, _ in enumerate(latest.tenths, start=1)]
    _draw_bars(by_tenth, names, [item.expected for item in latest.tenths], [item.observed for item in latest.tenths])
    by_tenth.set(title=f"Cohort {latest.cohort.name}", xlabel="tenth by expected spend", ylabel="mean per customer")
    return figure


def _draw_bars(axes: Axes, names: Sequence[str], expected: Sequence[float], observed: Sequence[float]) -> None:
    position = np.arange(len(names))
    axes.bar(position - 0.2, observed, 0.4, color=LIGHT, label="observed")
    axes.bar(position + 0.2, expected, 0.4, color=GREEN, label="expected")
    axes.set_xticks(position, list(names))
    axes.legend(frameon=False, loc="upper left")
    style_axes(axes)
