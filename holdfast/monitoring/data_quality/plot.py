"""Plot of the data quality view."""

from datetime import timedelta

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from holdfast.core.plot_style import GRAY, GREEN, LIGHT, RED, draw_message, style_axes
from holdfast.monitoring.data_quality.queries import DailyCounts, TransactionSample
from holdfast.monitoring.data_quality.volume_forecast import forecast_volume
from holdfast.monitoring.settings import DataQualityRules

_SHOWN_DAYS = 42


def plot_data_quality(
    days: DailyCounts, day: TransactionSample, earlier: TransactionSample, rules: DataQualityRules
) -> Figure:
    """Plot rows by day with their prediction intervals, and the amounts of the day beside earlier amounts.

    Args:
        days: Rows by day.
        day: Sample of the checked day.
        earlier: Sample of the weeks before.
        rules: Limits.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(12, 4), layout="constrained")
    volume, amounts = figure.subplots(1, 2, width_ratios=[3, 2])
    _plot_volume(volume, days, rules)
    if len(day.values) and len(earlier.values):
        _plot_amounts(amounts, day, earlier)
    else:
        draw_message(amounts, "no purchases to compare")
    return figure


def _plot_volume(axes: Axes, days: DailyCounts, rules: DataQualityRules) -> None:
    shown = list(days.counts.index[-_SHOWN_DAYS:])
    forecasts = {day: forecast_volume(days.counts, [day], rules.weeks, rules.min_days) for day in shown}
    intervals = {day: forecast.interval(1 - rules.alpha) for day, forecast in forecasts.items() if forecast is not None}
    if intervals:
        lows, highs = zip(*intervals.values(), strict=True)
        expected = f"expected, {1 - rules.alpha:.1%}"
        axes.fill_between(list(intervals), lows, highs, color=LIGHT, alpha=0.7, step="mid", label=expected, lw=0)
    axes.plot(shown, days.counts[shown], color=GREEN, marker="o", ms=3.5, lw=1.2, label="transactions")
    unexpected = [day for day, (low, high) in intervals.items() if not low <= days.counts[day] <= high]
    if unexpected:
        axes.plot(unexpected, days.counts[unexpected], color=RED, marker="o", ms=6, ls="", label="outside the interval")
    highest = max([high for _, high in intervals.values()] + [int(days.counts[shown].max())])
    axes.set_ylim(-1, 1.18 * highest + 1)
    axes.set_xlim(shown[0] - timedelta(days=1), shown[-1] + timedelta(days=1))
    axes.set_title(f"Transactions by day, to {days.day:%A, %Y-%m-%d}")
    axes.xaxis.set_major_formatter(ConciseDateFormatter(AutoDateLocator()))
    axes.legend(frameon=False, loc="upper left", ncols=3)
    style_axes(axes)


def _plot_amounts(axes: Axes, day: TransactionSample, earlier: TransactionSample) -> None:
    amounts = [sample.values["amount"].to_numpy() for sample in (earlier, day)]
    low, high = np.quantile(np.concatenate(amounts), [0.001, 0.999])
    edges = np.geomspace(low, max(high, 1.01 * low), 30)
    shares = [np.histogram(np.clip(values, low, edges[-1]), edges)[0] / len(values) for values in amounts]
    axes.stairs(shares[0], edges, fill=True, color=GRAY, alpha=0.35, label="the weeks before")
    axes.stairs(shares[1], edges, color=GREEN, lw=1.8, label="the day")
    axes.set(title="Amounts of purchases", xlabel="amount (log scale)", ylabel="share", xscale="log")
    axes.legend(frameon=False)
    style_axes(axes)
