"""The picture of a backtest: every policy by month, and when it trained."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from matplotlib.transforms import ScaledTranslation

from holdfast.backtesting.policies import Policy, policy_title
from holdfast.backtesting.results import BacktestResult
from holdfast.training.plots import GRAY, GREEN, LIGHT, style_axes

_COLOURS: dict[Policy, str] = {"never": GRAY, "always": GREEN, "drift": "#c46210", "decay": "#2563eb"}
_WIDTH = 2.2  # points
_PANELS = {
    "roc_auc": "ROC-AUC, higher is better",
    "bias": "Predicted less observed churn, 0 is best",
    "earned": "Profit per customer, higher is better",
}


def plot_policies(results: Sequence[BacktestResult]) -> Figure:
    """ROC-AUC, calibration and profit of each policy by month of scoring, and a calendar of its trainings.

    Bands are 95% intervals. Policies that coincide run side by side, like lines on a map of the underground.
    """
    figure = Figure(figsize=(11, 7.2), layout="constrained")
    *panels, calendar = figure.subplots(2, 2).flat
    for axes, (measure, title) in zip(panels, _PANELS.items(), strict=True):
        if measure != "roc_auc":
            axes.axhline(0, color=LIGHT, ls="--", zorder=0)
        for place, result in enumerate(results):
            _line(axes, result, measure, (len(results) - 1) / 2 - place)
        axes.set_title(title)
    panels[1].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _calendar(calendar, results)
    for axes in (*panels, calendar):
        _by_step(axes, results[0])
    lines, names = panels[0].get_legend_handles_labels()
    figure.legend(lines, names, title="Retraining", frameon=False, loc="outside lower center", ncols=len(names))
    return figure


def _line(axes: Axes, result: BacktestResult, measure: str, track: float) -> None:
    """One measure by moment of scoring, ``track`` widths above its true place; a dot marks a new champion's scores."""
    number = {step.as_of: place for place, step in enumerate(result.steps)}
    told = [(outcome.as_of, outcome.measures[measure]) for outcome in result.outcomes if measure in outcome.measures]
    places, values = [number[moment] for moment, _ in told], [interval.value for _, interval in told]
    figure = axes.get_figure()
    assert figure is not None
    beside = axes.transData + ScaledTranslation(0, track * _WIDTH / 72, figure.dpi_scale_trans)
    new = [place for place, (moment, _) in enumerate(told) if moment in result.promoted]
    axes.plot(
        places, values, color=_COLOURS[result.policy], lw=_WIDTH, transform=beside, marker="o", ms=6, markevery=new,
        mec="white", mew=0.8, label=policy_title(result.policy, result.every),
    )  # fmt: skip
    lows, highs = [interval.low for _, interval in told], [interval.high for _, interval in told]
    axes.fill_between(places, lows, highs, color=_COLOURS[result.policy], alpha=0.07, lw=0)


def _calendar(axes: Axes, results: Sequence[BacktestResult]) -> None:
    axes.set_title("Training: ● promoted   × refused by the gates")
    for row, result in enumerate(reversed(results)):
        number = {step.as_of: place for place, step in enumerate(result.steps)}
        axes.axhline(row, color=LIGHT, lw=1, zorder=0)
        for moments, marker in ((result.promoted, "o"), (result.refused, "x")):
            places = [number[moment] for moment in moments]
            axes.plot(places, [row] * len(places), ls="", marker=marker, ms=9, mew=2, color=_COLOURS[result.policy])
    axes.set_yticks(range(len(results)), [policy_title(result.policy, result.every) for result in reversed(results)])
    axes.set_ylim(-0.6, len(results) - 0.4)


def _by_step(axes: Axes, result: BacktestResult) -> None:
    moments = [step.as_of for step in result.steps]
    spacing = -(-len(moments) // 8)  # at most eight labels
    form = "%Y-%m" if result.every == "month" else "%Y-%m-%d"
    axes.set_xticks(range(0, len(moments), spacing), [f"{moment:{form}}" for moment in moments[::spacing]])
    axes.set_xlim(-0.4, len(moments) - 0.6)
    style_axes(axes)
