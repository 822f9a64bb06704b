"""Plot of a backtest: performance and trainings of each policy by step."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from matplotlib.transforms import ScaledTranslation

from holdfast.backtesting.measures import list_measures
from holdfast.backtesting.policies import Policy, policy_title
from holdfast.backtesting.results import BacktestResult
from holdfast.core.plot_style import GRAY, GREEN, LIGHT, style_axes

_COLORS: dict[Policy, str] = {"never": GRAY, "always": GREEN, "drift": "#c46210", "decay": "#2563eb"}
_WIDTH = 2.2  # points


def plot_policies(results: Sequence[BacktestResult]) -> Figure:
    """Plot three measures of each policy by step, and a calendar of its trainings.

    Bands are 95% intervals. Lines that coincide are drawn side by side.

    Args:
        results: One per policy, with the same steps.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(11, 7.2), layout="constrained")
    measures = list_measures(results[0].model)
    *panels, calendar = figure.subplots(2, 2).flat
    for axes, (measure, title) in zip(panels, measures.panels.items(), strict=True):
        if measure in measures.lines:
            axes.axhline(measures.lines[measure], color=LIGHT, ls="--", zorder=0)
        for number, result in enumerate(results):
            _draw_line(axes, result, measure, (len(results) - 1) / 2 - number)
        axes.set_title(title)
    if measures.is_share:
        panels[1].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _draw_calendar(calendar, results)
    for axes in (*panels, calendar):
        _format_steps(axes, results[0])
    lines, names = panels[0].get_legend_handles_labels()
    figure.legend(lines, names, title="Retraining", frameon=False, loc="outside lower center", ncols=len(names))
    return figure


def _draw_line(axes: Axes, result: BacktestResult, measure: str, track: float) -> None:
    """Draw one measure, ``track`` line widths above its value; a dot marks the first scores of a new champion."""
    index = {step.as_of: position for position, step in enumerate(result.steps)}
    points = [(outcome.as_of, outcome.measures[measure]) for outcome in result.outcomes if measure in outcome.measures]
    positions, values = [index[as_of] for as_of, _ in points], [interval.value for _, interval in points]
    figure = axes.get_figure()
    assert figure is not None
    shifted = axes.transData + ScaledTranslation(0, track * _WIDTH / 72, figure.dpi_scale_trans)
    new = [position for position, (as_of, _) in enumerate(points) if as_of in result.promoted]
    axes.plot(
        positions, values, color=_COLORS[result.policy], lw=_WIDTH, transform=shifted, marker="o", ms=6, markevery=new,
        mec="white", mew=0.8, label=policy_title(result.policy, result.every),
    )  # fmt: skip
    lows, highs = [interval.low for _, interval in points], [interval.high for _, interval in points]
    axes.fill_between(positions, lows, highs, color=_COLORS[result.policy], alpha=0.07, lw=0)


def _draw_calendar(axes: Axes, results: Sequence[BacktestResult]) -> None:
    axes.set_title("Training: ● promoted   × refused by the gates")
    for row, result in enumerate(reversed(results)):
        index = {step.as_of: position for position, step in enumerate(result.steps)}
        axes.axhline(row, color=LIGHT, lw=1, zorder=0)
        for times, marker in ((result.promoted, "o"), (result.refused, "x")):
            positions = [index[time] for time in times]
            axes.plot(
                positions, [row] * len(positions), ls="", marker=marker, ms=9, mew=2, color=_COLORS[result.policy]
            )
    axes.set_yticks(range(len(results)), [policy_title(result.policy, result.every) for result in reversed(results)])
    axes.set_ylim(-0.6, len(results) - 0.4)


def _format_steps(axes: Axes, result: BacktestResult) -> None:
    times = [step.as_of for step in result.steps]
    spacing = -(-len(times) // 8)  # at most eight labels
    form = "%Y-%m" if result.every == "month" else "%Y-%m-%d"
    axes.set_xticks(range(0, len(times), spacing), [f"{time:{form}}" for time in times[::spacing]])
    axes.set_xlim(-0.4, len(times) - 0.6)
    style_axes(axes)
