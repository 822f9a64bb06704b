"""Monitoring window, and the predictions logged in the window."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.settings import Settings
from holdfast.core.prediction_log import TIMESTAMP_TYPE, iter_predictions, read_predictions


@dataclass(frozen=True)
class Window:
    """Time range from ``start`` (inclusive) to ``as_of`` (exclusive).

    Attributes:
        known_at: Data that arrived later are ignored.
    """

    start: datetime
    as_of: datetime
    known_at: datetime

    @classmethod
    def ending_at(cls, as_of: datetime, days: float, known_at: datetime) -> "Window":
        """Create the window of the given length that ends at ``as_of``.

        Args:
            as_of: End of the window.
            days: Length in days.
            known_at: Data that arrived later are ignored.

        Returns:
            The window.
        """
        return cls(as_of - timedelta(days=days), as_of, known_at)


def read_logged_predictions(settings: Settings, window: Window) -> pa.Table:
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
