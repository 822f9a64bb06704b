"""Plot of the drift view."""

from collections.abc import Sequence
from datetime import datetime

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from holdfast.core.formatting import format_count
from holdfast.core.plot_style import AMBER, GRAY, GREEN, LIGHT, RED, draw_message, style_axes
from holdfast.monitoring.drift.psi import SCORE
from holdfast.monitoring.drift.rule import FeatureDrift
from holdfast.monitoring.settings import DriftRules

_MAX_SHOWN_PSI = 2.0  # longer bars are cut, else one aging feature would hide the others


def plot_drift(
    results: Sequence[FeatureDrift], history: pd.DataFrame, as_of: datetime, rules: DriftRules, version: str
) -> Figure:
    """Plot the PSI by feature with both limits, and the PSI of the score by day.

    Args:
        results: Drift of all versions, largest PSI first.
        history: Metrics of earlier drift views, as returned by ``read_metrics``.
        as_of: End of the window.
        rules: Limits.
        version: Version to show.

    Returns:
        The figure.
    """
    shown = [item for item in reversed(results) if item.version == version]
    figure = Figure(figsize=(12, max(3.2, 0.3 * len(shown) + 1.6)), layout="constrained")
    bars, line = figure.subplots(1, 2, width_ratios=[3, 2])
    if not shown:
        draw_message(bars, "no feature was compared")
    else:
        _plot_bars(bars, shown, rules)
    past = history[(history["metric"] == "psi") & (history["subject"] == SCORE) & (history["version"] == version)]
    points = dict(zip(past["as_of"], past["value"], strict=True)) | {
        pd.Timestamp(as_of): item.psi for item in shown if item.name == SCORE
    }
    if not points:
        draw_message(line, "the score was not compared")
    else:
        times = sorted(points)
        line.plot(times, [points[time] for time in times], color=GREEN, marker="o", ms=4)
        line.axhline(rules.max_psi, color=RED, lw=1, ls="--", label=f"limit {rules.max_psi:g}")
        line.set_ylim(0, max(1.15 * rules.max_psi, 1.15 * max(points.values())))
        line.set_title(f"PSI of the score of version {version}")
        line.legend(frameon=False, loc="upper left")
        line.tick_params(axis="x", rotation=30)
        style_axes(line)
    return figure


def _plot_bars(axes: Axes, shown: Sequence[FeatureDrift], rules: DriftRules) -> None:
    positions = range(len(shown))
    for offset, color, label, values in (
        (0.2, LIGHT, "vs. training set", [item.vs_training.psi for item in shown]),
        (-0.2, GRAY, "vs. population at training", [item.vs_training_population.psi for item in shown]),
    ):
        colors = [RED if item.drifted and color == GRAY else color for item in shown]
        axes.barh(
            [position + offset for position in positions],
            [min(v, _MAX_SHOWN_PSI) for v in values],
            0.38,
            color=colors,
            label=label,
        )
        for position, value in zip(positions, values, strict=True):
            if value > _MAX_SHOWN_PSI:
                axes.text(_MAX_SHOWN_PSI, position + offset, f" {value:.1f}", va="center", fontsize=7, color=GRAY)
    axes.axvline(rules.noted_psi, color=AMBER, lw=1, ls=":")
    axes.axvline(rules.max_psi, color=RED, lw=1, ls="--")
    axes.set_yticks(list(positions), [item.name for item in shown])
    for tick, item in zip(axes.get_yticklabels(), shown, strict=True):
        tick.set_color(RED if item.drifted else "black")
    widest = max(max(item.vs_training.psi, item.vs_training_population.psi) for item in shown)
    axes.set_xlim(0, min(_MAX_SHOWN_PSI, max(widest, rules.max_psi)) * 1.12)
    axes.set(
        title=f"PSI of {format_count(shown[0].rows, 'customer')}; drifted (red) if both bars pass {rules.max_psi:g}"
    )
    axes.legend(frameon=False, loc="lower right")
    style_axes(axes)
