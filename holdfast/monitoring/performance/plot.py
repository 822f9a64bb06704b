"""Plot of performance over time: measured, estimated and expected metrics, and model events."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import matplotlib.dates as mdates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from holdfast.core.plot_style import GRAY, GREEN, LIGHT, style_axes
from holdfast.monitoring.performance.cohort_performance import CohortPerformance
from holdfast.monitoring.performance.model_events import EventKind, ModelEvent
from holdfast.training.evaluation_report import Interval

_PANELS = {
    "roc_auc": "ROC-AUC, higher is better",
    "brier": "Brier score, lower is better",
    "earned": "Profit per customer, higher is better",
}
_COLORS = (GREEN, "#2563eb", "#c46210", "#9333ea", "#b91c1c", "#0891b2")
_MARKERS: dict[EventKind, str] = {"trained": "o", "promoted": "^", "rolled back": "v"}
_SHAPES = {"scores": "o", "requests": "s"}


def plot_performance(
    cohorts: Sequence[CohortPerformance],
    expected: Mapping[str, Interval],
    events: Sequence[ModelEvent],
    champion: str | None,
) -> Figure:
    """Plot one panel per metric over the time of scoring, and a calendar of model events above the panels.

    Measured cohorts are filled markers with 95% intervals, estimated cohorts open markers on a dashed line. The band is
    the interval of the champion's test.

    Args:
        cohorts: Performance of all cohorts.
        expected: Metrics of the champion's test.
        events: Trainings, promotions and rollbacks.
        champion: Version of the champion; None without a champion.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(11, 9.5), layout="constrained")
    calendar, *panels = figure.subplots(4, 1, sharex=True, height_ratios=[0.9, 2, 2, 2])
    versions = sorted(
        {item.cohort.version for item in cohorts} | {event.version for event in events}, key=_version_order
    )
    colors = {version: _COLORS[index % len(_COLORS)] for index, version in enumerate(versions)}
    start, end = _time_range(cohorts, events)
    step = (end - start) / 200  # versions that scored at the same time are shifted
    for axes, (metric, title) in zip(panels, _PANELS.items(), strict=True):
        for event in events:
            if event.kind != "trained":
                axes.axvline(mdates.date2num(event.time), color=colors[event.version], lw=1.3, ls=":", zorder=0)
        if metric in expected:
            axes.axhspan(expected[metric].low, expected[metric].high, color=LIGHT, alpha=0.45, lw=0, zorder=0)
            axes.axhline(expected[metric].value, color=GRAY, lw=0.8, zorder=0)
        for version in versions:
            for source in _SHAPES:
                items = [i for i in cohorts if (i.cohort.version, i.cohort.source) == (version, source)]
                shift = step * (versions.index(version) - (len(versions) - 1) / 2)
                shown = [item for item in items if metric in item.metrics]
                _plot_line(axes, shown, metric, colors[version], _SHAPES[source], shift)
        axes.set_title(title, loc="left")
        style_axes(axes)
    _plot_calendar(calendar, events, colors)
    calendar.set_title("Performance over time", loc="left", fontweight="bold")
    locator = mdates.AutoDateLocator()
    panels[-1].xaxis.set_major_locator(locator)
    panels[-1].xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    panels[-1].set_xlim(mdates.date2num(start), mdates.date2num(end))
    panels[-1].set_xlabel("scored at")
    handles = _build_legend(cohorts, colors, champion, bool(expected))
    figure.legend(handles=handles, frameon=False, loc="outside lower center", ncols=5)
    return figure


def _plot_line(
    axes: Axes, items: Sequence[CohortPerformance], metric: str, color: str, shape: str, shift: timedelta
) -> None:
    """Plot one version: a line through its measured cohorts, dashed to its estimated cohorts."""
    items = sorted(items, key=lambda item: item.cohort.as_of)
    measured = [item for item in items if item.status == "measured"]
    estimated = [item for item in items if item.status == "estimated"]
    for part, line_style in ((measured, "-"), ([*measured[-1:], *estimated], "--")):
        times = mdates.date2num([item.cohort.as_of + shift for item in part])
        axes.plot(times, [item.metrics[metric].value for item in part], color=color, lw=1.6, ls=line_style)
    for part, face in ((measured, color), (estimated, "white")):
        for item in part:
            interval = item.metrics[metric]
            axes.errorbar(
                mdates.date2num([item.cohort.as_of + shift]), [interval.value],
                yerr=[[max(0.0, interval.value - interval.low)], [max(0.0, interval.high - interval.value)]],
                fmt=shape, ms=6, mfc=face, color=color, elinewidth=1.2, capsize=2.5, zorder=3,
            )  # fmt: skip


def _plot_calendar(axes: Axes, events: Sequence[ModelEvent], colors: Mapping[str, str]) -> None:
    rows = {kind: row for row, kind in enumerate(reversed(_MARKERS))}
    for row in rows.values():
        axes.axhline(row, color=LIGHT, lw=1, zorder=0)
    for event in events:
        axes.plot(
            mdates.date2num([event.time]),
            [rows[event.kind]],
            marker=_MARKERS[event.kind],
            ms=8,
            color=colors[event.version],
        )
        axes.annotate(
            event.version, (mdates.date2num(event.time), rows[event.kind]), (6, 4), textcoords="offset points",
            fontsize=9, color=colors[event.version],
        )  # fmt: skip
    axes.set_yticks(list(rows.values()), list(rows))
    axes.set_ylim(-0.6, len(rows) - 0.1)
    style_axes(axes)
    axes.spines["bottom"].set_visible(False)
    axes.grid(visible=False)
    axes.tick_params(length=0, labelbottom=False)


def _time_range(cohorts: Sequence[CohortPerformance], events: Sequence[ModelEvent]) -> tuple[datetime, datetime]:
    """Return the time range of cohorts and events, with a margin."""
    times = [item.cohort.as_of for item in cohorts] + [event.time for event in events]
    margin = max((max(times) - min(times)) * 0.05, timedelta(days=7))
    return min(times) - margin, max(times) + margin


def _build_legend(
    cohorts: Sequence[CohortPerformance], colors: Mapping[str, str], champion: str | None, has_expected: bool
) -> list[Line2D | Patch]:
    shown = [version for version in colors if any(item.cohort.version == version for item in cohorts)]
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=colors[item], lw=2, label=f"version {item}") for item in shown
    ]
    handles.append(Line2D([], [], color=GRAY, marker="o", label="measured, 95% interval"))
    handles.append(
        Line2D([], [], color=GRAY, marker="o", mfc="white", ls="--", label="estimated from calibrated scores")
    )
    if any(item.cohort.source == "requests" for item in cohorts):
        handles.append(Line2D([], [], color=GRAY, marker="s", ls="", label="requests of a month"))
    if has_expected:
        handles.append(Patch(color=LIGHT, alpha=0.45, label=f"test of version {champion}, 95% interval"))
    return handles


def _version_order(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdigit() else (10**9, version)
