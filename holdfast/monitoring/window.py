"""Monitoring window: its selection, and the predictions logged in it."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.settings import Settings
from holdfast.core.prediction_log import TIMESTAMP_TYPE, iter_predictions, read_predictions
from holdfast.ingestion.as_of import ClockError, latest_as_of, resolve_as_of, resolve_known_at
from holdfast.monitoring.findings import View
from holdfast.monitoring.metrics_store import latest_window_end


@dataclass(frozen=True)
class Window:
    """Time range from ``start`` (inclusive) to ``as_of`` (exclusive).

    Attributes:
        known_at: Data that arrived later are ignored.
    """

    start: datetime
    as_of: datetime
    known_at: datetime


def select_window(
    settings: Settings, as_of: datetime | None, known_at: datetime | None, days: float, run_time: datetime
) -> Window:
    """Select the window that ends at a given time.

    Args:
        settings: Data folder and clock.
        as_of: End of the window; the current time of the clock for None.
        known_at: Use only data that had arrived by then; all data for None.
        days: Length of the window.
        run_time: Time of the flow run.

    Returns:
        The window.

    Raises:
        ClockError: ``as_of`` is in the future.
    """
    end, latest = resolve_as_of(as_of, settings, run_time), latest_as_of(settings, datetime.now(UTC))
    if as_of is not None and end > latest:
        raise ClockError(
            f"as_of {end:%Y-%m-%d %H:%M} UTC is in the future: the latest possible end of a window is "
            f"{latest:%Y-%m-%d %H:%M} UTC. Give an earlier as_of, or none for now."
        )
    return Window(end - timedelta(days=days), end, resolve_known_at(known_at))


def is_past_window(settings: Settings, view: View, end: datetime, run_time: datetime) -> bool:
    """Return whether a later window of a view was monitored before.

    Windows in the future do not count: they exist after a change of the clock, or in a replay.

    Args:
        settings: Data folder and clock.
        view: The view.
        end: End of the window.
        run_time: Time of the flow run.

    Returns:
        True if there is a later window.
    """
    now = latest_as_of(settings, datetime.now(UTC))
    if settings.clock != "wall":
        with suppress(ClockError):  # without data, no window is in the future
            now = resolve_as_of(None, settings, run_time)
    newest = latest_window_end(settings, view, now)
    return newest is not None and end < newest


def read_window_predictions(settings: Settings, window: Window) -> pa.Table:
    """Read the prediction log of a window, filtered by the ``as_of`` of each prediction.

    A prediction with ``as_of`` equal to the end of the window is included: in a replay, all predictions of a day have
    the time of the latest materialization. On the wall clock, a prediction's ``as_of`` is its response time, so only
    the days of the window are read; on any other clock the response time is unrelated, and all files are read.

    Args:
        settings: Settings with the log's folder.
        window: Monitoring window.

    Returns:
        The columns of ``read_predictions``; empty if there is no prediction.
    """
    is_wall = settings.clock == "wall"
    since, until = (window.start - timedelta(days=1), window.as_of + timedelta(days=1)) if is_wall else (None, None)
    tables = []
    for table in iter_predictions(settings.predictions, since, until):
        times = table["as_of"]
        inside = pc.and_(
            pc.greater(times, pa.scalar(window.start, TIMESTAMP_TYPE)),
            pc.less_equal(times, pa.scalar(window.as_of, TIMESTAMP_TYPE)),
        )
        if (rows := table.filter(inside)).num_rows:
            tables.append(rows)
    empty = read_predictions(settings.predictions, until=datetime.fromtimestamp(0, UTC))
    return pa.concat_tables([empty, *tables], promote_options="default")
