"""The chart of quality over time: measured and expected, what was promised, and when the model changed."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import matplotlib.dates as mdates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from holdfast.monitoring.performance.cohort_performance import CohortPerformance
from holdfast.monitoring.performance.model_events import EventKind, ModelEvent
from holdfast.training.evaluation_report import Interval
from holdfast.training.plots import GRAY, GREEN, LIGHT, style_axes

_PANELS = {
    "roc_auc": "ROC-AUC, higher is better",
    "brier": "Brier score, lower is better",
    "earned": "Profit per customer, higher is better",
}
_COLOURS = (GREEN, "#2563eb", "#c46210", "#9333ea", "#b91c1c", "#0891b2")
_MARKERS: dict[EventKind, str] = {"trained": "o", "promoted": "^", "rolled back": "v"}
_SHAPES = {"scores": "o", "requests": "s"}


def plot_performance(
    known: Sequence[CohortPerformance],
    promised: Mapping[str, Interval],
    marks: Sequence[ModelEvent],
    champion: str | None,
) -> Figure:
    """A panel per measure, by the moment of scoring, and a calendar of what happened to the versions above them.

    Measured cohorts are filled with 95% intervals, expected ones open, on a dashed line. The band is what the test of
    ``champion`` promised: the accepted level.
    """
    figure = Figure(figsize=(11, 9.5), layout="constrained")
    calendar, *panels = figure.subplots(4, 1, sharex=True, height_ratios=[0.9, 2, 2, 2])
    versions = sorted({item.cohort.version for item in known} | {mark.version for mark in marks}, key=_number)
    colours = {version: _COLOURS[place % len(_COLOURS)] for place, version in enumerate(versions)}
    start, end = _span(known, marks)
    step = (end - start) / 200  # versions that scored the same moment stand side by side
    for axes, (measure, title) in zip(panels, _PANELS.items(), strict=True):
        for mark in marks:
            if mark.kind != "trained":
                axes.axvline(mdates.date2num(mark.time), color=colours[mark.version], lw=1.3, ls=":", zorder=0)
        if measure in promised:
            axes.axhspan(promised[measure].low, promised[measure].high, color=LIGHT, alpha=0.45, lw=0, zorder=0)
            axes.axhline(promised[measure].value, color=GRAY, lw=0.8, zorder=0)
        for version in versions:
            for source in _SHAPES:
                items = [i for i in known if (i.cohort.version, i.cohort.source) == (version, source)]
                shift = step * (versions.index(version) - (len(versions) - 1) / 2)
                shown = [item for item in items if measure in item.measures]
                _line(axes, shown, measure, colours[version], _SHAPES[source], shift)
        axes.set_title(title, loc="left")
        style_axes(axes)
    _calendar(calendar, marks, colours)
    calendar.set_title("Quality over time", loc="left", fontweight="bold")
    locator = mdates.AutoDateLocator()
    panels[-1].xaxis.set_major_locator(locator)
    panels[-1].xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    panels[-1].set_xlim(mdates.date2num(start), mdates.date2num(end))
    panels[-1].set_xlabel("scored at")
    figure.legend(handles=_legend(known, colours, champion, bool(promised)), frameon=False, loc="outside lower center",
                  ncols=5)  # fmt: skip
    return figure


def _line(
    axes: Axes, items: Sequence[CohortPerformance], measure: str, colour: str, shape: str, shift: timedelta
) -> None:
    """One version: a line through what was measured, dashed on to what is expected."""
    items = sorted(items, key=lambda item: item.cohort.as_of)
    measured = [item for item in items if item.status == "measured"]
    expected = [item for item in items if item.status == "estimated"]
    for part, style in (
        (measured, {"ls": "-", "mfc": colour}),
        ([*measured[-1:], *expected], {"ls": "--", "mfc": "white"}),
    ):
        shown = [(item.cohort.as_of + shift, item.measures[measure].value) for item in part]
        axes.plot(
            mdates.date2num([when for when, _ in shown]),
            [value for _, value in shown],
            color=colour,
            lw=1.6,
            ls=style["ls"],
        )
    for part, face in ((measured, colour), (expected, "white")):
        for item in part:
            found = item.measures[measure]
            axes.errorbar(
                mdates.date2num([item.cohort.as_of + shift]), [found.value],
                yerr=[[max(0.0, found.value - found.low)], [max(0.0, found.high - found.value)]],
                fmt=shape, ms=6, mfc=face, color=colour, elinewidth=1.2, capsize=2.5, zorder=3,
            )  # fmt: skip


def _calendar(axes: Axes, marks: Sequence[ModelEvent], colours: Mapping[str, str]) -> None:
    rows = {kind: row for row, kind in enumerate(reversed(_MARKERS))}
    for row in rows.values():
        axes.axhline(row, color=LIGHT, lw=1, zorder=0)
    for mark in marks:
        axes.plot(
            mdates.date2num([mark.time]),
            [rows[mark.kind]],
            marker=_MARKERS[mark.kind],
            ms=8,
            color=colours[mark.version],
        )
        axes.annotate(
            mark.version, (mdates.date2num(mark.time), rows[mark.kind]), (6, 4), textcoords="offset points",
            fontsize=9, color=colours[mark.version],
        )  # fmt: skip
    axes.set_yticks(list(rows.values()), list(rows))
    axes.set_ylim(-0.6, len(rows) - 0.1)
    style_axes(axes)
    axes.spines["bottom"].set_visible(False)
    axes.grid(visible=False)
    axes.tick_params(length=0, labelbottom=False)


def _span(known: Sequence[CohortPerformance], marks: Sequence[ModelEvent]) -> tuple[datetime, datetime]:
    """From the first cohort or mark to the last, with some room."""
    times = [item.cohort.as_of for item in known] + [mark.time for mark in marks]
    room = max((max(times) - min(times)) * 0.05, timedelta(days=7))
    return min(times) - room, max(times) + room


def _legend(
    known: Sequence[CohortPerformance], colours: Mapping[str, str], champion: str | None, promised: bool
) -> list[Line2D | Patch]:
    shown = [version for version in colours if any(item.cohort.version == version for item in known)]
    told: list[Line2D | Patch] = [Line2D([], [], color=colours[item], lw=2, label=f"version {item}") for item in shown]
    told.append(Line2D([], [], color=GRAY, marker="o", label="measured, 95% interval"))
    told.append(Line2D([], [], color=GRAY, marker="o", mfc="white", ls="--", label="expected of calibrated scores"))
    if any(item.cohort.source == "requests" for item in known):
        told.append(Line2D([], [], color=GRAY, marker="s", ls="", label="requests of a month"))
    if promised:
        told.append(Patch(color=LIGHT, alpha=0.45, label=f"accepted: what the test of version {champion} promised"))
    return told


def _number(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdigit() else (10**9, version)
