"""The picture of the drift view."""

from collections.abc import Sequence
from datetime import datetime

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from holdfast.monitoring.drift.psi import SCORE
from holdfast.monitoring.drift.rule import FeatureDrift
from holdfast.monitoring.settings import DriftRules
from holdfast.training.plots import AMBER, GRAY, GREEN, LIGHT, RED, draw_message, style_axes

_SHOWN = 2.0  # PSI beyond which a bar is cut: one ageing feature would make the others invisible


def plot_drift(
    judged: Sequence[FeatureDrift], history: pd.DataFrame, as_of: datetime, rules: DriftRules, version: str
) -> Figure:
    """PSI by feature of ``version`` with both limits, and the PSI of its score by day.

    ``history``: what the drift view measured before, as ``read_metrics`` gives it.
    """
    shown = [item for item in reversed(judged) if item.version == version]
    figure = Figure(figsize=(12, max(3.2, 0.3 * len(shown) + 1.6)), layout="constrained")
    bars, line = figure.subplots(1, 2, width_ratios=[3, 2])
    if not shown:
        draw_message(bars, "nothing was compared")
    else:
        _bars(bars, shown, rules)
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


def _bars(axes: Axes, shown: Sequence[FeatureDrift], rules: DriftRules) -> None:
    places = range(len(shown))
    for offset, colour, label, values in (
        (0.2, LIGHT, "vs. training set", [item.vs_training.psi for item in shown]),
        (-0.2, GRAY, "vs. population at training", [item.vs_training_population.psi for item in shown]),
    ):
        colours = [RED if item.drifted and colour == GRAY else colour for item in shown]
        axes.barh(
            [place + offset for place in places], [min(v, _SHOWN) for v in values], 0.38, color=colours, label=label
        )
        for place, value in zip(places, values, strict=True):
            if value > _SHOWN:
                axes.text(_SHOWN, place + offset, f" {value:.1f}", va="center", fontsize=7, color=GRAY)
    axes.axvline(rules.noted_psi, color=AMBER, lw=1, ls=":")
    axes.axvline(rules.max_psi, color=RED, lw=1, ls="--")
    axes.set_yticks(list(places), [item.name for item in shown])
    for tick, item in zip(axes.get_yticklabels(), shown, strict=True):
        tick.set_color(RED if item.drifted else "black")
    widest = max(max(item.vs_training.psi, item.vs_training_population.psi) for item in shown)
    axes.set_xlim(0, min(_SHOWN, max(widest, rules.max_psi)) * 1.12)
    axes.set(title=f"PSI of {shown[0].rows:,} customers; drifted (red) if both bars pass {rules.max_psi:g}")
    axes.legend(frameon=False, loc="lower right")
    style_axes(axes)
