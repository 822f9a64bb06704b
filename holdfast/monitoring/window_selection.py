"""Selection of the window to monitor, and detection of windows in the past."""

from contextlib import suppress
from datetime import UTC, datetime

from feature_repo.settings import Settings
from holdfast.ingestion.as_of import ClockError, latest_as_of, resolve_as_of, resolve_known_at
from holdfast.monitoring.findings import View
from holdfast.monitoring.metrics_store import latest_window_end
from holdfast.monitoring.window import Window


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
    return Window.ending_at(end, days, resolve_known_at(known_at))


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
